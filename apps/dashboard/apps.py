from django.apps import AppConfig


class DashboardConfig(AppConfig):
    default_auto_field = "django.db.models.BigAutoField"
    name = "apps.dashboard"
    verbose_name = "Desk"

    def ready(self) -> None:
        """Register the system checks."""
        from apps.dashboard import checks  # noqa: F401  importing registers them
