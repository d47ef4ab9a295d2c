"""A hook of each kind on the simulator's desk, and senders that use them as foreign programs do."""

import hashlib
import hmac
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts.services.people import actor_of
from apps.connectors.types import Side
from apps.trades.models import Hook, HookCall
from apps.trades.services import hooks
from apps.trades.services.hooks import Content
from tests.factories.desk import BTC, PaperDesk

TEMPLATE: dict[str, Any] = {
    "instrument": "{{ ticker | map:symbols }}",
    "side": "{{ order.action | upper }}",
    "order_type": "LIMIT",
    "time_in_force": "GTC",
    "quantity": "{{ order.size }}",
    "limit_price": "{{ price }}",
    "rationale": "{{ alert }} on {{ ticker | lower | trim }}",
    "maps": {"symbols": {"BTCUSD": BTC, "ETHUSD": "ETH-USD"}},
}


@dataclass(kw_only=True)
class Sender:
    """A program that calls a hook. `last` is the whole response."""

    hook: Hook
    secret: str
    payload: dict[str, Any]
    last: Any = None
    client: Client = field(default_factory=lambda: Client(raise_request_exception=False))

    def body(self, **changes: Any) -> bytes:
        values = {**self.payload, **changes}
        return json.dumps({name: value for name, value in values.items() if value is not ...}).encode()

    def signed(self, body: bytes, *, at: float | None = None, secret: str = "") -> str:
        """As docs/hooks.md tells senders to do it; no code of Aika's is used."""
        moment = str(int(time.time() if at is None else at))
        key = (secret or self.secret).encode()
        return f"t={moment},v1={hmac.new(key, f'{moment}.'.encode() + body, hashlib.sha256).hexdigest()}"

    def send(
        self,
        body: bytes | None = None,
        *,
        at: float | None = None,
        signature: str | None = None,
        delivery: str = "",
        content_type: str = "application/json",
        **headers: str,
    ) -> tuple[int, dict[str, Any]]:
        raw = self.body() if body is None else body
        if self.hook.mode == "signed":
            signature = self.signed(raw, at=at) if signature is None else signature
        sent = {"Aika-Signature": signature, "Aika-Delivery": delivery, **headers}
        sent = {name: value for name, value in sent.items() if value}
        self.last = self.client.post(self.hook.path, raw, content_type=content_type, headers=sent)
        return self.last.status_code, self.last.json()

    @property
    def calls(self) -> list[HookCall]:
        return list(HookCall.objects.filter(hook=self.hook).order_by("called_at", "code"))

    @property
    def codes(self) -> list[tuple[str, str]]:
        return [(call.outcome, call.code) for call in self.calls]


def payload_for(paper: PaperDesk, **more: Any) -> dict[str, Any]:
    """What a chart program sends: numbers as numbers, its own names for everything."""
    price = str(paper.crossing_price(BTC, Side.BUY))
    return {"ticker": "BTCUSD", "order": {"action": "buy", "size": 0.01}, "price": price, "alert": "Crossed", **more}


def make_sender(
    paper: PaperDesk, mode: str = "signed", *, enabled: bool = True, networks: Sequence[str] = (), **changes: Any
) -> Sender:
    now, actor = timezone.now(), actor_of(paper.risk)
    content = Content(connection=paper.connection, mode=mode, template=TEMPLATE)
    hook, secret = hooks.create(
        name=f"alerts-{uuid4().hex[:8]}",
        owner=paper.trader,
        content=replace(content, **changes),
        expires_at=now + timedelta(days=90),
        actor=actor,
        now=now,
        networks=networks,
    )
    if enabled:
        hook = hooks.enable(hook_id=hook.pk, actor=actor, now=now)
    more = {"secret": secret} if mode == "body_secret" else {}
    return Sender(hook=hook, secret=secret, payload=payload_for(paper, **more))


@pytest.fixture
def signing(paper: PaperDesk) -> Sender:
    """A sender that signs."""
    return make_sender(paper)


@pytest.fixture
def charting(paper: PaperDesk) -> Sender:
    """A sender that cannot sign, and has the secret in its body."""
    return make_sender(paper, "body_secret")
