"""Two transactions that commit in the other order than they took their numbers: a desk hears of both."""

from threading import Event as Flag
from threading import Thread

import pytest
from django.db import connections, transaction
from django.utils import timezone

from apps.audit.services import events
from apps.audit.types import Actor
from apps.connectors.models import Connection
from apps.dashboard import live
from apps.dashboard.rules.news import Place
from tests.factories.connectors import ConnectionFactory

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


class OnlyTheLast(Place):
    """The mutant: the highest number seen, and nothing else."""

    def _wait_for(self, given_out: "range | tuple[int, ...]", seen: set[int], at: float) -> None:
        return


def record(connection: Connection) -> int:
    """One event; its number."""
    about = f"connection:{connection.pk}"
    return events.record(
        stream=about, kind="reconciliation.ended", actor=Actor.system("test"), subject=about, payload={},
        now=timezone.now(),
    ).pk  # fmt: skip


def told_with(place: type[Place]) -> tuple[list[int], list[int], int, int]:
    """What is heard before and after the first transaction commits, which took its number first."""
    slow, quick = ConnectionFactory(), ConnectionFactory()
    log = live.Log(0.0)
    log.place = place(last=log.place.last)
    recorded, commit, numbers = Flag(), Flag(), []

    def slowly() -> None:
        try:
            with transaction.atomic():
                numbers.append(record(slow))
                recorded.set()
                commit.wait(10)
        finally:
            connections.close_all()

    thread = Thread(target=slowly)
    thread.start()
    assert recorded.wait(10)
    with transaction.atomic():
        second = record(quick)
    before = [item.id for item in log.read(1.0)]
    commit.set()
    thread.join(10)
    return before, [item.id for item in log.read(2.0)], numbers[0], second


def test_a_transaction_that_commits_late_with_a_lower_number_is_heard_of() -> None:
    before, after, first, second = told_with(Place)

    assert first < second
    assert (before, after) == ([second], [first])


def test_a_reader_of_higher_numbers_only_never_hears_of_it() -> None:
    before, after, _first, second = told_with(OnlyTheLast)

    assert (before, after) == ([second], [])
