"""allauth's OpenID Connect provider, which asks for nothing more than it should and keeps nothing of a profile."""

import hashlib
import hmac
from typing import Any

from allauth.socialaccount.models import SocialLogin
from allauth.socialaccount.providers.base import ProviderException
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.http import HttpRequest


def nonce_of(code_verifier: str) -> str:
    """What an ID token must repeat (OpenID Connect Core 1.0, 3.1.2.1). The verifier waits in the session of the browser
    that set out, and never leaves with it: what the server and the address see is its hash, under a name of its own."""
    return hashlib.sha256(b"aika.oidc.nonce:" + code_verifier.encode("ascii")).hexdigest()


class StaffAdapter(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]  # allauth is not typed
    """The way back: an ID token belongs to the browser that asked for it."""

    _code_verifier = ""

    def get_access_token_data(
        self, request: HttpRequest, app: Any, client: Any, pkce_code_verifier: str | None = None
    ) -> dict[str, Any]:
        """allauth's; the verifier is kept for the nonce."""
        self._code_verifier = pkce_code_verifier or ""
        data: dict[str, Any] = super().get_access_token_data(request, app, client, pkce_code_verifier)
        return data

    def _decode_id_token(self, app: Any, id_token: str) -> dict[str, Any]:
        claims: dict[str, Any] = super()._decode_id_token(app, id_token)
        wanted = nonce_of(self._code_verifier)
        if not self._code_verifier or not hmac.compare_digest(str(claims.get("nonce", "")).encode(), wanted.encode()):
            raise OAuth2Error("The ID token was not made for this sign-in.")
        return claims


class StaffProvider(OpenIDConnectProvider):  # type: ignore[misc]  # as above
    """Named by `provider_class` in `SOCIALACCOUNT_PROVIDERS`."""

    oauth2_adapter_class = StaffAdapter

    def get_pkce_params(self) -> dict[str, str]:
        """allauth's, and the nonce that goes with this verifier. Without a verifier nobody is let out."""
        params: dict[str, str] = super().get_pkce_params()
        return {**params, "nonce": nonce_of(params["code_verifier"])}

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
