"""Halts against requests that are about to leave, thousands of times: none begins once a halt has committed.

Processes send to the venue as fast as they can, while this one halts, looks, and lets trading go on. Each sender notes
when it is about to write the first byte of a request, by the clock that all processes of the machine share. What was
written between the commit of a halt and the moment trading went on broke the promise.
"""

import mmap
import random
import struct
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

from django.conf import settings
from django.utils import timezone

from apps.accounts.services import people
from apps.common.errors import AikaError, Unavailable
from apps.connectors.services import venue
from apps.connectors.types import OrderRequest, OrderType, Side, TimeInForce
from apps.connectors.venues.coinbase.limits import Priority, RateLimiter
from apps.policies.models import TradingState
from apps.policies.selectors import trading_state as state_of
from apps.policies.services import barrier, trading_state
from apps.policies.types import State
from tests.crash.processes import fork
from tests.crash.stage import Stage
from tests.factories.desk import BTC

SENDERS = 3
PAUSE_S_MAX = 0.006
HALTED_S_MAX = 0.002
RESET_EVERY = 400
STEP_S = 0.0005


@dataclass
class Halts:
    """What came of it. `late` are requests that began after a halt had committed; times of a halt are in seconds."""

    halts: int
    written: int
    refused: int
    late: int
    took_s: list[float]


class NoLimit(RateLimiter):
    """Our brake would let twenty requests a second through, and hardly any would meet a halt."""

    def acquire(self, priority: Priority, *, deadline: float) -> None:
        return None


class Sender:
    """One process that sends as fast as it can, until it is told to stop."""

    def __init__(self, stage: Stage, number: int, stop: mmap.mmap, *, naive: bool) -> None:
        self.connection = stage.paper.connection
        self.notes = Path(settings.DATA_DIR) / f"sender-{number}"
        self.notes.unlink(missing_ok=True)
        self.stop, self.naive = stop, naive

    def work(self) -> None:
        """In the process of its own."""
        connector = venue.connect(self.connection)
        connector.client.limiter = NoLimit()  # type: ignore[attr-defined]
        refused = 0
        with self.notes.open("wb") as notes:

            def note() -> None:
                notes.write(struct.pack("d", time.monotonic()))

            while self.stop[0] == 0:
                try:
                    if self.naive and state_of(self.connection.pk) == State.HALTED:
                        raise Unavailable("TRADING_STATE_MOVED", "As the naive executor finds it.")
                    connector.place_order(self.body(), gate=self.noting(note))
                except AikaError as error:
                    refused += error.code == "TRADING_STATE_MOVED"
                    time.sleep(STEP_S)
        self.notes.with_suffix(".refused").write_text(str(refused))

    @contextmanager
    def noting(self, note: Callable[[], None]) -> Iterator[None]:
        """The gate, and a note of the moment just before the first byte."""
        if self.naive:
            note()
            yield
            return
        with barrier.passing(self.connection.pk, judged=State.ACTIVE):
            note()
            yield

    def body(self) -> bytes:
        request = OrderRequest(
            client_order_id=str(uuid4()),
            instrument=BTC,
            side=Side.BUY,
            order_type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            quantity=Decimal("0.0001"),
            limit_price=Decimal(10_000),
        )
        return venue.order_body(self.connection.venue, request)

    def written(self) -> list[float]:
        """When it wrote, once it has ended."""
        raw = self.notes.read_bytes()
        return [moment for (moment,) in struct.iter_unpack("d", raw)]

    def refused(self) -> int:
        return int(self.notes.with_suffix(".refused").read_text())


def interleave(
    stage: Stage, *, halts: int, seed: int, naive: bool = False, done: Callable[[int], None] = lambda number: None
) -> Halts:
    """So many halts against senders at work. `done` hears how many there were."""
    stage.begin()
    dice = random.Random(seed)
    stop = mmap.mmap(-1, 1)
    senders = [Sender(stage, number, stop, naive=naive) for number in range(SENDERS)]
    children = [fork(sender.work) for sender in senders]
    try:
        windows = []
        for number in range(halts):
            windows.append(_halt(stage, dice, number))
            done(number + 1)
    finally:
        stop[0] = 1
        for child in children:
            child.wait()
    written = sorted(moment for sender in senders for moment in sender.written())
    return Halts(
        halts=halts,
        written=len(written),
        refused=sum(sender.refused() for sender in senders),
        late=sum(bisect_left(written, resumed) - bisect_left(written, halted) for _, halted, resumed in windows),
        took_s=[halted - began for began, halted, _ in windows],
    )


def _halt(stage: Stage, dice: random.Random, number: int) -> tuple[float, float, float]:
    """When one halt began, when it had committed, and when trading was let go on."""
    paper = stage.paper
    time.sleep(dice.uniform(0, PAUSE_S_MAX))
    actor = people.actor_of(paper.trader)
    began = time.monotonic()
    trading_state.halt(connection_id=paper.connection.pk, actor=actor, reason="Interleaving.", now=timezone.now())
    done = time.monotonic()
    time.sleep(dice.uniform(0, HALTED_S_MAX))
    if number % RESET_EVERY == RESET_EVERY - 1:
        stage.simulator.reset()
    resumed = time.monotonic()
    # By the row alone: two people who resume ten thousand times would be all that is measured.
    TradingState.objects.filter(connection=paper.connection).update(state=State.ACTIVE.value)
    return began, done, resumed
