"""Many that want one lease at the same moment."""

from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.utils import timezone

from apps.connectors.models import Lease
from apps.connectors.services import leases
from tests.races.conftest import together

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

TTL = timedelta(seconds=10)
HOLDERS = 8


def look_then_take(holder: str) -> leases.Held | None:
    """The naive holder: looks whether it is free, and takes it."""
    now = timezone.now()
    row = Lease.objects.get(name="one")
    if row.until > now:
        return None
    meeting(row)
    Lease.objects.filter(name="one").update(holder=holder, until=now + TTL, fence=row.fence + 1)
    return leases.Held("one", holder, row.fence + 1, now + TTL)


def meeting(row: Lease) -> None:
    """Between the look and the taking."""


@pytest.mark.parametrize("known", [False, True])
def test_one_gets_it(transactional_db: None, known: bool) -> None:
    now = timezone.now()
    if known:
        Lease.objects.create(name="one", holder="dead", until=now, fence=7)
    works = [
        lambda holder=f"holder-{number}": leases.take(name="one", holder=holder, ttl=TTL, now=now)
        for number in range(HOLDERS)
    ]
    held = [result for result in together(works) if result is not None]
    assert len(held) == 1
    row = Lease.objects.get()
    assert (row.holder, row.fence) == (held[0].holder, held[0].fence) == (row.holder, 8 if known else 1)


def test_of_takers_and_the_late_holder_one_has_it(transactional_db: None) -> None:
    now = timezone.now()
    first = leases.take(name="one", holder="first", ttl=TTL, now=now)
    assert first is not None
    late = now + TTL
    works: list[Any] = [lambda: leases.renew(held=first, ttl=TTL, now=late)]
    works += [
        lambda holder=f"holder-{number}": leases.take(name="one", holder=holder, ttl=TTL, now=late)
        for number in range(HOLDERS)
    ]
    held = [result for result in together(works) if result is not None]
    assert len(held) == 1 and not isinstance(held[0], Exception)
    assert Lease.objects.get().holder == held[0].holder


def test_the_naive_holder_shares_it(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    Lease.objects.create(name="one", holder="dead", until=timezone.now())
    barrier = Barrier(HOLDERS)
    monkeypatch.setattr(f"{__name__}.meeting", lambda row: barrier.wait(10))
    works = [lambda holder=f"holder-{number}": look_then_take(holder) for number in range(HOLDERS)]
    assert len([result for result in together(works) if isinstance(result, leases.Held)]) > 1
