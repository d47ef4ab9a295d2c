"""Signing in with an identity of the organisation: allauth's views, on a page that may lead to the server."""

from typing import Any
from urllib.parse import urlsplit

from allauth.account.internal.decorators import login_not_required
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.helpers import render_authentication_error
from allauth.socialaccount.models import SocialApp
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from allauth.socialaccount.providers.openid_connect import views
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from requests import RequestException

from apps.accounts.oidc_provider import StaffAdapter


@never_cache
@login_not_required  # type: ignore[untyped-decorator]  # allauth is not typed
def callback(request: HttpRequest, provider_id: str) -> HttpResponse:
    """The way back, by our own adapter; 404 where no server is set."""
    try:
        response: HttpResponse = OAuth2CallbackView.adapter_view(StaffAdapter(request, provider_id))(request)
    except SocialApp.DoesNotExist as error:
        raise Http404 from error
    except RequestException as error:  # its configuration did not come; what follows it, allauth answers itself
        return _not_reached(request, provider_id, error)
    return response


def _not_reached(request: HttpRequest, provider_id: str, error: RequestException) -> HttpResponse:
    try:
        provider = StaffAdapter(request, provider_id).get_provider()
        page: HttpResponse = render_authentication_error(request, provider, exception=error)
    except ImmediateHttpResponse as ended:
        page = ended.response
    return page


@never_cache
def login(request: HttpRequest, provider_id: str) -> HttpResponse:
    """GET asks whether to go, POST goes; 404 where no server is set."""
    try:
        response: Any = views.login(request, provider_id)
    except RequestException as error:
        return _not_reached(request, provider_id, error)
    server = urlsplit(settings.OIDC_SERVER_URL)
    # As the way to a venue: the redirect that answers a form is held to the policy of the form's page.
    response._csp_update = {"form-action": f"{server.scheme}://{server.netloc}"}
    return response  # type: ignore[no-any-return]
