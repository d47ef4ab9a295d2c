"""Whatever comes in whatever order from either book, a fill counts once and nothing goes back."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.connectors.services import venue
from apps.connectors.stream_types import OrderUpdate
from apps.connectors.types import VenueFill, VenueOrder, VenueOrderState
from apps.trades.models import Fill, Order, Position, Proposal
from apps.trades.rules.news import LOOK_AGAIN_AFTER, Owed, Shown, further, is_shown
from apps.trades.services import fills
from apps.trades.types import OrderState
from tests.factories.desk import PaperDesk
from tests.factories.trading import kinds, move

PARTS = (Decimal("0.001"), Decimal("0.004"), Decimal("0.002"), Decimal("0.003"))
WHOLE = sum(PARTS)
ENDED = len(PARTS) + 1
NOW = datetime(2026, 3, 2, 14, 46, tzinfo=UTC)
RANK = {OrderState.ACCEPTED: 0, OrderState.PARTIALLY_FILLED: 1, OrderState.FILLED: 2}


class Undo(Exception):
    """Takes an example's rows back."""


@pytest.fixture
def accepted(paper: PaperDesk) -> Proposal:
    """Taken by the venue, and nothing booked of it yet."""
    move(paper, "64000")
    proposal = paper.propose()
    paper.approve(proposal)
    assert paper.execute(proposal) == OrderState.ACCEPTED
    return proposal


def views(told: VenueOrder) -> list[VenueOrder]:
    """The order after no, one, two ... parts, and at its end."""
    filled = [sum(PARTS[:count], Decimal(0)) for count in range(len(PARTS) + 1)]
    working = [replace(told, state=VenueOrderState.OPEN, filled_quantity=quantity) for quantity in filled]
    return [*working, replace(told, state=VenueOrderState.FILLED, filled_quantity=WHOLE)]


# Which view of the order, and how many of its fills the list had: either may be behind the other.
READS = st.lists(st.tuples(st.integers(0, ENDED), st.integers(0, len(PARTS))), max_size=12)


@pytest.mark.django_db
@given(reads=READS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=12)
def test_both_books_in_any_order_count_once(
    paper: PaperDesk, accepted: Proposal, reads: Sequence[tuple[int, int]]
) -> None:
    order = paper.order_of(accepted)
    connector = venue.connect(paper.connection)
    told = connector.order(order.venue_order_id)
    (one,) = connector.fills(venue_order_id=order.venue_order_id)
    parts = [replace(one, venue_fill_id=str(uuid4()), trade_id=str(uuid4()), quantity=part) for part in PARTS]
    with pytest.raises(Undo), transaction.atomic():
        _book_all(order, views(told), parts, reads)
        assert Fill.objects.filter(order=order).count() == len(parts)
        assert Position.objects.get(connection=paper.connection).quantity == WHOLE
        assert kinds(accepted).count("order.fill") == len(parts)
        assert kinds(accepted).count("order.filled") == 1
        raise Undo


def _book_all(order: Order, seen: list[VenueOrder], parts: list[VenueFill], reads: Sequence[tuple[int, int]]) -> None:
    before = (-1, Decimal(0))
    for view, count in [*reads, (ENDED, len(parts))]:
        fills.book(order_id=order.pk, told=seen[view], fills=parts[:count], now=timezone.now())
        order.refresh_from_db()
        after = (RANK[OrderState(order.state)], order.filled_quantity)
        assert after >= before and order.filled_quantity <= WHOLE
        before = after
    assert (order.state, order.filled_quantity) == (OrderState.FILLED, WHOLE)


def update(state: VenueOrderState, filled: int) -> OrderUpdate:
    return OrderUpdate(
        venue_order_id="one",
        client_order_id="",
        instrument="BTC-USD",
        side=None,
        state=state,
        venue_state=state.value,
        filled_quantity=Decimal(filled),
        average_fill_price=None,
        total_fees=Decimal(0),
        fills=None,
        reason="",
        created_at=None,
    )


UPDATES = st.builds(update, st.sampled_from(VenueOrderState), st.integers(0, 5))
ROWS = st.builds(Shown, st.uuids(), st.sampled_from(OrderState), st.integers(0, 5).map(Decimal))


@given(one=UPDATES, other=UPDATES, row=ROWS)
def test_the_further_message_is_shown_last(one: OrderUpdate, other: OrderUpdate, row: Shown) -> None:
    ahead = further(one, other)
    assert ahead in (one, other)
    assert not is_shown(ahead, row) or ahead.state.is_final or (is_shown(one, row) and is_shown(other, row))
    same = further(other, one)
    assert (same.state.is_final, same.filled_quantity) == (ahead.state.is_final, ahead.filled_quantity)


@given(st.lists(UPDATES, min_size=1, max_size=10))
def test_what_is_owed_is_the_furthest_and_is_looked_after_at_once(updates: list[OrderUpdate]) -> None:
    owed = Owed()
    for item in updates:
        owed.add(item, NOW)
    (due,) = owed.due(NOW)
    assert due.state.is_final is any(item.state.is_final for item in updates)
    assert due.filled_quantity == max(
        item.filled_quantity for item in updates if item.state.is_final is due.state.is_final
    )


def test_looks_are_spaced_and_come_to_an_end() -> None:
    owed, now, looks = Owed(), NOW, 0
    owed.add(update(VenueOrderState.FILLED, 1), now)
    while len(owed):
        for item in owed.due(now):
            looks += 1
            owed.looked(item, now)
            assert owed.due(now) == []
        now += timedelta(milliseconds=50)
    assert looks == len(LOOK_AGAIN_AFTER) + 1


def test_a_later_message_is_looked_after_at_once_and_an_older_one_changes_nothing() -> None:
    owed = Owed()
    owed.add(update(VenueOrderState.OPEN, 1), NOW)
    owed.looked(owed.due(NOW)[0], NOW)
    owed.add(update(VenueOrderState.OPEN, 1), NOW)
    owed.add(update(VenueOrderState.OPEN, 0), NOW)
    assert owed.due(NOW) == []
    owed.add(update(VenueOrderState.OPEN, 2), NOW)
    assert [item.filled_quantity for item in owed.due(NOW)] == [2]
    owed.settle(update(VenueOrderState.OPEN, 2))
    assert len(owed) == 0
