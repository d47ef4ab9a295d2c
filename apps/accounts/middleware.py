"""What is asked of every request of a signed-in person before a view sees it."""

from collections.abc import Callable
from typing import Any, Final

from allauth.account.adapter import get_adapter
from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from apps.accounts.models import User
from apps.accounts.services import browser_sessions, second_factors
from apps.accounts.session_store import SessionStore
from apps.accounts.visitors import visitor_of
from apps.common.api import pages
from apps.common.before_view import BeforeView
from apps.common.errors import Forbidden

# What is open to somebody who still has to show a second factor: setting one up, showing it, and leaving.
_OPEN: Final = frozenset(
    {
        "account_change_password",
        "account_logout",
        "account_reauthenticate",
        "admin:logout",
        "healthz",
        "metrics",
        "mfa_activate_totp",
        "mfa_add_webauthn",
        "mfa_download_recovery_codes",
        "mfa_index",
        "mfa_reauthenticate",
        "mfa_reauthenticate_webauthn",
        "mfa_view_recovery_codes",
        "readyz",
    }
)


class LastSeenMiddleware:
    """Keeps with a session where it is used from, and when its person last did something.

    What a page fetches by itself is nothing that a person did: a screen that nobody looks at is signed out in time.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Costs nothing where the session was not read, and at most one statement a minute."""
        session = request.session
        if not isinstance(session, SessionStore):
            return self._get_response(request)
        session.visitor = visitor_of(request)
        response = self._get_response(request)
        by_itself = request.method == "GET" and request.headers.get("Sec-Fetch-Mode", "navigate") != "navigate"
        if session.row is not None and not by_itself:
            browser_sessions.seen(session.row, session.visitor, now=timezone.now())
        return response


class SecondFactorMiddleware(BeforeView):
    """Leads whoever must have a second factor to it, and lets them do nothing else before.

    Keys of programs have no session, and are not asked here: nothing that needs a person is open to them.
    """

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponseBase], args: Any, kwargs: Any
    ) -> HttpResponse | HttpResponseBase | None:
        """None where the view may answer. The session is only looked into where the answer could depend on it."""
        match = request.resolver_match
        if not settings.SECOND_FACTOR_REQUIRED or (match is not None and match.view_name in _OPEN):
            return None
        is_api = request.path_info.startswith(pages.API_PREFIX)
        if settings.SESSION_COOKIE_NAME not in request.COOKIES or (is_api and "Authorization" in request.headers):
            return None
        person = request.user
        if not isinstance(person, User) or second_factors.is_settled(request.session, person):
            return None
        if is_api:
            return pages.forbidden(request, _missing())
        if not second_factors.has_one(person):
            return HttpResponseRedirect(reverse("mfa_index"), status=303)
        shows = get_adapter().get_reauthentication_methods(person)[0]["url"]
        back = f"?{urlencode({REDIRECT_FIELD_NAME: request.get_full_path()})}" if request.method == "GET" else ""
        return HttpResponseRedirect(shows + back, status=303)


def _missing() -> Forbidden:
    return Forbidden(
        "SECOND_FACTOR_MISSING",
        "Your roles need a second factor, and this sign-in has none.",
        fix="Sign in with the browser: it leads you to it.",
    )
