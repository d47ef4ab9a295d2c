"""allauth's OpenID Connect provider, which asks for nothing more than it should and keeps nothing of a profile."""

from typing import Any

from allauth.socialaccount.models import SocialLogin
from allauth.socialaccount.providers.base import ProviderException
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from django.http import HttpRequest


class StaffProvider(OpenIDConnectProvider):  # type: ignore[misc]  # allauth is not typed
    """Named by `provider_class` in `SOCIALACCOUNT_PROVIDERS`."""

    def get_scope_from_request(self, request: HttpRequest) -> list[str]:
        """The settings', whatever `?scope=` says."""
        scopes: list[str] = self.get_scope()
        return scopes

    def get_auth_params_from_request(self, request: HttpRequest, action: str) -> dict[str, str]:
        """The settings', whatever `?auth_params=` says."""
        params: dict[str, str] = self.get_auth_params()
        return params

    def extract_extra_data(self, data: dict[str, Any]) -> dict[str, Any]:
        """The subject is all that is kept."""
        return {}

    def sociallogin_from_response(self, request: HttpRequest, response: dict[str, Any]) -> SocialLogin:
        """Both answers must be about the same subject (OpenID Connect Core 1.0, 5.3.2)."""
        subjects = {str(response.get(part, {}).get("sub", "")) for part in ("id_token", "userinfo")}
        if len(subjects) != 1 or "" in subjects:
            raise ProviderException("The identity server's two answers are about different subjects.")
        return super().sociallogin_from_response(request, response)
