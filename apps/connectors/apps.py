from django.apps import AppConfig


class ConnectorsConfig(AppConfig):
    default_auto_field = "django.db.models.BigAutoField"
    name = "apps.connectors"
    verbose_name = "Venues"

    def ready(self) -> None:
        from apps.connectors import checks  # noqa: F401  registers them, and models must be loaded first
