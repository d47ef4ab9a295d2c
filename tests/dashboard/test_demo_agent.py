"""The demo's program against a server on a socket: it asks, follows remedies, waits as told, and never floods."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone
from pytest_django.live_server_helper import LiveServer

from apps.accounts.services import api_keys
from apps.connectors.services import connections
from apps.dashboard import demo_agent
from apps.dashboard.demo_agent import Agent, Api, Refused
from apps.dashboard.management.commands import demo_agent as command
from apps.dashboard.rules import demo_past
from apps.dashboard.services import demo_past as past
from apps.dashboard.services.demo_people import SEEDING
from apps.quotes.services import quotes
from apps.trades.models import Proposal
from tests.factories.desk import PaperDesk
from tests.races.conftest import desk as desk

pytestmark = pytest.mark.django_db(transaction=True)

CODES = ["BTC-USD", "SOL-USD", "DOGE-USD", "ADA-USD", "ETH-USD"]
OVERREACHES = 32
"""With this seed the first ask of an ordinary day is far beyond the desk's limits."""


class Told:
    """What the agent says, and how long it waits; each pause is as good as a new minute."""

    def __init__(self, desk: PaperDesk) -> None:
        self.lines: list[str] = []
        self.waits: list[float] = []
        self.later = timedelta(0)
        self.refresh = lambda: quotes.refresh(desk.connection, CODES)
        self.refresh()

    def pause(self, seconds: float) -> None:
        self.waits.append(seconds)
        cache.clear()
        self.refresh()

    def clock(self) -> datetime:
        return timezone.now() + self.later

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


Make = Callable[..., Agent]


@pytest.fixture
def told(desk: PaperDesk) -> Told:
    return Told(desk)


@pytest.fixture
def make(desk: PaperDesk, live_server: LiveServer, told: Told) -> Make:
    """An agent with the desk's key, or with another."""

    def agent(*, most: int = 6, key: str = desk.authorization.removeprefix("Bearer ")) -> Agent:
        api = Api(live_server.url, key, pause=told.pause, say=told.lines.append)
        return Agent(
            api=api,
            say=told.lines.append,
            most=most,
            seed=OVERREACHES,
            clock=told.clock,
            connection=desk.connection.slug,
        )

    return agent


def states() -> list[str]:
    return list(Proposal.objects.order_by("created_at").values_list("state", flat=True))


def test_it_keeps_three_waiting_reads_their_lessons_and_then_leaves_people_alone(
    desk: PaperDesk, make: Make, told: Told
) -> None:
    past.remember(desk.connection, desk.risk, clock=timezone.now)
    agent = make(most=3)

    assert [agent.turn() for _ in range(4)] == [True, True, True, False]

    assert states() == ["AWAITING_APPROVAL"] * 3
    assert {one.api_key_id for one in Proposal.objects.all()} == {desk.key.pk}
    assert f"Next time: {demo_past.NO_STOP.next_time}" in told.text
    assert told.lines[-1] == "3 proposals wait for people; that is enough."


def test_what_nobody_decided_on_for_long_makes_room_for_one_ask(make: Make, told: Told) -> None:
    agent = make(most=4)
    assert [agent.turn() for _ in range(5)] == [True, True, True, True, False]

    told.later = timedelta(minutes=6)
    assert agent.turn()

    waiting = Proposal.objects.filter(state="AWAITING_APPROVAL")
    (withdrawn,) = Proposal.objects.filter(state="WITHDRAWN")
    assert (withdrawn.tags, waiting.count()) == (["demo", "demo-ordinary"], 4)
    assert f"Nobody decided on {withdrawn.label}: WITHDRAWN" in told.lines


def test_a_denial_is_answered_with_what_would_pass(make: Make, told: Told) -> None:
    agent = make()
    for _ in range(4):
        assert agent.turn()

    assert states() == ["AWAITING_APPROVAL"] * 3 + ["DENIED", "AWAITING_APPROVAL"]
    denied, smaller = Proposal.objects.order_by("created_at")[3:]
    remedy = json.loads(bytes(denied.decision.results))["remedy"]
    assert smaller.quantity is not None and denied.quantity is not None
    assert (str(smaller.quantity.normalize()), smaller.supersedes_id) == (remedy["value"], denied.pk)
    assert smaller.quantity < denied.quantity
    assert remedy["sentence"] in told.text


def test_it_waits_as_long_as_it_is_told_and_asks_once(desk: PaperDesk, make: Make, told: Told) -> None:
    key, secret = api_keys.issue(
        owner=desk.trader, name="slow", scopes=["propose", "read"], expires_at=timezone.now() + timedelta(days=1),
        actor=SEEDING, now=timezone.now(), requests_per_minute=2,
    )  # fmt: skip
    connections.grant(connection=desk.connection, api_key=key, actor=SEEDING, now=timezone.now())
    agent = make(key=secret)

    assert [agent.turn() for _ in range(2)] == [True, True]

    assert len(told.waits) == 1
    assert 1 <= told.waits[0] <= 60
    assert f"Aika answers 429; again in {told.waits[0]} s." in told.lines
    assert states() == ["AWAITING_APPROVAL"] * 2


def test_a_key_that_is_no_good_ends_it(desk: PaperDesk, make: Make) -> None:
    with pytest.raises(Refused) as refused:
        make(key=f"{desk.authorization.removeprefix('Bearer ')[:-4]}AAAA").turn()
    assert (refused.value.status, refused.value.code) == (401, "KEY_UNKNOWN")


def test_a_venue_that_is_away_is_waited_for(desk: PaperDesk, make: Make, told: Told) -> None:
    cache.clear()
    desk.simulator.add_fault("best_bid_ask", "5xx-after", probability="1")
    told.refresh = desk.simulator.clear_faults  # type: ignore[assignment]  # what it answers is asked by nobody

    assert make().turn()

    assert told.lines[0].startswith("Aika answers 503; again in ")
    assert states() == ["AWAITING_APPROVAL"]


def test_a_server_that_is_away_is_tried_again_and_then_given_up(
    told: Told, capsys: pytest.CaptureFixture[str], tmp_path: Path, settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    settings.DATA_DIR = tmp_path
    with pytest.raises(CommandError, match="no key"):
        call_command("demo_agent", once=True)

    (tmp_path / "demo.json").write_text('{"url": "http://127.0.0.1:9", "api_key": "aika_a_b"}', encoding="utf-8")
    monkeypatch.setattr(demo_agent, "PAUSE_S", 0)
    monkeypatch.setattr(command, "STEP_S", 0)
    with pytest.raises(CommandError, match="AIKA_AWAY"):
        call_command("demo_agent", once=True)
    assert capsys.readouterr().out.count("Aika does not answer") == demo_agent.TRIES_MAX


def test_never_in_production(settings: Any) -> None:
    settings.ENVIRONMENT = "production"
    with pytest.raises(CommandError, match="never run in production"):
        call_command("demo_agent", once=True)
