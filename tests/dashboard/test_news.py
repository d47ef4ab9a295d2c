"""What a desk hears of the audit log: everything once, late commits too, and each caller only their own."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts.sockets import Caller, Credential
from apps.accounts.types import Principal
from apps.audit.types import Happened
from apps.connectors.selectors import all_connections
from apps.dashboard import live
from apps.dashboard.rules.news import MISSED_KEPT_S, MISSED_MAX, News, Place, Sight, Told, told_of
from apps.trades.services import withdrawals
from tests.factories.accounts import UserFactory
from tests.factories.connectors import ConnectionFactory
from tests.factories.desk import PaperDesk
from tests.factories.trading import halt

AT = datetime(2026, 11, 29, 12, tzinfo=UTC)


class OnlyTheLast(Place):
    """What one writes first: the highest number seen."""

    def _wait_for(self, given_out: "range | tuple[int, ...]", seen: set[int], at: float) -> None:
        return


def told(place: Place, order: list[int], polls: list[int]) -> list[int]:
    """Numbers commit in this order; the reader looks after so many of them."""
    found: list[int] = []
    for until in [*sorted(polls), len(order)]:
        visible = [number for number in order[:until] if number > place.last or number in place.missed]
        place.take(visible, 0.0)
        found += visible
    return found


ORDERS = st.integers(1, 30).flatmap(lambda n: st.permutations(range(1, n + 1)))


@given(order=ORDERS, polls=st.lists(st.integers(0, 30), max_size=10))
def test_whatever_the_order_of_commits_each_number_is_told_exactly_once(order: list[int], polls: list[int]) -> None:
    assert sorted(told(Place(last=0), order, polls)) == sorted(order)


def test_a_reader_that_keeps_only_the_highest_number_loses_a_late_commit() -> None:
    order, polls = [2, 1, 3], [1, 2]

    assert sorted(told(Place(last=0), order, polls)) == [1, 2, 3]
    assert sorted(told(OnlyTheLast(last=0), order, polls)) == [2, 3]


def test_what_is_waited_for_is_bounded_in_time_and_number() -> None:
    place = Place(last=0)
    place.take([10], 0.0)
    assert sorted(place.missed) == list(range(1, 10))
    place.take([], MISSED_KEPT_S)
    assert len(place.missed) == 9
    place.take([], MISSED_KEPT_S + 1)
    assert not place.missed
    place.take([10 + 10 * MISSED_MAX], 0.0)
    assert len(place.missed) == MISSED_MAX
    assert max(place.missed) == 9 + 10 * MISSED_MAX


def test_a_reader_that_begins_waits_for_what_is_missing_just_before() -> None:
    assert Place.at_end([], 0.0) == Place(last=0)
    assert Place.at_end([9, 8, 5], 0.0) == Place(last=9, missed={6: 0.0, 7: 0.0})


@pytest.mark.parametrize(
    ("kind", "subject", "expected"),
    [
        ("proposal.proposed", "p", Told("proposal", "p")),
        ("vote.approve", "p", Told("proposal", "p")),
        ("order.filled", "o", Told("order", "o")),
        ("order.fill", "o", Told("fill", "o")),
        ("difference.found", "difference:d", Told("difference", "d")),
        ("alarm.raised", "alarm:7", Told("alarm", "7")),
        ("latch.tripped", "trading_state:global", Told("trading-state", "global")),
        ("connection.deactivated", "connection:paper", Told("connection", "paper")),
        ("api_key.issued", "api_key:k", None),
        ("user.changed", "user:u", None),
        ("budgets.reserved", "reservation:r", None),
        ("audit.verified", "audit:verification", None),
    ],
)
def test_a_desk_hears_of_trading_and_of_nothing_else(kind: str, subject: str, expected: Told | None) -> None:
    assert told_of(Happened(1, kind, subject, AT)) == expected


def caller(user: object, *, key: bool = False) -> Caller:
    """As somebody at a socket."""
    person = user  # a User
    principal = Principal(user_id=person.pk, api_key_id=uuid4() if key else None, name="x")  # type: ignore[attr-defined]
    return Caller(Credential(), principal, person)  # type: ignore[arg-type]


def sight_of(one: Caller) -> Sight:
    return live.sights_of([one])[one.credential]


def shown(sight: Sight, news: list[News]) -> list[str]:
    return [item.kind for item in news if sight.shows(item)]


@pytest.mark.django_db
def test_the_life_of_a_proposal_is_told_in_order_with_the_states_it_is_in(paper: PaperDesk) -> None:
    elsewhere = sight_of(caller(UserFactory(role="trader", desk=ConnectionFactory().desk)))
    log = live.Log(0.0)
    bought, taken_back = paper.propose(), paper.propose(quantity=Decimal("0.011"))
    paper.approve(bought)
    paper.execute(bought)
    paper.poll(bought)
    withdrawals.withdraw(proposal_id=taken_back.pk, principal=paper.principal, reason="", now=timezone.now())
    halt(paper)
    news = log.read(1.0)
    mine = sight_of(caller(paper.trader))

    kinds = shown(mine, news)
    assert kinds[:2] == ["proposal.proposed", "proposal.proposed"]
    for kind in ("vote.approve", "proposal.approved", "order.submitted", "order.fill", "order.filled"):
        assert kind in kinds
    assert kinds[-1] == "trading_state.halted"
    assert [item.id for item in news] == sorted(item.id for item in news)
    states = {item.told: item.state for item in news}
    assert states[Told("proposal", str(bought.pk))] == "APPROVED"
    assert states[Told("proposal", str(taken_back.pk))] == "WITHDRAWN"
    assert states[Told("order", str(paper.order_of(bought).pk))] == "FILLED"
    assert states[Told("trading-state", str(paper.connection.pk))] == "HALTED"
    assert {item.connection for item in news if sight_of_trading(item)} == {paper.connection.slug}
    assert shown(elsewhere, news) == []
    assert log.read(2.0) == []
    # A program hears what its owner asked; another owner's, on the same connection, does not.
    own = Sight(names=mine.names, alarms=False, proposer=paper.trader.pk)
    assert "order.filled" in shown(own, news)
    another = Sight(names=mine.names, alarms=False, proposer=paper.approver.pk)
    assert set(shown(another, news)) == {"trading_state.halted"}


def sight_of_trading(item: News) -> bool:
    return item.told.subject in {"proposal", "order", "fill", "trading-state"}


@pytest.mark.django_db
def test_how_everything_stands_is_cut_to_what_a_caller_may_see(paper: PaperDesk) -> None:
    import json

    paper.propose()
    other = ConnectionFactory(slug="other", name="Other")
    standing = live.standing(timezone.now())
    mine = json.loads(standing.text_for(sight_of(caller(paper.trader))))
    theirs = json.loads(standing.text_for(sight_of(caller(UserFactory(role="trader", desk=other.desk)))))
    admin = json.loads(standing.text_for(sight_of(caller(UserFactory(is_superuser=True)))))

    assert (mine["waiting"], theirs["waiting"], admin["waiting"]) == (1, 0, 1)
    assert [row["connection"] for row in mine["trading_state"]["connections"]] == [paper.connection.slug]
    assert [row["connection"] for row in theirs["trading_state"]["connections"]] == ["other"]
    assert len(admin["trading_state"]["connections"]) == all_connections().count()
    feed = {"market": "m", "connections": ["other", paper.connection.slug], "state": "LIVE"}
    alone = {"market": "n", "connections": ["other"], "state": "DOWN"}
    shown_to = json.loads(replace(standing, feeds=[feed, alone]).text_for(sight_of(caller(paper.trader))))
    assert shown_to["feeds"] == [{**feed, "connections": [paper.connection.slug]}]
    halt(paper)
    both = json.loads(live.standing(timezone.now()).text_for(sight_of(caller(UserFactory(is_superuser=True)))))
    assert (both["trading_state"]["code"], both["trading_state"]["everything"]) == ("ACTIVE", "ACTIVE")
    assert both["trading_state"]["words"] == f"ACTIVE, {paper.connection.name} HALTED"
