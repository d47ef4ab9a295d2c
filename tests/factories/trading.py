"""What tests of the trade path do with a `PaperDesk` besides proposing and approving."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db.models import Sum
from django.utils import timezone

from apps.accounts.services import people
from apps.audit.models import Event
from apps.audit.selectors import facts_of
from apps.connectors.models import Connection
from apps.connectors.services import venue
from apps.dashboard.services.demo_policy import DEMO_RULES, INSTRUMENTS
from apps.policies.models import PolicyVersion
from apps.policies.services import trading_state
from apps.policies.types import RuleRow
from apps.quotes.services import quotes
from apps.trades.models import Order, Proposal
from apps.trades.services import market
from apps.trades.types import OrderState
from tests.factories.desk import BTC, PaperDesk, activate_policy
from tests.factories.tampering import tamper

TWO_NEEDED = [{"needed": "2", "roles": ["approver", "risk"]}]
ONE_NEEDED = [{"needed": "1", "roles": ["approver", "risk"]}]


def replayed() -> int:
    """How many stored decisions policy gives again byte for byte. SystemExit where one differs."""
    out = StringIO()
    call_command("replay_decisions", "--json", stdout=out)
    return int(json.loads(out.getvalue())["checked"])


def rules_with(**changes: dict[str, Any] | None) -> tuple[RuleRow, ...]:
    """The demo's rules with parameters of some changed (`max_order={"max_notional": "9"}`); None leaves a rule out."""
    found = []
    for row in DEMO_RULES:
        name = row.key.replace("-", "_")
        if name not in changes:
            found.append(row)
        elif (params := changes.pop(name)) is not None:
            found.append(
                RuleRow(key=row.key, kind=row.kind, params={**row.params, **params}, instrument=row.instrument)
            )
    assert not changes, f"no such rules: {sorted(changes)}"
    return tuple(found)


def change_policy(paper: PaperDesk, rules: Sequence[RuleRow] = DEMO_RULES) -> PolicyVersion:
    """Another version becomes active, as two people do it."""
    return activate_policy(paper.desk, paper.risk, paper.approver, rules, timezone.now())


def learn_meanwhile(paper: PaperDesk, monkeypatch: pytest.MonkeyPatch, *, at: datetime) -> None:
    """From now on another process writes prices and balances of `at`, whenever one decides and has what it needs."""
    fresh = market.make_fresh

    def then_others(connection: Connection, codes: Iterable[str], *, now: datetime) -> datetime:
        found = fresh(connection, codes, now=now)
        learn(paper, at=at)
        return found

    monkeypatch.setattr(market, "make_fresh", then_others)


def learn(paper: PaperDesk, *, at: datetime) -> None:
    """Another process writes prices and balances of `at`."""
    held = quotes.latest_of(paper.connection.pk, INSTRUMENTS).values()
    quotes.keep(paper.connection.pk, [replace(quote, occurred_at=at, received_at=at) for quote in held])
    Connection.objects.filter(pk=paper.connection.pk).update(balances_as_of=at)


def move(paper: PaperDesk, mid: str | Decimal, instrument: str = BTC) -> None:
    """The market stands at `mid` from now on, and the price poller has heard it."""
    paper.simulator.pin_price(instrument, mid)
    quotes.refresh(paper.connection, [instrument])


def rest(paper: PaperDesk) -> Proposal:
    """A proposal whose order works at the venue, below the market."""
    move(paper, "64000")
    proposal = paper.propose(limit_price=Decimal("60000"))
    paper.approve(proposal)
    assert paper.execute(proposal) == OrderState.ACCEPTED
    return proposal


def change_connection(paper: PaperDesk, **columns: object) -> None:
    """Columns of the connection become others, behind the guards. Its connector is closed, not only let go."""
    venue.connect(paper.connection).close()
    tamper(paper.connection, **columns)
    for name, value in columns.items():
        setattr(paper.connection, name, value)


def halt(paper: PaperDesk) -> None:
    """Somebody stops trading on the connection."""
    trading_state.halt(
        connection_id=paper.connection.pk, actor=people.actor_of(paper.trader), reason="Test.", now=timezone.now()
    )


def sent(paper: PaperDesk) -> list[dict[str, Any]]:
    """Every request to create an order that reached the venue."""
    return [request for request in paper.simulator.requests("/orders") if request["method"] == "POST"]


def kinds(proposal: Proposal) -> list[str]:
    """The kinds of every event in the proposal's stream, oldest first."""
    return list(Event.objects.filter(stream=f"proposal:{proposal.pk}").order_by("seq").values_list("kind", flat=True))


def last_state(subject: str) -> str:
    """The state that the newest event about a subject gives it."""
    states = [facts_of(event)["payload"] for event in Event.objects.filter(subject=subject).order_by("id")]
    return [str(payload["state"]) for payload in states if isinstance(payload, dict) and "state" in payload][-1]


def reserved_minor(paper: PaperDesk) -> int:
    """Worst-price notional of all orders that bind money, in 1e-8."""
    return Order.objects.filter(connection=paper.connection).live().aggregate(total=Sum("notional_minor"))["total"] or 0  # type: ignore[attr-defined]
