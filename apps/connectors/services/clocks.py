"""How far a venue's clock is from ours: measured by the clock, kept for whoever watches, and an alarm where it is off.

Prices dated by a clock two seconds ahead of ours are refused by every policy, a signature dated by one that is behind
may be refused by the venue, and an order of unknown fate is looked for in a window of times.
"""

from datetime import datetime
from decimal import Decimal
from typing import Final

from django.conf import settings
from django.core.cache import cache

from apps.audit.services import alarms
from apps.connectors.models import Connection
from apps.connectors.services.venue import connect
from apps.connectors.types import ServerTime

ALARM: Final = "VENUE_CLOCK_OFF"
# A measurement is shown for so long; the sweep that measures comes every 15 s.
KEPT_S: Final = 120


def measure(connection: Connection, *, now: datetime) -> ServerTime:
    """Ask the venue for its time and keep what came. Outside any transaction.

    The alarm says that the two clocks differ by ALARM_VENUE_CLOCK_OFF_S or more, whatever the way there took. It is
    over when they no longer do. Raises what reading from the venue raises; then nothing is changed.
    """
    told = connect(connection).server_time()
    cache.set(_key(connection), told.ahead_s, KEPT_S)
    subject = f"connection:{connection.pk}"
    if surely_off_s(told) >= settings.ALARM_VENUE_CLOCK_OFF_S:
        which = "ahead of" if told.ahead_s > 0 else "behind"
        message = f"The clock of {connection.name}'s venue is {abs(told.ahead_s):.1f} s {which} ours."
        alarms.raise_alarm(code=ALARM, subject=subject, message=message, now=now)
    else:
        alarms.clear_alarm(code=ALARM, subject=subject, now=now)
    return told


def surely_off_s(told: ServerTime) -> Decimal:
    """By how many seconds the clocks differ at least: half the round trip is how far the difference may be off."""
    return max(abs(told.ahead_s) - told.round_trip_s / 2, Decimal(0))


def ahead_s(connection: Connection) -> Decimal | None:
    """How far the venue's clock was ahead of ours (seconds, negative: behind) when last measured; None where that was
    not done lately."""
    found: Decimal | None = cache.get(_key(connection))
    return found


def _key(connection: Connection) -> str:
    return f"connectors:clock:{connection.pk}"
