"""The user channel at work: the real stream from the real simulator, real reads, and the rows that come of it."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from apps.connectors.models import Connection, Lease
from apps.connectors.services import leases, streams, venue
from apps.connectors.stream_types import Beat, Live, Lost, Orders, StreamEvent
from apps.connectors.venues.coinbase.stream import Timing
from apps.trades.models import Fill, Order, Position, Proposal
from apps.trades.services import fills, orders, resolution, sweeps, user_channel
from apps.trades.types import OrderState
from tests.factories.desk import PaperDesk
from tests.factories.trading import kinds, move

pytestmark = pytest.mark.django_db

SOON = Timing(silence_s=0.5, ready_s=3.0, backoff_s=0.02, backoff_cap_s=0.1)
MID = "64000"
EVENTS_MAX = 400
Act = Callable[[StreamEvent], bool]


@dataclass
class Desk:
    """A desk, and a follower in this very thread: between two events the test acts."""

    paper: PaperDesk
    published: list[tuple[str, UUID]]
    events: list[StreamEvent] = field(default_factory=list)

    @property
    def name(self) -> str:
        return streams.user_stream_name(self.paper.connection.pk)

    def take(self, holder: str = "one") -> leases.Held | None:
        return leases.take(name=self.name, holder=holder, ttl=user_channel.LEASE_TTL, now=timezone.now())

    def follow(self, act: Act, clock: Callable[[], datetime] = timezone.now) -> None:
        """Follow until `act`, called after each event was heard, says that it is enough."""
        held = self.take()
        assert held is not None
        real = streams.user_stream(Connection.objects.get(pk=self.paper.connection.pk), timing=SOON)
        stop = threading.Event()
        driven = _Driven(real, self.events, act, stop)
        user_channel.follow(self.paper.connection, held=held, stop=stop, clock=clock, stream=driven)

    def state(self, proposal: Proposal) -> str:
        return self.paper.order_of(proposal).state

    def approved(self, **changes: object) -> Proposal:
        proposal = self.paper.propose(**changes)
        self.paper.approve(proposal)
        return proposal

    def polls(self) -> list[UUID]:
        return [order_id for name, order_id in self.published if name == "trades.poll_order"]


@dataclass
class _Driven:
    real: streams.EventStream
    events: list[StreamEvent]
    act: Act
    stop: threading.Event

    def listen(self, stop: threading.Event) -> Iterator[StreamEvent]:
        listening = self.real.listen(stop)
        try:
            for event in listening:
                self.events.append(event)
                yield event
                assert len(self.events) < EVENTS_MAX, self.events[-5:]
                if self.act(event):
                    self.stop.set()
                    return
        finally:
            listening.close()  # type: ignore[attr-defined]  # a generator


@pytest.fixture
def desk(paper: PaperDesk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Whatever is published is done at once, as a worker would."""
    paper.simulator.options(heartbeat_ms=50, connects_per_s=1000)
    move(paper, MID)
    made = Desk(paper, [])

    def work(name: str, *, order_id: UUID) -> None:
        made.published.append((name, order_id))
        if name == "trades.poll_order":
            fills.poll_order(order_id=order_id, now=timezone.now())
        elif name == "trades.resolve_order":
            resolution.resolve(order_id=order_id, clock=timezone.now)

    monkeypatch.setattr(user_channel, "publish", work)
    monkeypatch.setattr(sweeps, "publish", work)
    monkeypatch.setattr(orders, "publish", lambda name, **ids: None)
    return made


def when_live(then: Callable[[], object], done: Callable[[], bool]) -> Act:
    """Do something once the stream is live, and go on until something is so."""
    begun: list[object] = []

    def act(event: StreamEvent) -> bool:
        if isinstance(event, Live) and not begun:
            begun.append(then())
        return bool(begun) and done()

    return act


def test_an_order_is_filled_on_the_venues_word_alone(desk: Desk) -> None:
    proposal = desk.approved()
    desk.follow(when_live(lambda: desk.paper.execute(proposal), lambda: desk.state(proposal) == OrderState.FILLED))
    assert Position.objects.get().quantity == Decimal("0.01")
    assert set(desk.polls()) == {desk.paper.order_of(proposal).pk}
    assert kinds(proposal).count("order.filled") == 1


