"""Reading the log and its alarms."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Max, Min, Q, QuerySet

from apps.audit.models import Alarm, Checkpoint, Delivery, Event, Notice, Pulse, Seal, StreamHead
from apps.audit.types import (
    ActorKind,
    AlarmSummary,
    Channel,
    FailingChannel,
    Happened,
    LogHead,
    NoticeState,
    Result,
    Unsealed,
    Verification,
)
from apps.common import canonical
from apps.common.decimals import instant_text

EVENTS_MAX = 500
VERIFICATIONS_STREAM = "audit:verification"
VERIFICATIONS_LOOKED_AT = 20


def events_of(subject: str) -> QuerySet[Event]:
    """Everything recorded about a subject, newest last."""
    return Event.objects.filter(subject=subject).order_by("id")


def actors_of(subject: str, kinds: Collection[str]) -> frozenset[str]:
    """The ids of the people who did any of these things to a subject."""
    done = Event.objects.filter(subject=subject, kind__in=kinds, actor_kind=ActorKind.USER.value)
    return frozenset(done.order_by().values_list("actor_id", flat=True))


def events_after(event_id: int, *, limit: int = EVENTS_MAX) -> QuerySet[Event]:
    """The next events in id order, at most `limit`.

    Ids are given before transactions commit: on PostgreSQL an event may appear after one with a higher id, so a reader
    that must miss none asks again from a little further back.
    """
    return Event.objects.filter(id__gt=event_id).order_by("id")[: min(limit, EVENTS_MAX)]


def facts_of(event: Event) -> dict[str, object]:
    """What the event's own bytes say."""
    return canonical.decode(bytes(event.body))


def facts_in(streams: Collection[str], *, kinds: Collection[str] = ()) -> dict[str, list[dict[str, object]]]:
    """What the events of each of these streams say, oldest first; of these `kinds` alone, where any are named.

    A stream without such events is left out.
    An event whose bytes cannot be read is an empty one: `audit_verify` names it.
    """
    found: dict[str, list[dict[str, object]]] = {}
    rows = Event.objects.filter(stream__in=streams).order_by("stream", "seq")
    for stream, body in (rows.filter(kind__in=kinds) if kinds else rows).values_list("stream", "body"):
        try:
            facts = canonical.decode(bytes(body))
        except ValueError:
            facts = {}
        found.setdefault(stream, []).append(facts)
    return found


def streams_beginning(prefix: str, *, after: str, limit: int) -> list[str]:
    """Names of streams with events that begin so, in order, the next `limit` of them `after` a name."""
    rows = StreamHead.objects.filter(stream__startswith=prefix, stream__gt=after).order_by("stream")
    return list(rows.values_list("stream", flat=True)[:limit])


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLine:
    """An open alarm as it is listed."""

    id: int
    code: str
    subject: str
    message: str
    since: datetime
    told: int
    acknowledged_by: str

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "id": self.id,
            "code": self.code,
            "subject": self.subject,
            "message": self.message,
            "since": instant_text(self.since),
            "told": self.told,
            "acknowledged_by": self.acknowledged_by or None,
        }


def open_lines() -> list[OpenLine]:
    """Alarms that are not cleared, oldest first."""
    fields = ("id", "code", "subject", "message", "since", "told", "acknowledged_by")
    return [OpenLine(**row) for row in open_alarms().values(*fields)]


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
        anchored=int(payload["anchored"]),
    )


def verified_at() -> datetime | None:
    """When the newest verification that saw everything began, whatever it said; where there is none, when the log
    began; None for an empty log.

    One whose bytes were changed counts as none: what `last_verification` raises for it is another's to say.
    """
    rows = Event.objects.filter(stream=VERIFICATIONS_STREAM).order_by("-seq")
    for event in rows[:VERIFICATIONS_LOOKED_AT]:
        try:
            payload = facts_of(event).get("payload")
        except ValueError:
            continue
        if isinstance(payload, dict) and payload.get("result") in {Result.INTACT, Result.TAMPERED}:
            return event.recorded_at
    return Event.objects.order_by("id").values_list("recorded_at", flat=True).first()


