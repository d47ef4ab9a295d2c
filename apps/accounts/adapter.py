"""How allauth behaves here: nobody signs up by themselves, and what it does is written down."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.services import people


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
        """Every sign-in leaves an event."""
        people.record_sign_in(person=user, now=timezone.now())
        response: HttpResponse = super().post_login(request, user, **more)
        return response
