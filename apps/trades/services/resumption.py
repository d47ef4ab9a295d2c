"""Loosening the trading state: the evidence is gathered here, where the venue and the audit log can be asked."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from apps.accounts.services.people import actor_of
from apps.audit.selectors import last_verification
from apps.audit.services import verifications
from apps.common.errors import Conflict
from apps.connectors.selectors import all_connections
from apps.policies.services import trading_state
from apps.policies.types import ResumeEvidence
from apps.trades.selectors.comparing import has_live_orders
from apps.trades.selectors.reconciliation import last_run
from apps.trades.services.reconciliation import runs
from apps.trades.types import RunOutcome, RunTrigger

if TYPE_CHECKING:
    from apps.accounts.models import SecondPersonRequest, User
    from apps.connectors.models import Connection
    from apps.policies.models import TradingState

# A log up to this long is verified while somebody waits, a second or two; of a longer one the last verification counts.
EVENTS_VERIFIED_AT_ONCE: Final = 100_000

Clock = Callable[[], datetime]


def evidence_of(*, connection_id: UUID | None, person: "User", clock: Clock) -> ResumeEvidence:
    """What speaks for resuming everything (None) or one connection: each is compared with its venue now, and the audit
    log verified. Never inside a transaction."""
    compared = [_compared(row, person, clock) for row in all_connections() if _matters(row, connection_id)]
    verified_at, intact = _verified(person, clock())
    instants = [instant for instant, _ in compared]
    return ResumeEvidence(
        reconciled_at=None if None in instants else min((at for at in instants if at is not None), default=clock()),
        differences=tuple(said for _, said in compared if said),
        verified_at=verified_at,
        intact=intact,
    )


def ask(*, connection_id: UUID | None, requester: "User", reason: str, clock: Clock) -> "SecondPersonRequest":
    """Ask a second person to let trading go on. Raises as trading_state.request_resume."""
    evidence = evidence_of(connection_id=connection_id, person=requester, clock=clock)
    return trading_state.request_resume(
        connection_id=connection_id, requester=requester, reason=reason, evidence=evidence, now=clock()
    )


def second(*, connection_id: UUID | None, seconder: "User", clock: Clock) -> "TradingState":
    """Second what another person asked for, and resume, on evidence gathered anew. Raises as
    trading_state.second_resume."""
    evidence = evidence_of(connection_id=connection_id, person=seconder, clock=clock)
    return trading_state.second_resume(connection_id=connection_id, seconder=seconder, evidence=evidence, now=clock())


def resume(*, connection_id: UUID | None, person: "User", clock: Clock) -> "TradingState":
    """Resume what was seconded elsewhere, on evidence gathered anew. Raises as trading_state.resume."""
    evidence = evidence_of(connection_id=connection_id, person=person, clock=clock)
    return trading_state.resume(connection_id=connection_id, person=person, evidence=evidence, now=clock())


def _matters(connection: "Connection", wanted: UUID | None) -> bool:
    """One that is switched off counts while orders of its still bind money."""
    if wanted is not None:
        return connection.pk == wanted
    return connection.is_active or has_live_orders(connection.pk)


def _compared(connection: "Connection", person: "User", clock: Clock) -> tuple[datetime | None, str]:
    """When the connection was compared with its venue, and what keeps it from being clean; nothing where it is."""
    why = ""
    with suppress(Conflict):  # compared at this moment by somebody else: the last one that ended counts, if young
        actor = actor_of(person)
        trigger = RunTrigger.PERSON
        why = runs.reconcile(connection_id=connection.pk, trigger=trigger, actor=actor, clock=clock).reason
    last = last_run(connection.pk)
    if last is None:
        return None, ""
    if last.clean:
        return last.finished_at, ""
    if last.outcome is RunOutcome.INCOMPLETE:
        return last.finished_at, f"{connection.name} could not be compared with its venue. {why}".strip()
    return last.finished_at, f"{connection.name} differs from its venue. {why}".strip()


def _verified(person: "User", now: datetime) -> tuple[datetime | None, bool]:
    """When the audit log was verified, and whether it was intact."""
    try:
        last = last_verification()
    except (ValueError, KeyError):
        return None, False  # the record of the last verification is itself not what was written
    if last is None or last.events < EVENTS_VERIFIED_AT_ONCE:
        return now, verifications.verify_and_record(by=actor_of(person), now=now).exit_code == 0
    return last.verified_at, last.intact
