"""The hub with readers that stop and go on: each sees the newest, nobody a backlog, and nobody waits for another."""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import OperationalError
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import RedisError
from websockets.frames import Frame as WireFrame
from websockets.frames import Opcode

from apps.common import sockets
from apps.common.sockets import QUEUE_MAX, Ending, Outlet, Rest
from apps.quotes import hub as hubs
from apps.quotes.hub import Hub, Reader
from apps.quotes.types import Item, Tick, Topic

CODES = ("A", "B", "C")
BEGAN = datetime(2026, 11, 29, 12, tzinfo=UTC)
FRAMES_LATE_MAX = 2


def tick(code: str, price: int, *, at: datetime = BEGAN) -> Tick:
    """A price of a code."""
    bid, one = Decimal(price), Decimal(1)
    return Tick(
        market="m", instrument=code, bid=bid, ask=bid + 1, bid_quantity=one, ask_quantity=one,
        occurred_at=at, received_at=at,
    )  # fmt: skip


def item(code: str) -> Item:
    return Item("paper", code, Topic("m", code))


class Peer:
    """The far end of a socket: takes frames while it reads, and lets the sender wait while it does not."""

    def __init__(self, outlet: Callable[[sockets.Send], Outlet] = Outlet) -> None:
        self.reads = asyncio.Event()
        self.reads.set()
        self.frames: list[dict[str, Any]] = []
        self.on_the_way = 0
        self.reader = Reader(outlet(self._take))

    async def _take(self, frame: sockets.Frame) -> None:
        self.on_the_way += 1
        assert self.on_the_way == 1, "two frames at once"
        try:
            await self.reads.wait()
        finally:
            self.on_the_way -= 1
        if frame["type"] == "websocket.send":
            self.frames.append(json.loads(frame["text"]))

    def bids(self, code: str) -> list[int]:
        """What it saw of a code, in order."""
        quotes = [quote for frame in self.frames if frame["type"] == "quotes" for quote in frame["quotes"]]
        return [int(quote["bid"]) for quote in quotes if quote["instrument"] == code]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("tick"), st.sampled_from(CODES)),
        st.tuples(st.just("stop"), st.integers(0, 2)),
        st.tuples(st.just("read"), st.integers(0, 2)),
        st.tuples(st.just("wait"), st.integers(0, 2)),
        st.tuples(st.just("join"), st.integers(0, 2)),
    ),
    max_size=60,
)
ITEMS = st.lists(st.frozensets(st.sampled_from(CODES), min_size=1), min_size=3, max_size=3)


async def assert_all_get_the_newest(
    steps: list[tuple[str, Any]], wanted: list[frozenset[str]], outlet: Any = Outlet
) -> None:
    """Any ticks, any readers stopping and going on; then all read: each has seen the newest of its own, in order, and
    what comes to who stood still is a frame or two."""
    hub = Hub(lambda: BEGAN)
    peers = [Peer(outlet) for _ in wanted]
    newest: dict[str, int] = {}

    async def settle() -> None:
        for _ in range(4):
            await asyncio.sleep(hubs.FLUSH_S)

    for peer, codes in zip(peers, wanted, strict=True):
        hub.join(peer.reader)
        hub.show(peer.reader, frozenset(map(item, codes)))
    for number, (what, which) in enumerate(steps, start=1):
        if what == "tick":
            hub.hear([tick(which, number)])
            newest[which] = number
        elif what == "wait":
            await settle()
        elif what == "join":
            hub.show(peers[which].reader, frozenset())
            hub.show(peers[which].reader, frozenset(map(item, wanted[which])))
        else:
            (peers[which].reads.set if what == "read" else peers[which].reads.clear)()
    await settle()
    before = [len(peer.frames) for peer in peers]
    for peer in peers:
        peer.reads.set()
    await settle()
    for peer in peers:
        hub.leave(peer.reader)

    for peer, codes, seen in zip(peers, wanted, before, strict=True):
        assert len(peer.frames) - seen <= FRAMES_LATE_MAX
        for code in CODES:
            bids = peer.bids(code)
            assert bids == sorted(bids)
            assert (bids[-1:] == [newest[code]]) if code in codes and code in newest else code in codes or not bids


