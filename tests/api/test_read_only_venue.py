"""Asking for a trade where Aika only reads: created, DENIED, with that reason as a line of its own, and not sent."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.services.people import actor_of
from apps.audit.types import Actor
from apps.connectors.models import Connection
from apps.connectors.services import connections, sync, venue
from apps.policies.models import Decision
from apps.policies.rules import replay, results_bytes
from apps.policies.services import trading_state
from apps.trades.models import Order, Proposal
from apps.trades.services import halting
from apps.trades.services.market import poll_once
from apps.trades.services.reconciliation import runs
from apps.trades.types import RunOutcome, RunTrigger
from tests.api.conftest import Caller
from tests.factories.desk import PaperDesk
from tests.factories.trading import replayed
from tests.venues.robinhood.double import API_KEY, Double, robinhood

pytestmark = pytest.mark.django_db
Make = Callable[..., dict[str, Any]]
CODE = "VENUE_READ_ONLY"


@pytest.fixture
def double() -> Iterator[Double]:
    with robinhood() as server:
        yield server
    venue.close_all()


@pytest.fixture
def hood(paper: PaperDesk, double: Double) -> Connection:
    """A connection of the same desk, under the same policy, on which the same key may propose."""
    made = connections.create(
        draft=connections.Draft(
            slug="hood",
            name="Hood",
            desk=paper.desk,
            environment="paper",
            api_base=double.url,
            key_name=API_KEY,
            secret=double.secret,
            venue="robinhood",
        ),
        actor=actor_of(paper.risk),
        now=timezone.now(),
    )
    sync.refresh_instruments(made, now=timezone.now())
    connections.grant(connection=made, api_key=paper.key, actor=actor_of(paper.risk), now=timezone.now())
    return made


@pytest.mark.parametrize("changes", [{}, {"quantity": "0.00000001"}, {"side": "SELL"}])
def test_it_is_created_denied_and_says_why(
    bot: Caller, body: Make, hood: Connection, double: Double, changes: dict[str, str]
) -> None:
    status, said = bot.propose(body(connection="hood", limit_price="60000") | changes)

    assert (status, said["state"]) == (201, "DENIED"), said
    decision = said["decision"]
    assert decision["codes"][0] == CODE
    first, *others = decision["lines"]
    assert (first["rule"], first["code"], first["verdict"]) == ("always/read-only", CODE, "FAIL")
    assert "only reads at Robinhood" in first["message"]
    assert CODE not in {line["code"] for line in others}
    assert decision["remedy"]["value"] is None, "no size would pass"
    row = Proposal.objects.get(pk=said["id"])
    assert (row.end_code, bytes(row.request_body)) == (CODE, b"")
    assert not Order.objects.exists()
    assert {item["method"] for item in double.requests} == {"GET"}
    assert replayed() >= 1


def test_its_story_tells_people_why(bot: Caller, body: Make, hood: Connection, paper: PaperDesk) -> None:
    _, said = bot.propose(body(connection="hood", limit_price="60000"))
    client = Client()
    client.force_login(paper.approver)
    shown = client.get(reverse("decide:story", args=[said["id"]])).content.decode()
    assert "Aika only reads at Robinhood" in shown
    assert "on Robinhood" in shown


def test_a_preview_says_the_same(bot: Caller, body: Make, hood: Connection) -> None:
    status, said = bot.post("/trades/preview", body(connection="hood", limit_price="60000", rationale=...))
    assert (status, said["decision"]["outcome"]) == (200, "DENY")
    assert CODE in said["decision"]["codes"]
    assert said["fees"]["taker_rate"] is None


def test_on_another_connection_there_is_no_such_line(bot: Caller, body: Make, hood: Connection) -> None:
    _, said = bot.propose(body())
    assert said["state"] == "AWAITING_APPROVAL"
    assert "always/read-only" not in {line["rule"] for line in said["decision"]["lines"]}
    inputs = bytes(Decision.objects.latest("pk").inputs)
    assert b"read_only" not in inputs, "frozen inputs are what they were before there were such venues"


def test_the_line_comes_from_the_frozen_inputs_alone(bot: Caller, body: Make, hood: Connection) -> None:
    """Taking the fact out of the inputs takes the line out; no other change does: a rule that read rows could not be
    replayed."""
    bot.propose(body(connection="hood", limit_price="60000"))
    row = Decision.objects.latest("pk")
    inputs = bytes(row.inputs)
    assert results_bytes(replay(inputs)) == bytes(row.results)
    value = json.loads(inputs)
    (key,) = [name for name in value["facts"] if name.startswith("TRADING_STATE:")]
    assert value["facts"][key]["values"].pop("read_only_at") == "Robinhood"
    without = replay(json.dumps(value).encode())
    assert CODE not in without.codes
    assert "always/read-only" not in {line.rule for line in without.lines}


def test_a_desk_where_nobody_is_asked_trades_there_no_more(
    bot: Caller, body: Make, hood: Connection, settings: Any
) -> None:
    settings.POLICY_REQUIRE_APPROVAL = False
    _, said = bot.propose(body(connection="hood", limit_price="60000"))
    assert (said["state"], said["decision"]["codes"][0]) == ("DENIED", CODE)


def test_the_rounds_of_every_day_pass_it_by(bot: Caller, hood: Connection, double: Double) -> None:
    """Prices, facts and the comparison with the venue read it like any other, and complain of nothing."""
    poll_once(hood, now=timezone.now())
    report = runs.reconcile(
        connection_id=hood.pk, trigger=RunTrigger.SCHEDULE, actor=Actor.system("test"), clock=timezone.now
    )
    assert (report.outcome, report.reason) == (RunOutcome.CLEAN, "")
    trading_state.halt(connection_id=hood.pk, actor=Actor.system("test"), reason="Test.", now=timezone.now())
    passes = [
        halting.clear(connection_id=hood.pk, clock=lambda at=hour: timezone.now() + timedelta(hours=at))  # type: ignore[misc]
        for hour in range(3)
    ]
    assert "DONE" in passes, "its list of open orders names none of ours"
    assert {item["method"] for item in double.requests} == {"GET"}
