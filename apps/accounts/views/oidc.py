"""Signing in with an identity of the organisation: allauth's views, on a page that may lead to the server."""

from typing import Any
from urllib.parse import urlsplit

from allauth.socialaccount.providers.openid_connect import views
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache

callback = never_cache(views.callback)


@never_cache
def login(request: HttpRequest, provider_id: str) -> HttpResponse:
    """GET asks whether to go, POST goes; 404 where no server is set."""
    response: Any = views.login(request, provider_id)
    server = urlsplit(settings.OIDC_SERVER_URL)
    # As the way to a venue: the redirect that answers a form is held to the policy of the form's page.
    response._csp_update = {"form-action": f"{server.scheme}://{server.netloc}"}
    return response  # type: ignore[no-any-return]