@given(steps=STEPS, wanted=ITEMS)
def test_every_reader_ends_with_the_newest_of_its_own_and_never_gets_a_backlog(
    steps: list[tuple[str, Any]], wanted: list[frozenset[str]]
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(hubs, "FLUSH_S", 0.0005)
        asyncio.run(assert_all_get_the_newest(steps, wanted))


class EverythingInOrder(Outlet):
    """What one writes first: a queue in front of the socket."""

    def __init__(self, send: sockets.Send) -> None:
        super().__init__(send)
        self._waiting: list[str] = []

    def offer(self, frame: sockets.Frame) -> bool:
        if not super().offer(frame):
            self._waiting.append(frame["text"])
            self.next_frame = lambda: self._waiting.pop(0) if self._waiting else None
        return True


def test_a_queue_in_front_of_the_socket_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "FLUSH_S", 0.0005)
    steps = [("stop", 0), *[step for _ in range(5) for step in (("tick", "A"), ("wait", 0))]]
    wanted = [frozenset("A")] * 3
    asyncio.run(assert_all_get_the_newest(steps, wanted))

    with pytest.raises(AssertionError):
        asyncio.run(assert_all_get_the_newest(steps, wanted, EverythingInOrder))


def test_an_older_price_never_replaces_a_newer_one() -> None:
    async def told() -> list[int]:
        hub, peer = Hub(lambda: BEGAN), Peer()
        hub.join(peer.reader)
        hub.show(peer.reader, frozenset([item("A")]))
        hub.hear([tick("A", 2)])
        hub.hear([tick("A", 1, at=BEGAN - timedelta(seconds=1))])
        await asyncio.sleep(3 * hubs.FLUSH_S)
        hub.leave(peer.reader)
        return peer.bids("A")

    assert asyncio.run(told()) == [2]


def test_what_was_still_due_to_who_has_left_keeps_nothing_from_who_comes_next() -> None:
    async def told() -> list[int]:
        hub, gone, peer = Hub(lambda: BEGAN), Peer(), Peer()
        hub.join(gone.reader)
        hub.show(gone.reader, frozenset([item("A")]))
        hub.hear([tick("A", 1)])
        hub.leave(gone.reader)
        hub.join(peer.reader)
        hub.show(peer.reader, frozenset([item("A"), item("B")]))
        hub.hear([tick("B", 2)])
        await asyncio.sleep(3 * hubs.FLUSH_S)
        hub.leave(peer.reader)
        return peer.bids("B")

    assert asyncio.run(told()) == [2]


def test_who_does_not_take_a_frame_in_time_is_dropped_and_who_does_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "SLOW_S_MAX", 0.05)

    async def ended() -> list[Ending | None]:
        peers = [Peer(), Peer()]
        peers[0].reads.clear()
        for peer in peers:
            peer.reader.outlet.say("{}")
        await asyncio.sleep(0.1)
        for peer in peers:
            peer.reader.outlet.drop_if_slow()
        found = [peer.reader.outlet.ended for peer in peers]
        await peers[0].reader.outlet.close(sockets.TOO_SLOW, within_s=0.01)
        return [future.result() if future.done() else None for future in found]

    assert asyncio.run(ended()) == [sockets.TOO_SLOW, None]


def test_what_must_not_be_lost_waits_in_order_up_to_a_bound() -> None:
    async def said(count: int) -> tuple[list[int], Ending | None]:
        peer = Peer()
        peer.reads.clear()
        for number in range(count):
            peer.reader.outlet.say(json.dumps(number))
        peer.reads.set()
        await asyncio.sleep(0.01)
        ended = peer.reader.outlet.ended
        return peer.frames, ended.result() if ended.done() else None  # type: ignore[return-value]

    frames, ended = asyncio.run(said(1 + QUEUE_MAX))
    assert (frames, ended) == (list(range(1 + QUEUE_MAX)), None)
    frames, ended = asyncio.run(said(2 + QUEUE_MAX))
    assert ended == sockets.TOO_SLOW


