"""When something unresolved becomes an alarm, when it is over, and when it is told again. Values in, values out."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta

from apps.audit.types import OpenAlarm, Settlement, Standing, Telling

GROWN_FACTOR = 2


def is_beyond(standing: Standing, *, now: datetime, resumed_at: datetime | None = None) -> bool:
    """Whether it has stood for longer than its bound; at the bound itself it has not.

    With `resumed_at` (when the desk began to work again) what the desk does itself is counted from there at the
    earliest.
    """
    since = standing.since
    if standing.by_us and resumed_at is not None:
        since = max(since, resumed_at)
    return now - since > timedelta(seconds=standing.bound_s)


def settle(
    *,
    standing: Iterable[Standing],
    open_alarms: Sequence[OpenAlarm],
    swept: AbstractSet[str],
    now: datetime,
    resumed_at: datetime | None,
) -> Settlement:
    """What to raise, what has grown, what is over. Alarms of codes that are not `swept` are left alone.

    An open alarm stays until its thing is within its bound, counted without `resumed_at`: a restart resolves nothing.
    """
    beyond = {(item.code, item.subject): item for item in standing if is_beyond(item, now=now)}
    known = {(alarm.code, alarm.subject): alarm for alarm in open_alarms if alarm.code in swept}
    raised = tuple(
        item for key, item in beyond.items() if key not in known and is_beyond(item, now=now, resumed_at=resumed_at)
    )
    grown = tuple(
        (known[key], item)
        for key, item in beyond.items()
        if key in known and item.extent >= GROWN_FACTOR * max(known[key].extent, 1)
    )
    cleared = tuple(alarm for key, alarm in known.items() if key not in beyond)
    return Settlement(raised=raised, grown=grown, cleared=cleared)


def is_due(telling: Telling, now: datetime) -> bool:
    """Whether an alarm is to be told now: nobody has acknowledged it, it is not over, and its time has come."""
    if telling.acknowledged or telling.cleared:
        return False
    return telling.tell_at is None or telling.tell_at <= now


def wait_s(told: int, *, first_s: int, most_s: int) -> int:
    """Seconds from the `told`-th telling to the next: `first_s`, then twice as long each time, up to `most_s`."""
    if told < 1:
        raise ValueError("It has not been told yet.")
    doublings = min(told - 1, 40)
    return min(first_s << doublings, max(first_s, most_s))
