"""Callers of the API: a program with the desk's key, people who signed in, and what a good proposal looks like."""

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.connectors.types import Side
from tests.factories.desk import BTC, PaperDesk

API = "/api/v1"


class Caller:
    """A client that speaks JSON and answers (status, body); `last` is the whole response."""

    def __init__(self, client: Client, **headers: str) -> None:
        self.client = client
        self.headers = headers
        self.last: Any = None

    def get(self, path: str, **headers: str) -> tuple[int, Any]:
        self.last = self.client.get(f"{API}{path}", headers=self.headers | headers)
        return self.last.status_code, self.last.json()

    def post(self, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        raw = body if isinstance(body, bytes | str) else json.dumps({} if body is None else body)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        self.last = self.client.post(
            f"{API}{path}", raw, content_type=sent.pop("content-type", "application/json"), headers=self.headers | sent
        )
        return self.last.status_code, self.last.json()

    def propose(self, body: Any, key: str | None = None) -> tuple[int, Any]:
        return self.post("/trades/proposals", body, Idempotency_Key=key or str(uuid4()))


def with_header(authorization: str) -> Caller:
    """A program that sends this Authorization header. A new client each: no cookies."""
    return Caller(Client(raise_request_exception=False), Authorization=authorization)


@pytest.fixture
def bot(paper: PaperDesk) -> Caller:
    """The trader's program: a key with every scope, granted on the desk's connection."""
    return with_header(paper.authorization)


@pytest.fixture
def signed_in() -> Callable[[User], Caller]:
    """A person in a browser, past sign-in; CSRF as Django's test client has it, that is, not asked for."""

    def sign_in(person: User) -> Caller:
        client = Client(raise_request_exception=False)
        client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
        return Caller(client)

    return sign_in


@pytest.fixture
def body(paper: PaperDesk) -> Callable[..., dict[str, Any]]:
    """A proposal that reaches people: buy 0.01 BTC a little through the book. Keywords change or (with ...) drop."""

    def make(**changes: Any) -> dict[str, Any]:
        values: dict[str, Any] = {
            "connection": paper.connection.slug,
            "instrument": BTC,
            "side": "BUY",
            "order_type": "LIMIT",
            "time_in_force": "GTC",
            "quantity": "0.01",
            "limit_price": str(paper.crossing_price(BTC, Side.BUY)),
            "rationale": "Because the test says so.",
        }
        values |= changes
        return {name: value for name, value in values.items() if value is not ...}

    return make
