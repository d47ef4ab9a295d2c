"""Coinbase as a provider of allauth's, with what does not work there replaced (coinbase.md 2.3).

allauth's own asks the old hosts, without PKCE, with whatever scopes a query parameter adds, puts the token into an
address and keeps none. Only the way out goes through this one: state, callback, exchange, profile and refresh are
`services.authorisations` and `venues.coinbase.oauth`, and no adapter of allauth's stands here to do them its own way.
It connects an account to a person who is signed in; it signs nobody in.
"""

from datetime import datetime
from typing import Any

from allauth.socialaccount.models import SocialApp
from allauth.socialaccount.providers.base import ProviderAccount
from allauth.socialaccount.providers.oauth2.provider import OAuth2Provider
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from apps.connectors.services import authorisations


class CoinbaseProvider(OAuth2Provider):  # type: ignore[misc]  # allauth is not typed
    """Registered with allauth by the name of this module."""

    id = "coinbase"
    name = "Coinbase"
    account_class = ProviderAccount
    pkce_enabled_default = True
    now: datetime | None = None

    @classmethod
    def of(cls, request: HttpRequest, *, now: datetime) -> "CoinbaseProvider":
        """With the application of the settings: none is kept in the database. Raises as `authorisations.asking`."""
        application = authorisations.asking().application
        made = cls(request, app=SocialApp(provider=cls.id, client_id=application.client_id))
        made.now = now
        return made

    def get_scope(self) -> list[str]:
        return list(authorisations.asking().scopes)

    def get_scope_from_request(self, request: HttpRequest) -> list[str]:
        """Exactly the settings', whatever `?scope=` says."""
        return self.get_scope()

    def get_auth_params_from_request(self, request: HttpRequest, action: str) -> dict[str, str]:
        """None, whatever `?auth_params=` says."""
        return {}

    def redirect(
        self, request: HttpRequest, process: str, next_url: str | None = None, data: Any = None, **kwargs: Any
    ) -> HttpResponse:
        """To the consent page. What was begun is kept in the database for this person, and nothing in the session."""
        if self.now is None or not request.user.is_authenticated:
            raise PermissionDenied
        return HttpResponseRedirect(authorisations.url_for(person=request.user, now=self.now))


provider_classes = [CoinbaseProvider]
