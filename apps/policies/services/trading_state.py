"""Whether trading goes on. Anybody may tighten, at once and alone; loosening takes two people and evidence."""

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import IntegrityError, transaction

from apps.accounts import selectors as people
from apps.accounts.services import second_person
from apps.accounts.services.people import actor_of
from apps.audit.services import events
from apps.audit.types import Actor
from apps.common import canonical, faults
from apps.common import fault_places as places
from apps.common.errors import Denied, Forbidden, NotFound
from apps.common.tasks import publish
from apps.policies.models import GLOBAL_SCOPE, REASON_CHARS_MAX, Latch, TradingState
from apps.policies.rules import resuming
from apps.policies.services import barrier
from apps.policies.types import ResumeEvidence, State

if TYPE_CHECKING:
    from apps.accounts.models import SecondPersonRequest, User

RESUME_KIND = "trading.resume"
RESUME_TTL = timedelta(hours=1)
OFF_THE_RECORD = "self-check, off the record"

logger = logging.getLogger(__name__)

_TIGHTNESS = {State.ACTIVE: 0, State.REDUCING: 1, State.HALTED: 2}
_KINDS = {State.REDUCING: "trading_state.reduced", State.HALTED: "trading_state.halted"}


@faults.commit(places.HALT)
def halt(*, connection_id: UUID | None, actor: Actor, reason: str, now: datetime) -> TradingState:
    """Halt everything (None) or one connection. Halting what is halted changes nothing and keeps the first reason.

    Never refused for its wording: a missing reason is noted as missing, a long one is cut.
    """
    row = _tighten(State.HALTED, connection_id, actor, reason, now)
    # What is open at the venues is canceled there. A sweep finds a halt whose message was lost.
    publish("trades.cancel_halted", scope=row.scope)
    return row


@faults.commit(places.REDUCE)
def reduce(*, connection_id: UUID | None, actor: Actor, reason: str, now: datetime) -> TradingState:
    """Let only orders pass that shrink a position, on everything (None) or one connection.

    What is reducing or halted stays as it is, with its first reason. Refused for its wording as little as `halt`.
    """
    return _tighten(State.REDUCING, connection_id, actor, reason, now)


def halt_off_the_record(*, reason: str, now: datetime) -> None:
    """Halt everything although nothing can be recorded: the one change of state without an event, because recording is
    what is broken. `reason_off_the_record` finds it, and puts it on record once that works again."""
    with faults.commit(places.HALT):
        moved = TradingState.objects.filter(pk=GLOBAL_SCOPE).exclude(state=State.HALTED)
        changed = moved.update(
            state=State.HALTED.value, reason=reason[:REASON_CHARS_MAX], changed_by=OFF_THE_RECORD, changed_at=now
        )
    if changed:
        logger.critical("HALTED_OFF_THE_RECORD: %s", reason)


def reason_off_the_record(*, since: datetime | None) -> str:
    """Why everything was halted off the record, after `since` if given; empty where it is not."""
    rows = TradingState.objects.filter(pk=GLOBAL_SCOPE, state=State.HALTED, changed_by=OFF_THE_RECORD)
    row = (rows if since is None else rows.filter(changed_at__gt=since)).first()
    return row.reason if row is not None else ""


@transaction.atomic
def request_resume(
    *, connection_id: UUID | None, requester: "User", reason: str, evidence: ResumeEvidence, now: datetime
) -> "SecondPersonRequest":
    """Ask a second person to let trading go on, on evidence that carries it.

    Raises Forbidden MAY_NOT_RESUME, NotFound NOT_HALTED, Denied RESUME_UNFOUNDED or LATCH_TRIPPED, and what
    second_person.request raises.
    """
    _may_resume(requester)
    row = _loosenable(connection_id)
    _founded(evidence, now)
    about = f"Resume trading: {_named(row)}. {row.state.capitalize()} by {row.changed_by}: {row.reason}"
    asked = second_person.request(
        kind=RESUME_KIND,
        subject=_subject(row),
        digest=_digest(row),
        summary=f"{about} Why now: {reason.strip()} {resuming.in_words(evidence)}"[:2000],
        requester=requester,
        now=now,
        ttl=RESUME_TTL,
    )
    _record("trading_state.resume_requested", row, row.state, actor_of(requester), now, evidence=_facts(evidence))
    return asked


@faults.commit(places.RESUME)
def second_resume(
    *, connection_id: UUID | None, seconder: "User", evidence: ResumeEvidence, now: datetime
) -> TradingState:
    """Second the request that stands, and let trading go on in the same moment, on evidence of that moment.

    Raises as `resume` and `second_person.second`; NotFound RESUME_NOT_ASKED where nobody has asked.
    """
    row = _shut(connection_id)
    asked = people.open_request(kind=RESUME_KIND, subject=_subject(row), digest=_digest(row), now=now)
    if asked is None:
        raise NotFound("RESUME_NOT_ASKED", "Nobody has asked for trading to be resumed there.", fix="Ask first.")
    second_person.second(request_id=asked.pk, seconder=seconder, now=now)
    return resume(connection_id=connection_id, person=seconder, evidence=evidence, now=now)


