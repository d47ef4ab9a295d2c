"""Signing in with an identity of one's own organisation (OpenID Connect). Off unless a server is named."""

from typing import Any

from config.env import env

OIDC_SERVER_URL = env.url("OIDC_SERVER_URL", schemes=frozenset({"http", "https"}))
OIDC_CLIENT_ID = env.text("OIDC_CLIENT_ID")
OIDC_CLIENT_SECRET = env.text("OIDC_CLIENT_SECRET")
OIDC_NAME = env.text("OIDC_NAME", "your organisation")

SOCIALACCOUNT_ADAPTER = "apps.accounts.adapter.SocialAccountAdapter"
# Tokens of venues are sealed in rows of our own (apps/connectors/models.py); allauth keeps none.
SOCIALACCOUNT_STORE_TOKENS = False
# allauth's own match by e-mail takes away the password of whom it finds. apps/accounts/services/identities.py does not.
SOCIALACCOUNT_EMAIL_AUTHENTICATION = False


def oidc_providers(*, server_url: str, client_id: str, client_secret: str, name: str) -> dict[str, Any]:
    """allauth's form of it; no application where no server is named."""
    application = {
        "provider_id": "staff",
        "name": name,
        "client_id": client_id,
        "secret": client_secret,
        "settings": {"server_url": server_url},
    }
    apps = [application] if server_url and client_id and client_secret else []
    provider = "apps.accounts.oidc_provider.StaffProvider"
    return {"openid_connect": {"provider_class": provider, "OAUTH_PKCE_ENABLED": True, "APPS": apps}}


SOCIALACCOUNT_PROVIDERS = oidc_providers(
    server_url=OIDC_SERVER_URL, client_id=OIDC_CLIENT_ID, client_secret=OIDC_CLIENT_SECRET, name=OIDC_NAME
)
