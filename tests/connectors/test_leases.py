"""One holder at a time: taken, renewed, let go, and taken over."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from apps.common import processes
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


SAYS_WHO_IT_IS = """
from apps.connectors.services import leases
print(leases.new_holder(), flush=True)
input()
"""


@contextmanager
def holding_process() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process, and the name it gives itself."""
    words = [sys.executable, "manage.py", "shell", "--no-imports", "-c", SAYS_WHO_IT_IS]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def test_what_a_killed_process_held_is_free_at_once(now: datetime) -> None:
    with holding_process() as (process, holder):
        held = take(holder, now)
        assert held is not None
        assert take("two", now) is None, "it lives"
        process.kill()
        process.wait()
        second = take("two", now)
        assert second == leases.Held("orders:1", "two", held.fence + 1, now + TTL)
        assert take("three", now) is None
        assert leases.renew(held=held, ttl=TTL, now=now) is None


def test_who_was_killed_and_not_buried_yet_holds_nothing(now: datetime) -> None:
    """Nobody has waited for it: its id is still taken."""
    with holding_process() as (process, holder):
        assert take(holder, now) is not None
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert take("two", now) is not None


@pytest.mark.parametrize(
    ("part", "told", "taken"),
    [
        (3, "{boot}-{space}-1", True),  # the id is another process's now
        (3, "0123456789ab-{space}-1", False),  # another machine, or before it began anew
        (3, "{boot}-1-1", False),  # another container
        (3, "", False),
        (3, "{boot}-{space}-{start}", False),
        (1, "x", False),
        (2, "a:b", False),
    ],
)
def test_what_cannot_be_looked_up_is_held(now: datetime, part: int, told: str, taken: bool) -> None:
    words = leases.new_holder().split(":")
    boot, space, start = words[3].split("-")
    words[part] = told.format(boot=boot, space=space, start=start)
    assert take(":".join(words), now) is not None
    assert (take("two", now) is not None) is taken
    assert take("two", now + TTL) is not None


def test_a_system_that_tells_nothing_of_processes(now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_BOOT", Path("/nowhere"))
    assert (holder := leases.new_holder()).endswith(":")
    assert take(holder, now) is not None
    assert take("two", now) is None
