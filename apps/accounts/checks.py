"""What an installation must not leave open."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks

from apps.accounts.services import token_keys
from apps.common.encryption import check_keys


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


@checks.register(checks.Tags.security)
def check_identity_server(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """accounts.E002: who stands between could sign in as anybody. Outside production one on this machine may do
    without TLS."""
    server = urlsplit(settings.OIDC_SERVER_URL)
    here = server.hostname in {"localhost", "127.0.0.1", "::1"} and settings.ENVIRONMENT != "production"
    if not settings.OIDC_SERVER_URL or (server.hostname and (server.scheme == "https" or here)):
        return []
    return [
        checks.Error(
            "OIDC_SERVER_URL is not a server reached over TLS: its answers say who signs in.",
            hint="Set it to the https:// address of the issuer.",
            id="accounts.E002",
        )
    ]


@checks.register(checks.Tags.database)
def check_keys_open_what_rests(
    app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """accounts.E001: a secret at rest that no key of TOKEN_ENCRYPTION_KEY opens. Runs where a database may be asked:
    `migrate`, with which every installation starts, `doctor`, and `check --database default`."""
    if "default" not in (databases or ()) or check_keys():
        return []
    return [
        checks.Error(
            f"No key in TOKEN_ENCRYPTION_KEY opens a secret of {place}.",
            hint="Put back the key it was written with, behind the new one; nothing was changed. See rotate_keys.",
            id="accounts.E001",
        )
        for place in token_keys.unreadable()
    ]
