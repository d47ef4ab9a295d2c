"""Whether trading goes on. Anybody may halt, at once and alone; resuming takes two people."""

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
from apps.common.errors import Forbidden, NotFound
from apps.policies.models import GLOBAL_SCOPE, REASON_CHARS_MAX, TradingState
from apps.policies.types import State

if TYPE_CHECKING:
    from apps.accounts.models import SecondPersonRequest, User

RESUME_KIND = "trading.resume"
RESUME_TTL = timedelta(hours=1)


@faults.commit(places.HALT)
def halt(*, connection_id: UUID | None, actor: Actor, reason: str, now: datetime) -> TradingState:
    """Halt everything (None) or one connection. Halting what is halted changes nothing and keeps the first reason.

    Never refused for its wording: a missing reason is noted as missing, a long one is cut.
    """
    row = _locked(connection_id, actor, now)
    if row.state == State.HALTED:
        return row
    before, row.state = row.state, State.HALTED.value
    _keep(row, actor, reason.strip()[:REASON_CHARS_MAX] or "No reason was given.", now)
    _record("trading_state.halted", row, before, actor, now)
    return row


@transaction.atomic
def request_resume(
    *, connection_id: UUID | None, requester: "User", reason: str, now: datetime
) -> "SecondPersonRequest":
    """Ask a second person to let trading go on. Raises Forbidden MAY_NOT_RESUME, NotFound NOT_HALTED, and what
    second_person.request raises."""
    _may_resume(requester)
    row = _halted(connection_id)
    return second_person.request(
        kind=RESUME_KIND,
        subject=_subject(row),
        digest=_digest(row),
        summary=f"Resume trading: {_named(row)}. Halted by {row.changed_by}: {row.reason} Why now: {reason}"[:2000],
        requester=requester,
        now=now,
        ttl=RESUME_TTL,
    )


@faults.commit(places.RESUME)
def resume(*, connection_id: UUID | None, person: "User", now: datetime) -> TradingState:
    """Let trading go on, as a second person has seconded. A halt since then needs a new request.

    Raises Forbidden MAY_NOT_RESUME, NotFound NOT_HALTED, Denied SECOND_PERSON_REQUIRED.
    """
    _may_resume(person)
    row = _halted(connection_id)
    second_person.use(kind=RESUME_KIND, subject=_subject(row), digest=_digest(row), now=now)
    actor, before = actor_of(person), row.state
    row.state = State.ACTIVE.value
    _keep(row, actor, "Resumed by two people.", now)
    _record("trading_state.resumed", row, before, actor, now)
    return row


def _locked(connection_id: UUID | None, actor: Actor, now: datetime) -> TradingState:
    scope = GLOBAL_SCOPE if connection_id is None else str(connection_id)
    rows = TradingState.objects.select_for_update(of=("self",))
    row = rows.filter(pk=scope).first()
    if row is not None:
        return row
    fresh = TradingState(
        scope=scope, connection_id=connection_id, state=State.ACTIVE.value, changed_by=actor.name, changed_at=now
    )
    try:
        with transaction.atomic():
            fresh.save(force_insert=True)
    except IntegrityError:
        return rows.get(pk=scope)  # somebody halted it in the same moment, or there is no such connection
    return fresh


def _halted(connection_id: UUID | None) -> TradingState:
    scope = GLOBAL_SCOPE if connection_id is None else str(connection_id)
    row = TradingState.objects.select_for_update(of=("self",)).filter(pk=scope).exclude(state=State.ACTIVE).first()
    if row is None:
        raise NotFound("NOT_HALTED", "Trading is not halted there.", fix="Look at the trading state again.")
    return row


def _keep(row: TradingState, actor: Actor, reason: str, now: datetime) -> None:
    row.reason, row.changed_by, row.changed_at = reason, actor.name, now
    row.save(force_update=True)


def _may_resume(person: "User") -> None:
    if not people.holds(person, "halt_trading"):
        raise Forbidden("MAY_NOT_RESUME", "You may not ask for trading to be resumed.")


def _digest(row: TradingState) -> str:
    value = {"scope": row.scope, "state": row.state, "reason": row.reason, "changed_at": row.changed_at}
    return canonical.digest(canonical.encode("aika.trading-state/1", value))


def _subject(row: TradingState) -> str:
    return f"trading_state:{row.scope}"


def _named(row: TradingState) -> str:
    return "everything" if row.connection is None else row.connection.name


def _record(kind: str, row: TradingState, before: str, actor: Actor, now: datetime) -> None:
    payload = {"scope": row.scope, "before": before, "after": row.state, "reason": row.reason}
    about = _subject(row)
    events.record(stream=about, kind=kind, actor=actor, subject=about, payload=payload, now=now)
