"""One holder at a time: taken, renewed, let go, and taken over."""

from datetime import datetime, timedelta

import pytest

from apps.connectors.models import Lease
from apps.connectors.services import leases

pytestmark = pytest.mark.django_db

TTL = timedelta(seconds=10)


def take(holder: str, now: datetime, name: str = "orders:1") -> leases.Held | None:
    return leases.take(name=name, holder=holder, ttl=TTL, now=now)


def test_one_holds_it_and_the_other_waits(now: datetime) -> None:
    held = take("one", now)
    assert held == leases.Held("orders:1", "one", 1, now + TTL)
    assert take("two", now + TTL - timedelta(microseconds=1)) is None
    assert take("two", now, name="orders:2") is not None


def test_what_is_not_renewed_is_taken_over_and_the_first_learns_of_it(now: datetime) -> None:
    first = take("one", now)
    second = take("two", now + TTL)
    assert first is not None and second is not None and second.fence == first.fence + 1
    assert leases.renew(held=first, ttl=TTL, now=now + TTL) is None
    leases.release(held=first, now=now + TTL)
    row = Lease.objects.get()
    assert (row.holder, row.until) == ("two", now + 2 * TTL)


def test_renewing_keeps_others_out_also_a_little_late(now: datetime) -> None:
    held = take("one", now)
    assert held is not None
    late = now + 2 * TTL
    renewed = leases.renew(held=held, ttl=TTL, now=late)
    assert renewed == leases.Held("orders:1", "one", 1, late + TTL)
    assert take("two", late) is None


def test_what_is_let_go_is_free_at_once(now: datetime) -> None:
    held = take("one", now)
    assert held is not None
    leases.release(held=held, now=now)
    assert take("two", now) is not None


def test_the_same_holder_takes_it_again_under_a_new_fence(now: datetime) -> None:
    """A thread that was begun again: what the one before still writes is told apart."""
    first, second = take("one", now), take("one", now)
    assert first is not None and second is not None and second.fence == first.fence + 1
    assert leases.renew(held=first, ttl=TTL, now=now) is None


def test_holders_tell_two_runs_of_one_program_apart() -> None:
    assert leases.new_holder() != leases.new_holder()
    assert len(leases.new_holder()) <= 120