def test_a_resting_order_fills_in_parts_and_its_end_is_told(desk: Desk) -> None:
    """The price comes to it; nothing polls."""
    proposal = desk.approved(limit_price=Decimal("63000"), quantity=Decimal("0.01"))

    def rest_then_fill() -> None:
        assert desk.paper.execute(proposal) == OrderState.ACCEPTED
        desk.paper.simulator.pin_price("BTC-USD", "62000")

    desk.follow(when_live(rest_then_fill, lambda: desk.state(proposal) == OrderState.FILLED))
    order = desk.paper.order_of(proposal)
    booked = Fill.objects.filter(order=order)
    assert sum(fill.quantity for fill in booked) == order.filled_quantity == Decimal("0.01")


def test_a_cancel_made_elsewhere_is_heard_of(desk: Desk) -> None:
    proposal = desk.approved(limit_price=Decimal("60000"))

    def rest_then_cancel() -> None:
        desk.paper.execute(proposal)
        venue.connect(desk.paper.connection).cancel_orders([desk.paper.order_of(proposal).venue_order_id])

    desk.follow(when_live(rest_then_cancel, lambda: desk.state(proposal) == OrderState.CANCELED))
    assert desk.state(proposal) == OrderState.CANCELED
    assert not Fill.objects.filter(order=desk.paper.order_of(proposal)).exists()


def test_lists_behind_the_socket_are_looked_at_again(desk: Desk) -> None:
    """The order counts a fill that the list does not have yet: the money stays bound until it does."""
    proposal = desk.approved()
    desk.paper.simulator.add_fault("fills", "lost-fills", count=2)
    seen: list[str] = []

    def ended() -> bool:
        seen.append(desk.state(proposal))
        return seen[-1] == OrderState.FILLED

    desk.follow(when_live(lambda: desk.paper.execute(proposal), ended))
    assert OrderState.ACCEPTED in seen
    assert len(desk.polls()) >= 3
    assert Fill.objects.count() == 1


@pytest.mark.parametrize("kind", ["gap", "drop", "reorder", "close"])
def test_what_happened_while_nobody_listened_is_read_on_the_return(desk: Desk, kind: str) -> None:
    proposal = desk.approved()

    def lose_and_trade() -> None:
        # The order's own news is what gets lost.
        desk.paper.simulator.add_socket_fault(
            kind, "user", **({"count": 6, "channel": "user"} if kind == "gap" else {})
        )
        desk.paper.execute(proposal)

    desk.follow(when_live(lose_and_trade, lambda: desk.state(proposal) == OrderState.FILLED))
    assert any(isinstance(event, Lost) for event in desk.events) or kind == "reorder"
    assert Fill.objects.count() == 1
    health = streams.health_of(desk.name)
    assert health is not None and (health.losses >= 1 or kind == "reorder")


@pytest.mark.parametrize("kind", ["duplicate", "repeat", "reorder"])
def test_doubled_and_swapped_messages_count_once(desk: Desk, kind: str) -> None:
    proposal = desk.approved()

    def double() -> None:
        desk.paper.simulator.add_socket_fault(kind, "user", count=4, channel="user")
        desk.paper.simulator.add_fault("fills", "duplicate-fills", count=10)
        desk.paper.execute(proposal)

    desk.follow(when_live(double, lambda: desk.state(proposal) == OrderState.FILLED))
    assert Fill.objects.count() == 1
    assert Position.objects.get().quantity == Decimal("0.01")
    assert kinds(proposal).count("order.fill") == 1


def test_polled_as_well_it_counts_once(desk: Desk) -> None:
    """Both books tell of the same execution."""
    proposal = desk.approved()

    def trade_and_poll() -> None:
        desk.paper.execute(proposal)
        desk.paper.poll(proposal)

    heard = when_live(trade_and_poll, lambda: True)
    desk.follow(lambda event: heard(event) and isinstance(event, Orders) and not event.is_snapshot)
    desk.paper.poll(proposal)
    assert desk.state(proposal) == OrderState.FILLED
    assert Fill.objects.count() == 1 and kinds(proposal).count("order.fill") == 1
    assert Position.objects.get().quantity == Decimal("0.01")


def test_what_a_row_shows_already_is_not_asked_about(desk: Desk) -> None:
    proposal = desk.approved()

    def done(event: StreamEvent) -> bool:
        return isinstance(event, Orders) and not event.is_snapshot and event.updates[0].state.is_final

    def trade_and_poll() -> None:
        desk.paper.execute(proposal)
        desk.paper.poll(proposal)

    begin = when_live(trade_and_poll, lambda: False)
    desk.follow(lambda event: begin(event) or done(event))
    assert desk.polls() == []


