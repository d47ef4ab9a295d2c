from django.apps import AppConfig


class AccountsConfig(AppConfig):
    default_auto_field = "django.db.models.BigAutoField"
    name = "apps.accounts"
    verbose_name = "People and access"

    def ready(self) -> None:
        """Register the system checks; second factors are sealed to their rows."""
        # Not at the top: this module is read before any model may be, and all of these reach models.
        from allauth.mfa.models import Authenticator

        from apps.accounts import checks  # noqa: F401  importing registers them
        from apps.accounts.fields import SecondFactorData

        SecondFactorData.take_over(Authenticator)
