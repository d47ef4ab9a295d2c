from django.apps import AppConfig


class LessonsConfig(AppConfig):
    default_auto_field = "django.db.models.BigAutoField"
    name = "apps.lessons"
    verbose_name = "Lessons"

    def ready(self) -> None:
        """Register the system checks."""
        # Not at the top: this module is read before any model may be, and the checks reach models.
        from apps.lessons import checks  # noqa: F401  importing registers them
