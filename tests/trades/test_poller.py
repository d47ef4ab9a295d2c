"""Prices are asked for again once what was away is back: the process does not end meanwhile."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from django.db import OperationalError
from redis.exceptions import ConnectionError as RedisAway

from apps.trades.services import market

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


class NoWait(threading.Event):
    """Somebody who does not wait between two rounds."""

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


@pytest.mark.parametrize(
    ("away", "said"),
    [
        (OperationalError("server closed the connection"), "waits for the database"),
        (RedisAway("refused"), "waits for the cache"),
    ],
)
def test_the_poller_waits_for_what_is_away(
    away: Exception, said: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stop, rounds = NoWait(), iter((away, away, None))

    def connections() -> Iterator[object]:
        trouble = next(rounds)
        if trouble is not None:
            raise trouble
        stop.set()
        return iter(())

    monkeypatch.setattr(market, "active_connections", connections)
    market.run_poller(stop, clock=lambda: NOW)

    assert stop.is_set()
    assert sum(said in line.message for line in caplog.records) == 2


def test_the_poller_ends_with_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> list[object]:
        raise ZeroDivisionError

    monkeypatch.setattr(market, "active_connections", broken)
    with pytest.raises(ZeroDivisionError):
        market.run_poller(NoWait(), clock=lambda: NOW)
