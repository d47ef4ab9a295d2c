"""Whether people may sign in with an identity of their organisation."""

from django import template
from django.conf import settings

register = template.Library()


@register.simple_tag
def oidc_name() -> str:
    """The name of whose identity it is; empty where there is no such door."""
    providers = settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"]
    return str(providers[0]["name"]) if providers else ""