@faults.commit(places.RESUME)
def resume(*, connection_id: UUID | None, person: "User", evidence: ResumeEvidence, now: datetime) -> TradingState:
    """Let trading go on, as a second person has seconded. Anything that tightened since then needs a new request.

    Raises Forbidden MAY_NOT_RESUME, NotFound NOT_HALTED, Denied LATCH_TRIPPED, RESUME_UNFOUNDED or
    SECOND_PERSON_REQUIRED.
    """
    _may_resume(person)
    row = _loosenable(connection_id)
    _founded(evidence, now)
    asked = second_person.use(kind=RESUME_KIND, subject=_subject(row), digest=_digest(row), now=now)
    actor, before = actor_of(person), row.state
    row.state = State.ACTIVE.value
    _keep(row, actor, "Resumed by two people.", now)
    two = {"requester": asked.requester_id, "seconder": asked.seconder_id, "request": asked.pk}
    _record("trading_state.resumed", row, before, actor, now, evidence=_facts(evidence), **two)
    return row


def _tighten(to: State, connection_id: UUID | None, actor: Actor, reason: str, now: datetime) -> TradingState:
    barrier.close(subject=f"trading_state:{_scope(connection_id)}", now=now)
    row = _locked(connection_id, actor, now)
    if _TIGHTNESS[State(row.state)] >= _TIGHTNESS[to]:
        return row
    before, row.state = row.state, to.value
    _keep(row, actor, reason.strip()[:REASON_CHARS_MAX] or "No reason was given.", now)
    _record(_KINDS[to], row, before, actor, now)
    return row


def _locked(connection_id: UUID | None, actor: Actor, now: datetime) -> TradingState:
    scope = _scope(connection_id)
    rows = TradingState.objects.select_for_update(of=("self",))
    row = rows.filter(pk=scope).first()
    if row is not None:
        return row
    # Without the row for everything all is halted, and writing it down must not loosen that.
    state = State.HALTED if connection_id is None else State.ACTIVE
    fresh = TradingState(
        scope=scope, connection_id=connection_id, state=state.value, changed_by=actor.name, changed_at=now
    )
    try:
        with transaction.atomic():
            fresh.save(force_insert=True)
    except IntegrityError:
        return rows.get(pk=scope)  # somebody tightened it in the same moment, or there is no such connection
    return fresh


def _shut(connection_id: UUID | None) -> TradingState:
    rows = TradingState.objects.select_for_update(of=("self",)).exclude(state=State.ACTIVE)
    row = rows.filter(pk=_scope(connection_id)).first()
    if row is None:
        raise NotFound("NOT_HALTED", "Trading is not halted there.", fix="Look at the trading state again.")
    return row


def _loosenable(connection_id: UUID | None) -> TradingState:
    """The row, locked; refused while a latch of its own scope is tripped, whatever the evidence is."""
    row = _shut(connection_id)
    tripped = list(Latch.objects.filter(scope=row.scope, reset_at=None).order_by("tripped_at"))
    if tripped:
        raise Denied(
            "LATCH_TRIPPED",
            f"Trading stays as it is: {', '.join(latch.kind for latch in tripped)} has tripped.",
            fix="Two people must reset it first.",
        )
    return row


def _scope(connection_id: UUID | None) -> str:
    return GLOBAL_SCOPE if connection_id is None else str(connection_id)


def _keep(row: TradingState, actor: Actor, reason: str, now: datetime) -> None:
    row.reason, row.changed_by, row.changed_at = reason, actor.name, now
    row.save(force_update=True)


def _may_resume(person: "User") -> None:
    if not people.holds(person, "halt_trading"):
        raise Forbidden("MAY_NOT_RESUME", "You may not ask for trading to be resumed.")


def _founded(evidence: ResumeEvidence, now: datetime) -> None:
    if missing := resuming.shortcomings(evidence, now=now):
        raise Denied(
            "RESUME_UNFOUNDED",
            f"Trading stays as it is: {' '.join(missing)}",
            fix="Put that right, then ask again.",
        )


def _digest(row: TradingState) -> str:
    value = {"scope": row.scope, "state": row.state, "reason": row.reason, "changed_at": row.changed_at}
    return canonical.digest(canonical.encode("aika.trading-state/1", value))


def _subject(row: TradingState) -> str:
    return f"trading_state:{row.scope}"


def _named(row: TradingState) -> str:
    return "everything" if row.connection is None else row.connection.name


def _facts(evidence: ResumeEvidence) -> dict[str, object]:
    return {
        "reconciled_at": evidence.reconciled_at,
        "differences": list(evidence.differences),
        "verified_at": evidence.verified_at,
        "intact": evidence.intact,
    }


def _record(kind: str, row: TradingState, before: str, actor: Actor, now: datetime, **more: object) -> None:
    payload = {"scope": row.scope, "before": before, "after": row.state, "reason": row.reason, **more}
    about = _subject(row)
    events.record(stream=about, kind=kind, actor=actor, subject=about, payload=payload, now=now)
