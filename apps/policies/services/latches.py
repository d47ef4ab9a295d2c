"""Latches: what trips by itself shuts trading at once and alone; only two named people reset it, never the clock."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from django.db import transaction

from apps.accounts import selectors as people
from apps.accounts.services import second_person
from apps.accounts.services.people import actor_of
from apps.audit.services import alarms, events
from apps.audit.types import Actor
from apps.common import canonical, faults
from apps.common import fault_places as places
from apps.common.errors import Conflict, Forbidden, Invalid, NotFound
from apps.policies.models import GLOBAL_SCOPE, REASON_CHARS_MAX, Latch
from apps.policies.services import trading_state
from apps.policies.types import LatchKind, State

if TYPE_CHECKING:
    from apps.accounts.models import SecondPersonRequest, User

RESET_KIND: Final = "latch.reset"
RESET_TTL: Final = timedelta(hours=1)


@faults.commit(places.TRIP)
def trip(
    *,
    kind: LatchKind,
    connection_id: UUID | None,
    message: str,
    evidence: Mapping[str, str],
    actor: Actor,
    now: datetime,
) -> Latch:
    """Trip a latch of everything (None) or one connection: the row, the tighter state, the alarm and the event at once.

    One that is tripped stays as it was. `evidence` are the numbers it went by, as texts, with their units in the names.
    """
    scope = GLOBAL_SCOPE if connection_id is None else str(connection_id)
    # First the state: its row lock makes two that trip at once wait for each other.
    tighten = trading_state.halt if kind.imposes is State.HALTED else trading_state.reduce
    tighten(connection_id=connection_id, actor=actor, reason=f"{kind.sentence} {message}", now=now)
    known = Latch.objects.filter(kind=kind, scope=scope, reset_at=None).first()
    if known is not None:
        return known
    latch = Latch.objects.create(
        kind=kind.value,
        scope=scope,
        connection_id=connection_id,
        tripped_at=now,
        message=message[:REASON_CHARS_MAX],
        evidence=dict(evidence),
    )
    _record("latch.tripped", latch, actor, now, message=latch.message, evidence=latch.evidence)
    alarms.raise_alarm(
        code=_alarm_code(latch), subject=_about(latch), message=f"{kind.sentence} {message} {kind.loosening}", now=now
    )
    return latch


@transaction.atomic
def request_reset(*, latch_id: UUID, requester: "User", reason: str, now: datetime) -> "SecondPersonRequest":
    """Ask a second person to reset a latch, and say why.

    Raises Forbidden MAY_NOT_RESET, NotFound LATCH_UNKNOWN, Conflict LATCH_IS_RESET, Invalid REASON_NEEDED, and what
    second_person.request raises.
    """
    latch = _open(latch_id, requester)
    if not reason.strip():
        raise Invalid("REASON_NEEDED", "Say why it may be reset.", fix="Write one sentence.", field="reason")
    return second_person.request(
        kind=RESET_KIND,
        subject=_subject(latch),
        digest=_digest(latch),
        summary=f"Reset {latch.kind}, tripped {latch.tripped_at:%Y-%m-%d %H:%M:%S} UTC. {latch.message} "
        f"Why now: {reason.strip()}"[: second_person.SUMMARY_LENGTH_MAX],
        requester=requester,
        now=now,
        ttl=RESET_TTL,
    )


@transaction.atomic
def second_reset(*, latch_id: UUID, seconder: "User", now: datetime) -> Latch:
    """Second what somebody else asked for, and reset the latch in the same moment.

    Raises as `reset` and second_person.second; NotFound RESET_NOT_ASKED where nobody has asked.
    """
    latch = _open(latch_id, seconder)
    asked = people.open_request(kind=RESET_KIND, subject=_subject(latch), digest=_digest(latch), now=now)
    if asked is None:
        raise NotFound("RESET_NOT_ASKED", "Nobody has asked for this latch to be reset.", fix="Ask first.")
    second_person.second(request_id=asked.pk, seconder=seconder, now=now)
    return reset(latch_id=latch_id, person=seconder, now=now)


@faults.commit(places.RESET)
def reset(*, latch_id: UUID, person: "User", now: datetime) -> Latch:
    """Reset a latch as a second person has seconded. The trading state stays: resuming is an act of its own.

    Raises Forbidden MAY_NOT_RESET, NotFound LATCH_UNKNOWN, Conflict LATCH_IS_RESET, Denied SECOND_PERSON_REQUIRED.
    """
    latch = _open(latch_id, person)
    asked = second_person.use(kind=RESET_KIND, subject=_subject(latch), digest=_digest(latch), now=now)
    latch.reset_at, latch.reset_reason = now, asked.summary
    latch.reset_requester_id, latch.reset_seconder_id = asked.requester_id, asked.seconder_id
    latch.save(force_update=True)
    two = {"requester": asked.requester_id, "seconder": asked.seconder_id, "reason": asked.summary}
    _record("latch.reset", latch, actor_of(person), now, **two)
    alarms.clear_alarm(code=_alarm_code(latch), subject=_about(latch), now=now)
    return latch


def _open(latch_id: UUID, person: "User") -> Latch:
    if not people.holds(person, "halt_trading"):
        raise Forbidden("MAY_NOT_RESET", "You may not reset a latch.")
    latch = Latch.objects.select_for_update(of=("self",)).filter(pk=latch_id).first()
    if latch is None:
        raise NotFound("LATCH_UNKNOWN", "There is no such latch.")
    if latch.reset_at is not None:
        raise Conflict("LATCH_IS_RESET", "Two people have reset it already.", fix="Look at the trading state again.")
    return latch


def _digest(latch: Latch) -> str:
    value = {"id": latch.pk, "kind": latch.kind, "scope": latch.scope, "tripped_at": latch.tripped_at}
    return canonical.digest(canonical.encode("aika.latch/1", value))


def _subject(latch: Latch) -> str:
    return f"latch:{latch.pk}"


def _about(latch: Latch) -> str:
    return f"trading_state:{latch.scope}"


def _alarm_code(latch: Latch) -> str:
    return f"LATCH_{latch.kind}"


def _record(kind: str, latch: Latch, actor: Actor, now: datetime, **more: object) -> None:
    about = _about(latch)
    payload = {"latch": latch.pk, "kind": latch.kind, "scope": latch.scope, **more}
    events.record(stream=about, kind=kind, actor=actor, subject=about, payload=payload, now=now)
