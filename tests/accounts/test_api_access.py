"""Through DRF, with the authentication and permission classes the API is built from."""

from datetime import datetime

import pytest
import time_machine
from django.db import connection
from django.test import RequestFactory
from rest_framework.request import Request
from rest_framework.views import APIView

from apps.accounts.authentication import ApiKeyAuthentication, SessionPersonAuthentication, principal_of
from apps.accounts.errors import Unauthenticated
from apps.accounts.models import User
from apps.accounts.permissions import HasScope, PersonOnly
from apps.accounts.services import people
from apps.accounts.types import Principal
from apps.audit.types import ActorKind
from apps.common.errors import AikaError
from tests.factories.accounts import issue_key


@pytest.fixture(autouse=True)
def clock(now: datetime) -> object:
    with time_machine.travel(now, tick=False):
        yield


def request_with(header: str | None = None, user: User | None = None, method: str = "post") -> Request:
    headers = {"Authorization": header} if header is not None else {}
    raw = getattr(RequestFactory(enforce_csrf_checks=user is not None), method)("/api/v1/x", headers=headers)
    if user is not None:
        raw.user = user
    return Request(raw, authenticators=[ApiKeyAuthentication(), SessionPersonAuthentication()])


def refusal(request: Request, permission: type) -> str:
    with pytest.raises(AikaError) as refused:
        permission().has_permission(request, APIView())
    return refused.value.code


def test_a_key_acts_for_its_owner(trader: User, now: datetime) -> None:
    key, header = issue_key(owner=trader, now=now)

    principal = principal_of(request_with(header))

    assert principal == Principal(user_id=trader.pk, api_key_id=key.pk, name="bot (Tara Osei)")
    assert principal.reference == f"api_key:{key.pk}"
    actor = principal.actor()
    assert (actor.kind, actor.id, actor.on_behalf_of) == (ActorKind.API_KEY, str(key.pk), str(trader.pk))


def test_a_person_acts_for_themselves(trader: User) -> None:
    principal = principal_of(request_with(user=trader, method="get"))
    assert principal.is_person
    assert principal.reference == f"user:{trader.pk}"
    assert principal.actor() == people.actor_of(trader)


def test_nobody_is_nobody(db: None) -> None:
    with pytest.raises(Unauthenticated) as refused:
        principal_of(request_with())
    assert (refused.value.code, refused.value.http_status) == ("NOT_SIGNED_IN", 401)


def test_a_bad_key_never_falls_back_to_the_session(trader: User) -> None:
    with pytest.raises(Unauthenticated) as refused:
        principal_of(request_with("Bearer nonsense", user=trader, method="get"))
    assert refused.value.code == "KEY_MALFORMED"


def test_a_person_needs_the_csrf_token_to_write(trader: User) -> None:
    with pytest.raises(AikaError) as refused:
        principal_of(request_with(user=trader, method="post"))
    assert (refused.value.code, refused.value.http_status) == ("CSRF_FAILED", 403)
    assert principal_of(request_with(user=trader, method="get")).user_id == trader.pk


def test_a_key_needs_the_scope(trader: User, now: datetime) -> None:
    _, header = issue_key(owner=trader, now=now, scopes=["read"])
    assert HasScope("read")().has_permission(request_with(header), APIView())
    assert refusal(request_with(header), HasScope("propose")) == "SCOPE_MISSING"


def test_a_key_ends_with_the_role_of_its_owner(trader: User, now: datetime) -> None:
    _, header = issue_key(owner=trader, now=now, scopes=["propose"])
    assert HasScope("propose")().has_permission(request_with(header), APIView())
    trader.groups.clear()
    assert refusal(request_with(header), HasScope("propose")) == "NOT_PERMITTED"


def test_a_person_needs_the_permission(trader: User, approver: User, outsider: User) -> None:
    assert HasScope("propose")().has_permission(request_with(user=trader, method="get"), APIView())
    for person in (approver, outsider):
        assert refusal(request_with(user=person, method="get"), HasScope("propose")) == "NOT_PERMITTED"


def test_a_key_is_never_a_person(admin_user: User, approver: User, now: datetime) -> None:
    assert PersonOnly().has_permission(request_with(user=approver, method="get"), APIView())
    _, header = issue_key(owner=admin_user, now=now, scopes=["propose", "read", "report", "halt"])
    assert refusal(request_with(header), PersonOnly) == "PERSON_REQUIRED"
    assert refusal(request_with(), PersonOnly) == "NOT_SIGNED_IN"


def test_a_request_with_a_key_asks_once(trader: User, now: datetime, django_assert_num_queries: object) -> None:
    _, header = issue_key(owner=trader, now=now, scopes=["propose"])
    assert HasScope("propose")().has_permission(request_with(header), APIView())
    asked = 1 if connection.vendor == "postgresql" else 2
    with django_assert_num_queries(asked):  # type: ignore[operator]
        assert HasScope("propose")().has_permission(request_with(header), APIView())


def test_a_scope_that_does_not_exist_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="approve"):
        HasScope("approve")
