"""Second factors: shown at sign-in, set up and taken away. allauth's own views, with the event each of them leaves."""

import json
from typing import Any, cast

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.login import record_authentication
from allauth.account.views import ReauthenticateView as ByPasswordView
from allauth.mfa.base import views as base
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes import views as recovery_codes
from allauth.mfa.totp.views import ActivateTOTPView, DeactivateTOTPView
from allauth.mfa.webauthn import views as webauthn
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from apps.accounts.errors import FactorUnreadable
from apps.accounts.lockouts import address_of
from apps.accounts.models import User
from apps.accounts.services import factor_secrets, key_counters, second_factors
from apps.accounts.session_store import SessionStore

_KEY, _APP, _CODES = Authenticator.Type.WEBAUTHN, Authenticator.Type.TOTP, Authenticator.Type.RECOVERY_CODES


def _under_a_new_key(request: HttpRequest) -> None:
    """Who has just shown again who they are goes on under a new key: one that was taken before shows nothing."""
    if isinstance(request.session, SessionStore):
        request.session.renew_key()


class _ByPasswordView(ByPasswordView):  # type: ignore[misc]  # allauth is not typed
    def form_valid(self, form: Any) -> HttpResponse:
        _under_a_new_key(self.request)
        response: HttpResponse = super().form_valid(form)
        return response


_by_password = _ByPasswordView.as_view()


@login_required
def reauthenticate_by_password(request: HttpRequest) -> HttpResponse:
    """By password only where there is no second factor."""
    first = get_adapter().get_reauthentication_methods(request.user)
    if first and first[0]["id"] != "reauthenticate":
        query = request.META.get("QUERY_STRING", "")
        return HttpResponseRedirect(first[0]["url"] + (f"?{query}" if query else ""), status=303)
    response: HttpResponse = _by_password(request)
    return response


def _with_options(context: dict[str, Any], name: str) -> dict[str, Any]:
    """What the browser asks a key, as text: a data attribute holds it, where an inline script may not stand."""
    data = context.get("js_data")
    if data:
        context["key_options"] = json.dumps(data[name], cls=DjangoJSONEncoder)
    return context


class _Refusing:
    """Where what is kept of a second factor does not open, a page says so and what to do, instead of breaking."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """The view's answer, or that page."""
        try:
            self._before(request)
            response: HttpResponseBase = super().dispatch(request, *args, **kwargs)  # type: ignore[misc]  # a view's
        except FactorUnreadable as error:
            return render(request, "mfa/unreadable.html", {"error": error}, status=error.http_status)
        return response

    def _before(self, request: HttpRequest) -> None:
        """Forms ask for themselves."""


class _Opening(_Refusing):
    """A page that opens what is kept as soon as it is shown."""

    def _before(self, request: HttpRequest) -> None:
        if request.user.is_authenticated:
            factor_secrets.require_open(person=_person(request), now=timezone.now())


def _refused(request: HttpRequest, person: User, form: Any, *, again: bool) -> None:
    """Written down, unless nothing was compared: an empty field, or too many before."""
    codes = {error.code for errors in form.errors.as_data().values() for error in errors}
    if codes & {"required", "too_many_login_attempts"}:
        return
    kind = "key" if "credential" in form.fields else "code"
    address = address_of(request) or ""
    second_factors.record_refused(person=person, kind=kind, address=address, again=again, now=timezone.now())


class AuthenticateView(_Refusing, base.AuthenticateView):  # type: ignore[misc]  # allauth is not typed
    """The second step of signing in."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """allauth's, with the options of a key as text."""
        context = _with_options(super().get_context_data(**kwargs), "request_options")
        context["has_key"] = Authenticator.objects.filter(user=self.stage.login.user, type=_KEY).exists()
        return context

    def form_invalid(self, form: Any) -> HttpResponse:
        """The page again, and that it was refused, written down."""
        _refused(self.request, self.stage.login.user, form, again=False)
        response: HttpResponse = super().form_invalid(form)
        return response


class _ShownAgain:
    """A factor that somebody who is in shows again."""

    request: HttpRequest

    def form_valid(self, form: Any) -> HttpResponse:
        """Shown; the session goes on under a new key."""
        _under_a_new_key(self.request)
        response: HttpResponse = super().form_valid(form)  # type: ignore[misc]  # the view's
        return response

    def form_invalid(self, form: Any) -> HttpResponse:
        """As allauth's, and that it was refused, written down."""
        _refused(self.request, _person(self.request), form, again=True)
        response: HttpResponse = super().form_invalid(form)  # type: ignore[misc]  # the view's
        return response


