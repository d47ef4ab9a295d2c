"""A database that was away is found again soon, however long it was away."""

from pathlib import Path

from psycopg_pool import ConnectionPool
from psycopg_pool.base import AttemptWithBackoff

from config.settings.base import database

PAUSE_S_MAX = 5.0


def test_no_pause_of_a_pool_grows_with_the_outage() -> None:
    """The pool's own attempts, by a clock of our own, until it gives up: whoever asks after that begins anew."""
    pool: ConnectionPool = ConnectionPool(
        "", open=False, **database("postgres://nobody@127.0.0.1/aika", Path())["OPTIONS"]["pool"]
    )
    attempt, now, pauses = AttemptWithBackoff(timeout=pool.reconnect_timeout), 1.0, [0.0]
    while not attempt.time_to_give_up(now):
        attempt.update_delay(now)
        pauses.append(attempt.delay)
        now += attempt.delay
    assert len(pauses) > 3
    assert max(pauses) <= PAUSE_S_MAX
    # Who waits for a connection does so for no longer than it is tried.
    assert pool.reconnect_timeout >= pool.timeout