def test_a_socket_that_is_gone_ends_itself() -> None:
    async def ended(error: Exception, *, at_once: bool) -> int:
        async def send(_frame: sockets.Frame) -> None:
            if not at_once:
                await asyncio.sleep(0)
            raise error

        outlet = Outlet(send)
        outlet.say("{}")
        return (await asyncio.wait_for(outlet.ended, 1)).code

    for error in (ConnectionResetError(), RuntimeError("after close")):
        assert asyncio.run(ended(error, at_once=True)) == 1006
        assert asyncio.run(ended(error, at_once=False)) == 1006


PATIENCE_S = 30.0


def beats(peer: Peer) -> int:
    """How many heartbeats it has heard."""
    return sum(frame["type"] == "heartbeat" for frame in peer.frames)


async def until(so: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """As long as a slow machine takes, and no longer than that: what is asserted afterwards says the rest."""
    deadline = time.monotonic() + patience_s
    while not so() and time.monotonic() < deadline:
        await asyncio.sleep(0.01)


def feeds_told(peer: Peer) -> list[Any]:
    """What its heartbeats said of the feeds."""
    return [frame["feeds"] for frame in peer.frames if frame["type"] == "heartbeat"]


def beaten(monkeypatch: pytest.MonkeyPatch, error: Exception) -> Peer:
    """A socket after a few heartbeats, of which the first ones cannot ask how the feeds are."""
    asked = iter([error, error])

    def records(*, now: datetime) -> list[dict[str, Any]]:
        if (trouble := next(asked, None)) is not None:
            raise trouble
        return []

    monkeypatch.setattr(hubs, "feed_records", records)
    monkeypatch.setattr(hubs, "BEAT_S", 0.01)

    async def played() -> Peer:
        hub, peer = Hub(lambda: BEGAN), Peer()
        hub.join(peer.reader)
        await until(lambda: [] in feeds_told(peer) or peer.reader.outlet.ended.done())
        hub.leave(peer.reader)
        return peer

    return asyncio.run(played())


@pytest.mark.parametrize("error", [RedisError("away"), OperationalError("away")])
def test_what_is_away_stops_no_heartbeat_and_no_feeds_is_not_what_they_say(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    peer = beaten(monkeypatch, error)

    assert (feeds_told(peer)[:2], feeds_told(peer)[-1]) == ([None, None], [])
    assert not peer.reader.outlet.ended.done()


def told_while_nobody_answers(
    monkeypatch: pytest.MonkeyPatch, *, patience_s: float = PATIENCE_S
) -> tuple[list[Any], list[int]]:
    """What heartbeats say of the feeds, and prices, while the database lets who asks how the feeds are wait."""
    answered = threading.Event()

    def records(*, now: datetime) -> list[dict[str, Any]]:
        answered.wait(4 * PATIENCE_S)
        return []

    monkeypatch.setattr(hubs, "feed_records", records)
    monkeypatch.setattr(hubs, "BEAT_S", 0.01)

    async def played() -> tuple[list[Any], list[int]]:
        hub, peer = Hub(lambda: BEGAN), Peer()
        hub.join(peer.reader)
        hub.show(peer.reader, frozenset([item("A")]))
        await until(lambda: beats(peer) > 2, patience_s)
        hub.hear([tick("A", 1)])
        await until(lambda: bool(peer.bids("A")), patience_s)
        hub.leave(peer.reader)
        answered.set()
        return feeds_told(peer), peer.bids("A")

    return asyncio.run(played())


def test_a_database_that_lets_one_wait_stops_neither_heartbeat_nor_price(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "ASK_S", 0.01)
    feeds, bids = told_while_nobody_answers(monkeypatch)

    assert feeds[:3] == [None] * 3
    assert bids == [1]


def test_a_beat_that_waits_for_the_database_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "ASK_S", None)
    feeds, _ = told_while_nobody_answers(monkeypatch, patience_s=0.3)

    assert feeds == []


def test_a_hub_that_fails_closes_its_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    peer = beaten(monkeypatch, ZeroDivisionError())

    assert peer.reader.outlet.ended.result().code == 1011


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_the_bytes_of_a_frame_are_those_the_protocol_makes(length: int) -> None:
    text = "é" * (length // 2) + "x" * (length % 2)
    made = WireFrame(Opcode.TEXT, text.encode()).serialize(mask=False)

    assert sockets.frame_of(text) == {"type": "websocket.send", "text": text, "wire": made}


def test_what_was_begun_goes_on_from_where_it_stood() -> None:
    async def played() -> list[object]:
        gate, steps = asyncio.Event(), []

        async def work(number: int) -> None:
            steps.append(number)
            await gate.wait()
            await asyncio.sleep(0)
            steps.append(-number)

        async def rest(number: int) -> None:
            begun = work(number)
            await Rest(begun, begun.send(None))

        tasks = [asyncio.create_task(rest(number)) for number in (1, 2)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        gate.set()
        await tasks[0]
        with pytest.raises(asyncio.CancelledError):
            await tasks[1]
        return list(steps)

    assert asyncio.run(played()) == [1, 2, -1]


class DeafLayer:
    """A channel layer without messages that loses a cancellation, as `asyncio.wait_for` of Python 3.11 can."""

    def __init__(self, loses: int = 1) -> None:
        self.members: set[str] = set()
        self.loses, self.lost = loses, 0

    async def new_channel(self, prefix: str) -> str:
        return f"{prefix}!one"

    async def group_add(self, _group: str, name: str) -> None:
        self.members.add(name)

    async def group_discard(self, _group: str, name: str) -> None:
        self.members.discard(name)

    async def receive(self, _name: str) -> dict[str, Any]:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if self.lost == self.loses:
                    raise
                self.lost += 1


def left_by(layer: DeafLayer, monkeypatch: pytest.MonkeyPatch, *, closing: bool = False) -> tuple[int, int]:
    """How many tasks and members are left after a membership was ended, and then, where the loop is closing, every
    task."""
    monkeypatch.setattr(hubs, "get_channel_layer", lambda: layer)
    monkeypatch.setattr(hubs, "END_AGAIN_S", 0.01)

    async def played() -> tuple[int, int]:
        keeping = asyncio.create_task(hubs.Membership(Hub(lambda: BEGAN)).keep())
        await asyncio.sleep(0.01)
        assert layer.members
        keeping.cancel()
        await asyncio.sleep(0)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if closing:
            for task in others:
                task.cancel()
        _, left = await asyncio.wait(others, timeout=1)
        found = len(left), len(layer.members)
        while left:
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=0.1)
        return found

    return asyncio.run(played())


@pytest.mark.parametrize("closing", [False, True])
def test_a_process_leaves_the_group_though_its_cancellation_gets_lost(
    monkeypatch: pytest.MonkeyPatch, closing: bool
) -> None:
    layer = DeafLayer(loses=2)

    assert left_by(layer, monkeypatch, closing=closing) == (0, 0)
    assert layer.lost == layer.loses


def test_a_second_cancellation_that_ends_the_waiting_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """What closes with a server: every task is cancelled once, the one that waits for another to end included."""

    async def ended_by_the_next(*tasks: "asyncio.Task[None]") -> None:
        while waiting := {task for task in tasks if not task.done()}:
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting, timeout=hubs.END_AGAIN_S)

    monkeypatch.setattr(hubs, "_ended", ended_by_the_next)
    layer = DeafLayer(loses=2)

    left, _ = left_by(layer, monkeypatch, closing=True)
    assert left > 0


def test_one_cancellation_alone_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The naive way out: told once, then waited for."""

    async def told_once(*tasks: "asyncio.Task[None]") -> None:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    monkeypatch.setattr(hubs, "_ended", told_once)
    _, members = left_by(DeafLayer(), monkeypatch)

    assert members == 1