class ReauthenticateView(_Refusing, _ShownAgain, base.ReauthenticateView):  # type: ignore[misc]  # as above
    """A code, shown again before factors are changed."""


class ReauthenticateByKeyView(_ShownAgain, webauthn.ReauthenticateWebAuthnView):  # type: ignore[misc]  # as above
    """Shown again before factors are changed."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """allauth's, with the options of a key as text."""
        return _with_options(super().get_context_data(**kwargs), "request_options")


class IndexView(_Opening, base.IndexView):  # type: ignore[misc]  # as above
    """What one has, and what can be added."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """allauth's, and whether this person is only here because they must set one up."""
        context: dict[str, Any] = super().get_context_data(**kwargs)
        person = _person(self.request)
        context["is_needed"] = second_factors.is_required_of(person) and not second_factors.has_one(person)
        return context


class AddAppView(ActivateTOTPView):  # type: ignore[misc]  # as above
    """An authenticator app. The code that confirms it counts as shown for this sign-in, too."""

    def form_valid(self, form: Any) -> HttpResponse:
        """The factor, its event, and the sign-in that used it: one act."""
        with transaction.atomic():
            response: HttpResponse = super().form_valid(form)
            _added(self.request, _APP)
        return response


class RemoveAppView(DeactivateTOTPView):  # type: ignore[misc]  # as above
    """Not the last one of somebody who must have one: the form refuses that."""

    def form_valid(self, form: Any) -> HttpResponse:
        """Gone, with its event."""
        with transaction.atomic():
            response: HttpResponse = super().form_valid(form)
            _record(self.request, "removed", _APP)
            factor_secrets.settle(person=_person(self.request), now=timezone.now())
        return response


class RenewCodesView(_Opening, recovery_codes.GenerateRecoveryCodesView):  # type: ignore[misc]  # as above
    """New recovery codes; the old ones stop."""

    def form_valid(self, form: Any) -> HttpResponse:
        """Renewed, with their event."""
        with transaction.atomic():
            response: HttpResponse = super().form_valid(form)
            _record(self.request, "renewed", _CODES)
        return response


class CodesView(_Opening, recovery_codes.ViewRecoveryCodesView):  # type: ignore[misc]  # as above
    """The recovery codes that are left."""


class DownloadCodesView(_Opening, recovery_codes.DownloadRecoveryCodesView):  # type: ignore[misc]  # as above
    """The same as a file."""


class AddKeyView(webauthn.AddWebAuthnView):  # type: ignore[misc]  # as above
    """A security key, or what a device has instead of one."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """allauth's, with the options of a key as text."""
        return _with_options(super().get_context_data(**kwargs), "creation_options")

    def form_valid(self, form: Any) -> HttpResponse:
        """Added, with its event."""
        with transaction.atomic():
            response: HttpResponse = super().form_valid(form)
            _added(self.request, _KEY)
        return response


class RemoveKeyView(webauthn.RemoveWebAuthnView):  # type: ignore[misc]  # as above
    """One key. The last one of somebody who must have one stays."""

    def form_valid(self, form: Any) -> HttpResponse:
        """Gone, with its event; or a message why not."""
        key = self.get_object()
        if not second_factors.may_go_without(key):
            messages.error(self.request, "It is your last second factor, and your roles need one. Add another first.")
            return HttpResponseRedirect(reverse("mfa_list_webauthn"), status=303)
        with transaction.atomic():
            key_counters.forget([key.pk], timezone.now())
            response: HttpResponse = super().form_valid(form)
            _record(self.request, "removed", _KEY)
        return response


def _person(request: HttpRequest) -> User:
    return cast(User, request.user)


def _added(request: HttpRequest, kind: str) -> None:
    _record(request, "added", kind)
    _under_a_new_key(request)
    record_authentication(request, _person(request), "mfa", type=str(kind), reauthenticated=True)


def _record(request: HttpRequest, what: str, kind: str) -> None:
    second_factors.record(person=_person(request), what=what, kind=str(kind), now=timezone.now())


authenticate = AuthenticateView.as_view()
reauthenticate = ReauthenticateView.as_view()
reauthenticate_by_key = ReauthenticateByKeyView.as_view()
index = IndexView.as_view()
add_app = AddAppView.as_view()
remove_app = RemoveAppView.as_view()
renew_codes = RenewCodesView.as_view()
codes = CodesView.as_view()
download_codes = DownloadCodesView.as_view()
keys = webauthn.list_webauthn
add_key = AddKeyView.as_view()
remove_key = RemoveKeyView.as_view()
