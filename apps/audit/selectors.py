"""Reading the log."""

from django.db.models import QuerySet

from apps.audit.models import Alarm, Event
from apps.audit.types import Result, Verification
from apps.common import canonical

EVENTS_MAX = 500
VERIFICATIONS_STREAM = "audit:verification"


def events_of(subject: str) -> QuerySet[Event]:
    """Everything recorded about a subject, newest last."""
    return Event.objects.filter(subject=subject).order_by("id")


def events_after(event_id: int, *, limit: int = EVENTS_MAX) -> QuerySet[Event]:
    """The next events in id order, at most `limit`.

    Ids are given before transactions commit: on PostgreSQL an event may appear after one with a higher id, so a reader
    that must miss none asks again from a little further back.
    """
    return Event.objects.filter(id__gt=event_id).order_by("id")[: min(limit, EVENTS_MAX)]


def facts_of(event: Event) -> dict[str, object]:
    """What the event's own bytes say."""
    return canonical.decode(bytes(event.body))


def open_alarms() -> QuerySet[Alarm]:
    """Alarms that are not cleared, oldest first, acknowledged or not."""
    return Alarm.objects.filter(cleared_at=None).order_by("since", "id")


def last_verification() -> Verification | None:
    """The newest verification of the whole log, whatever it said; None when there was none.

    Raises ValueError or KeyError for an event whose bytes were changed: whoever relies on the answer must not go on.
    """
    event = Event.objects.filter(stream=VERIFICATIONS_STREAM).order_by("-seq").first()
    if event is None:
        return None
    facts = facts_of(event)
    actor, payload = facts["actor"], facts["payload"]
    if not isinstance(actor, dict) or not isinstance(payload, dict):
        raise ValueError("The last verification's bytes are no verification.")
    return Verification(
        verified_at=event.recorded_at,
        result=Result(payload["result"]),
        events=int(payload["events"]),
        findings=int(payload["findings"]),
        by=str(actor["name"]),
    )
