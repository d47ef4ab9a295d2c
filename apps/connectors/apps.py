from django.apps import AppConfig


class ConnectorsConfig(AppConfig):
    default_auto_field = "django.db.models.BigAutoField"
    name = "apps.connectors"
    verbose_name = "Venues"

    def ready(self) -> None:
        # Not at the top: this module is read before any model may be, and the checks reach models.
        from apps.connectors import checks  # noqa: F401  importing registers them
