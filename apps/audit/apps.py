from django.apps import AppConfig


class AuditConfig(AppConfig):
    default_auto_field = "django.db.models.BigAutoField"
    name = "apps.audit"
    verbose_name = "Audit"

    def ready(self) -> None:
        # Not at the top: this module is read before any model may be, and the checks reach models.
        from apps.audit import checks  # noqa: F401  importing registers them
