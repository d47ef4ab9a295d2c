"""What an installation must not leave open."""

from typing import Any

from django.conf import settings
from django.core import checks


@checks.register("accounts", deploy=True)
def check_second_factor(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """A warning (accounts.W001) where people who decide sign in with a password alone."""
    if settings.SECOND_FACTOR_REQUIRED:
        return []
    return [
        checks.Warning(
            "Approvers, risk, operators and superusers may sign in with a password alone.",
            hint="Leave SECOND_FACTOR_REQUIRED at true.",
            id="accounts.W001",
        )
    ]
