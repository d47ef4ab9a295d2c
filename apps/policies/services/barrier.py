"""What stands between a halt and a request about to leave: it is written before the halt commits, or not at all.

The one who sends holds the shared side while the bytes of the request go to the socket, and looks at the trading state
under it; the one who halts takes the exclusive side and keeps it until its commit. So neither waits for a venue, and no
request begins once a halt has committed. docs/decisions/0013-no-request-begins-after-a-halt.md has the reasons.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import OperationalError, connection, transaction

from apps.audit.services import alarms
from apps.common import fault_places as places
from apps.common import faults
from apps.common.errors import Unavailable
from apps.policies.selectors import trading_state
from apps.policies.types import State

# One for all connections: it is held for the write of a few hundred bytes.
LOCK: Final = 0x41494B41
# Longer than any write takes. Who holds it longer has stopped: a halt does not wait for that process.
WAIT_S_MAX: Final = 2

logger = logging.getLogger(__name__)


@contextmanager
def passing(connection_id: UUID, *, judged: str) -> Iterator[None]:
    """Around the writing of one request, not around its answer. `judged` is the state its claim was judged under.

    Raises Unavailable TRADING_STATE_MOVED where trading is tighter by now: nothing was sent.
    """
    with transaction.atomic():
        _lock("pg_advisory_xact_lock_shared")
        state = trading_state(connection_id)
        if state == State.HALTED or state not in {State.ACTIVE, judged}:
            raise Unavailable(
                "TRADING_STATE_MOVED", f"Trading was {state} before the call. Nothing was sent.", state=state
            )
        faults.point(places.LEAVING.label)
        yield


def close(*, subject: str, now: datetime) -> None:
    """Inside the transaction that tightens: wait until who is writing has written; nobody begins before it commits.

    Never refuses: where a process holds the other side too long, that is an alarm, and the halt goes on.
    """
    try:
        # A savepoint: a lock that cannot be had must not end the halt.
        with transaction.atomic():
            _lock("pg_advisory_xact_lock", wait_s=WAIT_S_MAX)
    except OperationalError:
        message = "A process stands still while it sends a request, so one may leave after this halt. Look for it."
        logger.critical(message)
        alarms.raise_alarm(code="HALT_NOT_WAITED", subject=subject, message=message, now=now)


def _lock(function: str, *, wait_s: int | None = None) -> None:
    """Until the end of the transaction. SQLite needs none: its transactions take the one write lock there is."""
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        if wait_s is not None:
            cursor.execute(f"SET LOCAL lock_timeout = '{wait_s}s'")
        cursor.execute(f"SELECT {function}(%s)", [LOCK])
        if wait_s is not None:
            cursor.execute("SET LOCAL lock_timeout TO DEFAULT")