def test_an_order_that_is_not_ours_is_left_alone(desk: Desk) -> None:
    proposal = desk.approved()
    body = bytes(desk.paper.order_of(proposal).request_body)
    other = body.replace(str(proposal.client_order_id).encode(), b"somebody-elses-id")

    heard = when_live(lambda: venue.connect(desk.paper.connection).place_order(other), lambda: True)
    desk.follow(lambda event: heard(event) and isinstance(event, Orders) and not event.is_snapshot)
    assert desk.published == []
    assert desk.state(proposal) == OrderState.INITIALIZED


def test_an_order_of_unknown_fate_is_looked_for_at_once(desk: Desk) -> None:
    """The answer to the create is lost; the venue's own word of the order is not."""
    proposal = desk.approved()

    def trade() -> None:
        desk.paper.simulator.add_fault("create", "5xx-after")
        assert desk.paper.execute(proposal) == OrderState.UNKNOWN
        order = desk.paper.order_of(proposal)
        Order.objects.filter(pk=order.pk).update(next_attempt_at=timezone.now() + timedelta(hours=1))

    desk.follow(when_live(trade, lambda: desk.state(proposal) == OrderState.FILLED))
    assert ("trades.resolve_order", desk.paper.order_of(proposal).pk) in desk.published
    assert len(desk.paper.simulator.orders()) == 1


def test_who_lost_the_lease_stops(desk: Desk) -> None:
    held = desk.take()
    assert held is not None and desk.take("two") is None
    ahead = [timedelta(0)]

    def act(event: StreamEvent) -> bool:
        if isinstance(event, Live):
            Lease.objects.filter(name=desk.name).update(holder="two", fence=held.fence + 9)
            ahead[0] = user_channel.RENEW_EVERY
        return False

    desk.follow(act, clock=lambda: timezone.now() + ahead[0])
    assert Lease.objects.get(name=desk.name).holder == "two"


def test_the_end_lets_the_next_one_in_and_says_so(desk: Desk) -> None:
    desk.follow(when_live(lambda: None, lambda: True))
    health = streams.health_of(desk.name)
    assert health is not None and health.live_since is None and health.heard_at is not None
    assert desk.take("two") is not None


def test_polls_are_rare_while_the_channel_is_live_and_quick_without_it(desk: Desk) -> None:
    proposal = desk.approved(limit_price=Decimal("60000"))
    assert desk.paper.execute(proposal) == OrderState.ACCEPTED
    order_id = desk.paper.order_of(proposal).pk
    desk.paper.poll(proposal)
    polled_at = desk.paper.order_of(proposal).polled_at
    assert polled_at is not None
    counts: dict[str, int] = {}

    def act(event: StreamEvent) -> bool:
        if isinstance(event, Live):
            counts["never polled"] = _swept(desk, order_id, polled_at=None, now=timezone.now())
            counts["live"] = _swept(desk, order_id, polled_at=timezone.now(), now=timezone.now())
            long_ago = timezone.now() - sweeps.POLL_TOLD_EVERY
            counts["live, long ago"] = _swept(desk, order_id, polled_at=long_ago, now=timezone.now())
        return "live" in counts

    desk.follow(act)
    counts["dead"] = _swept(desk, order_id, polled_at=timezone.now(), now=timezone.now())
    assert counts == {"never polled": 1, "live": 0, "live, long ago": 1, "dead": 1}


def _swept(desk: Desk, order_id: UUID, *, polled_at: datetime | None, now: datetime) -> int:
    Order.objects.filter(pk=order_id).update(polled_at=polled_at)
    return sweeps.publish_polls(now=now)


def test_a_silent_socket_is_not_relied_on(desk: Desk) -> None:
    desk.follow(when_live(lambda: desk.paper.simulator.add_socket_fault("silence", "user"), lambda: lost(desk)))
    now = timezone.now()
    assert streams.live_user_streams([desk.paper.connection.pk], now=now) == set()


def lost(desk: Desk) -> bool:
    return any(isinstance(event, Lost) for event in desk.events)


def test_no_message_makes_a_row(desk: Desk, django_assert_max_num_queries: Any) -> None:
    """Heartbeats cost nothing but, now and then, a lease renewed."""
    beats: list[Beat] = []

    def act(event: StreamEvent) -> bool:
        beats.extend([event] if isinstance(event, Beat) and event.heard else [])
        return len(beats) >= 15

    with django_assert_max_num_queries(14):
        desk.follow(act)
    assert len(beats) == 15