def unsealed(now: datetime) -> Unsealed | None:
    """Events that came after the newest sealed one and are in no checkpoint; None where there are none."""
    last = Seal.objects.aggregate(last=Max("event_id"))["last"] or 0
    found = Event.objects.filter(id__gt=last, recorded_at__lte=now).aggregate(n=Count("id"), oldest=Min("recorded_at"))
    return Unsealed(events=found["n"], oldest_at=found["oldest"]) if found["n"] else None


def pulses() -> dict[str, datetime]:
    """When each part of Aika last showed that it lives."""
    return dict(Pulse.objects.values_list("name", "at"))


def pulse_at(name: str) -> datetime | None:
    """When this part last showed that it lives; None where it never has."""
    return Pulse.objects.filter(name=name).values_list("at", flat=True).first()


def failing_channels() -> list[FailingChannel]:
    """Channels of which the newest attempt failed, with the first failure since anything got out by them."""
    found = []
    for channel in Channel:
        rows = Delivery.objects.filter(channel=channel)
        last = rows.filter(delivered=True).order_by("-id").values_list("id", flat=True).first() or 0
        failures = rows.filter(delivered=False, id__gt=last)
        first, newest = failures.order_by("id").first(), failures.order_by("-id").first()
        if first is not None and newest is not None:
            found.append(FailingChannel(channel=channel, since=first.sent_at, answer=newest.answer))
    return found


def alarm_summary() -> AlarmSummary:
    """How many alarms are open, how many of them nobody has acknowledged, and since when: one query."""
    unseen = Q(acknowledged_at=None)
    found = (
        open_alarms()
        .order_by()
        .aggregate(open=Count("id"), unseen=Count("id", filter=unseen), oldest=Min("since", filter=unseen))
    )
    return AlarmSummary(open=found["open"], unseen=found["unseen"], oldest_unseen_at=found["oldest"])


def alarm_counts() -> dict[tuple[str, bool], int]:
    """Open alarms by code, and by whether somebody has acknowledged them."""
    rows = (
        open_alarms()
        .order_by()
        .values("code")
        .annotate(
            seen=Count("id", filter=Q(acknowledged_at__isnull=False)),
            unseen=Count("id", filter=Q(acknowledged_at=None)),
        )
    )
    return {(row["code"], seen): row["seen" if seen else "unseen"] for row in rows for seen in (False, True)}


def notices_owed() -> dict[Channel, int]:
    """Tellings that have not got out, by channel."""
    rows = Notice.objects.filter(state=NoticeState.OWED).order_by().values_list("channel").annotate(count=Count("id"))
    counts = dict(rows)
    return {channel: counts.get(channel.value, 0) for channel in Channel}


def head() -> LogHead:
    """How far the log is, and how much of it is sealed: two queries."""
    newest = Checkpoint.objects.order_by("-number").first()
    return LogHead(
        event_id=Event.objects.aggregate(last=Max("id"))["last"] or 0,
        sealed=newest.last_seq if newest is not None else 0,
        checkpoint_at=newest.sealed_at if newest is not None else None,
    )


def happened(*, after: int, missed: Collection[int], limit: int = EVENTS_MAX) -> list[Happened]:
    """Events beyond an id, and those of `missed` that can be seen by now, in id order, without their bytes."""
    rows = Event.objects.filter(Q(id__gt=after) | Q(id__in=missed)).order_by("id")
    return [Happened(*row) for row in rows.values_list("id", "kind", "subject", "recorded_at")[:limit]]


def newest_ids(count: int) -> list[int]:
    """The ids of the last events that can be seen, the newest first."""
    return list(Event.objects.order_by("-id").values_list("id", flat=True)[:count])
