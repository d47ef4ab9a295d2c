"""The way to a venue's consent page and back. The only page whose forms may lead to another origin."""

from typing import TYPE_CHECKING

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_GET, require_http_methods

from apps.common.errors import AikaError
from apps.common.words import listed
from apps.connectors.provider import CoinbaseProvider
from apps.connectors.services import authorisations

if TYPE_CHECKING:
    from apps.accounts.models import User

MANAGE = "accounts.manage_connections"


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def connect(request: HttpRequest) -> HttpResponse:
    """GET says what Coinbase will be asked for; POST goes there."""
    _manager(request)
    try:
        asking = authorisations.asking()
        if request.method == "POST":
            response: HttpResponse = CoinbaseProvider.of(request, now=timezone.now()).redirect_from_request(request)
        else:
            scopes = [(scope, authorisations.words_of(scope)) for scope in asking.scopes]
            context = {"title": "Connect a Coinbase account", "asking": asking, "scopes": scopes}
            response = _page(request, "connectors/oauth_connect.html", context, 200)
    except AikaError as error:
        return _stopped(request, error)
    return leads_to(response, asking.provider_origin)


def leads_to(response: HttpResponse, origin: str) -> HttpResponse:
    """Let the forms of this one page lead to `origin` too.

    Chromium holds the redirect that answers a form to the policy of the page the form is on.
    """
    response._csp_update = {"form-action": origin}  # type: ignore[attr-defined]  # django-csp's hook
    return response


@never_cache
@require_GET
@sensitive_variables("code", "state")
def callback(request: HttpRequest) -> HttpResponse:
    """Back from Coinbase, with a code or without. Changes something although it is a GET: the state is its token."""
    person = request.user
    if not person.is_authenticated:
        context = {
            "title": "Sign in and begin again",
        }
        return TemplateResponse(request, "connectors/oauth_stopped_signed_out.html", context, status=403)
    _manager(request)
    code, state = request.GET.get("code", ""), request.GET.get("state", "")
    now = timezone.now()
    try:
        asked = authorisations.consume(person=person, state=state, now=now)
        if not code:
            refused = request.GET.get("error") == "access_denied"
            why = "You refused at the venue." if refused else "The venue sent you back without an authorisation."
            messages.warning(request, f"{why} Nothing was kept.")
            return HttpResponseRedirect(reverse("admin:connectors_authorisation_changelist"), status=303)
        row = authorisations.complete(asked=asked, code=code, now=now)
    except AikaError as error:
        return _stopped(request, error)
    missing = authorisations.missing_scopes(row)
    if missing:
        words = listed([authorisations.words_of(scope) for scope in missing])
        messages.warning(request, f"{row} is connected, but does not let Aika {words}.")
    else:
        messages.success(request, f"{row} is connected, with everything that was asked for.")
    return HttpResponseRedirect(reverse("admin:connectors_authorisation_change", args=[row.pk]), status=303)


def _manager(request: HttpRequest) -> "User":
    person = request.user
    if not person.is_authenticated or not person.is_staff or not person.has_perm(MANAGE):
        raise PermissionDenied
    return person


def _stopped(request: HttpRequest, error: AikaError) -> HttpResponse:
    context = {"title": "Not connected", "error": error}
    # Whatever stands in the way, this request was not carried out; it is no failure of the server's.
    status = error.http_status if 400 <= error.http_status < 500 else 400
    return _page(request, "connectors/oauth_stopped.html", context, status)


def _page(request: HttpRequest, template: str, context: dict[str, object], status: int) -> HttpResponse:
    return TemplateResponse(request, template, {**admin.site.each_context(request), **context}, status=status)
