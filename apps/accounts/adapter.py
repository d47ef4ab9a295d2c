"""How allauth behaves here: nobody signs up by themselves, and what it does is written down."""

from typing import Any

import requests
from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialLogin, SocialToken
from allauth.socialaccount.providers.base.constants import AuthProcess
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render, resolve_url
from django.utils import timezone

from apps.accounts.identity_server import IdentitySession
from apps.accounts.models import User
from apps.accounts.services import identities, new_devices, people
from apps.accounts.visitors import visitor_of
from apps.common.errors import AikaError, Forbidden

OPENID_CONNECT = "openid_connect"


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth is not typed
    """Named by `ACCOUNT_ADAPTER`."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """People are added by an administrator, or by nobody."""
        return False

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        """Back to work, not to the form just filled in."""
        return resolve_url("home")

    def get_reauthentication_methods(self, user: User | AnonymousUser) -> list[dict[str, Any]]:
        """The second factor where there is one: then a password alone shows nothing."""
        methods: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        stronger = [method for method in methods if method["id"] != "reauthenticate"]
        return stronger or methods

    @transaction.atomic
    def set_password(self, user: User, password: str) -> None:
        """Changed or reset by the person: the password and the event are one act."""
        super().set_password(user, password)
        people.record_password_set(person=user, actor=people.actor_of(user), now=timezone.now())

    @transaction.atomic
    def post_login(self, request: HttpRequest, user: User, **more: Any) -> HttpResponse:
        """Every sign-in leaves an event, and one from a browser that has no cookie of ours also a mail."""
        now = timezone.now()
        people.record_sign_in(person=user, now=now)
        response: HttpResponse = super().post_login(request, user, **more)
        if not new_devices.is_known(request.COOKIES.get(new_devices.cookie_name(user), ""), user):
            new_devices.record(person=user, visitor=visitor_of(request), now=now)
            response.set_cookie(
                new_devices.cookie_name(user),
                new_devices.cookie_for(user),
                max_age=new_devices.COOKIE_AGE_S,
                secure=settings.SESSION_COOKIE_SECURE,
                httponly=True,
                samesite="Lax",
            )
        return response


class SocialAccountAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]  # allauth is not typed
    """Named by `SOCIALACCOUNT_ADAPTER`."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        """People are added by an administrator, or by nobody."""
        return False

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Puts the person here into the login, or ends it with a page that says why."""
        try:
            _refuse_unsound(sociallogin)
            account = identities.account_of(
                provider=sociallogin.account.provider,
                subject=sociallogin.account.uid,
                # Exactly true: some servers say the text "false".
                verified=[one.email for one in sociallogin.email_addresses if one.verified is True],
                now=timezone.now(),
            )
        except AikaError as error:
            page = render(request, "socialaccount/refused.html", {"error": error}, status=error.http_status)
            raise ImmediateHttpResponse(page) from error
        sociallogin.account, sociallogin.user = account, account.user

    def serialize_instance(self, instance: Any) -> Any:
        """What allauth puts into the session while a second factor is asked for: never a token."""
        if isinstance(instance, SocialToken):
            instance = SocialToken(token="", token_secret="")
        return super().serialize_instance(instance)

    def get_requests_session(self) -> requests.Session:
        """Under one deadline, and follows no redirect: secrets go to the address the server named, and nowhere else."""
        return IdentitySession()


def _refuse_unsound(sociallogin: SocialLogin) -> None:
    """Only a sign-in, and only with OpenID Connect."""
    if sociallogin.provider.id != OPENID_CONNECT or sociallogin.state.get("process") != AuthProcess.LOGIN:
        raise Forbidden("IDENTITY_ONLY_SIGNS_IN", "An identity signs people in here, and does nothing else.")
