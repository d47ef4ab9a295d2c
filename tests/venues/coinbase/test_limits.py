"""The brake, by a clock that the test turns."""

from math import inf
from threading import Thread

import pytest

from apps.common.errors import Misconfigured
from apps.connectors.errors import RateLimited
from apps.connectors.venues.coinbase.client import origin_of
from apps.connectors.venues.coinbase.limits import (
    CANCEL_HOUR,
    PER_HOUR,
    PER_SECOND,
    RESERVED_HOUR,
    Priority,
    RateLimiter,
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def take_all(limiter: RateLimiter, clock: Clock, priority: Priority) -> int:
    taken = 0
    try:
        while True:
            limiter.acquire(priority, deadline=clock.now)
            taken += 1
    except RateLimited:
        return taken


def test_no_second_sees_more_than_thirty() -> None:
    clock = Clock()
    limiter = RateLimiter(clock=clock)
    moments: list[float] = []
    for _ in range(300):
        moments += [clock.now] * take_all(limiter, clock, Priority.ORDER)
        clock.now += 0.01
    assert max(sum(1 for other in moments if at <= other < at + 1) for at in moments) <= 30
    assert len(moments) > 50


def test_reads_leave_room_for_orders() -> None:
    clock = Clock()
    limiter = RateLimiter(clock=clock)
    assert take_all(limiter, clock, Priority.READ) == 7
    assert take_all(limiter, clock, Priority.ORDER) == 2
    assert take_all(limiter, clock, Priority.CANCEL) == 1


def test_a_cancel_goes_through_a_pause() -> None:
    """The venue said 429 to others: what is left to cancel with leaves at once, the next after the pause."""
    clock = Clock()
    limiter = RateLimiter(clock=clock)
    limiter.pause()
    assert take_all(limiter, clock, Priority.ORDER) == 0
    assert take_all(limiter, clock, Priority.CANCEL) == 1
    clock.now += 1.06
    assert take_all(limiter, clock, Priority.CANCEL) == 1


def test_nobody_but_cancels_uses_up_the_hour() -> None:
    clock = Clock()
    limiter = RateLimiter(clock=clock)
    taken = 0
    while taken < PER_HOUR - CANCEL_HOUR:
        clock.now += 0.25
        taken += take_all(limiter, clock, Priority.ORDER)
    clock.now += 1
    with pytest.raises(RateLimited, match="VENUE_HOURLY_BUDGET"):
        limiter.acquire(Priority.ORDER, deadline=clock.now)
    limiter.acquire(Priority.CANCEL, deadline=clock.now)


def test_reads_leave_room_in_the_hour() -> None:
    clock = Clock()
    limiter = RateLimiter(clock=clock)
    taken = 0
    while taken < PER_HOUR - RESERVED_HOUR:
        clock.now += 0.25
        taken += min(take_all(limiter, clock, Priority.READ), PER_HOUR)
    clock.now += 1
    with pytest.raises(RateLimited, match="VENUE_HOURLY_BUDGET"):
        limiter.acquire(Priority.READ, deadline=clock.now)
    limiter.acquire(Priority.ORDER, deadline=clock.now)
    clock.now += 3700
    limiter.acquire(Priority.READ, deadline=clock.now)
    assert limiter.used_this_hour() == 1


def test_a_pause_lets_nothing_through_until_it_is_over() -> None:
    clock = Clock()
    limiter = RateLimiter(clock=clock)
    limiter.pause(2.0)
    clock.now += 1.9
    assert take_all(limiter, clock, Priority.ORDER) == 0
    clock.now += 0.2
    assert take_all(limiter, clock, Priority.ORDER) == 2


def test_waiting_ends_with_room_for_every_thread() -> None:
    clock = Clock()
    limiter = RateLimiter(clock=clock)
    threads = [Thread(target=limiter.acquire, args=(Priority.READ,), kwargs={"deadline": inf}) for _ in range(20)]
    for thread in threads:
        thread.start()
    while waiting := [thread for thread in threads if thread.is_alive()]:
        clock.now += 0.01
        waiting[0].join(0.001)
    assert limiter.used_this_hour() == 20
    assert clock.now - 1000 > (20 - 8) / PER_SECOND, "seven had room at once, the others waited for theirs"


@pytest.mark.parametrize(
    "address", ["https://api.coinbase.com", "http://localhost:8100", "http://127.0.0.1:1", "http://[::1]:1"]
)
def test_addresses(address: str) -> None:
    assert origin_of(address) == address
    assert origin_of(f"{address}/api/v3/brokerage/") == address


@pytest.mark.parametrize(
    "address",
    [
        *("http://api.coinbase.com", "ftp://localhost", "localhost:1", "", "https://", "https://u:p@api.coinbase.com"),
        *("https://api.coinbase.com/other", "https://api.coinbase.com?x=1", "http://localhost.evil.example"),
        *("http://127.0.0.1.evil.example", "http://10.0.0.1"),
    ],
)
def test_addresses_that_are_refused(address: str) -> None:
    with pytest.raises(Misconfigured):
        origin_of(address)
