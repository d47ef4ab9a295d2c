"""Loosening the trading state: the evidence is gathered here, where orders and the audit log can be asked."""

from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from apps.accounts.services.people import actor_of
from apps.audit.selectors import last_verification
from apps.audit.services import verifications
from apps.policies.services import trading_state
from apps.policies.types import ResumeEvidence
from apps.trades.models import Order

if TYPE_CHECKING:
    from apps.accounts.models import SecondPersonRequest, User
    from apps.policies.models import TradingState

DIFFERENCES_MAX: Final = 20
# A log up to this long is verified while somebody waits, a second or two; of a longer one the last verification counts.
EVENTS_VERIFIED_AT_ONCE: Final = 100_000


def evidence_of(*, connection_id: UUID | None, person: "User", now: datetime) -> ResumeEvidence:
    """What speaks for resuming everything (None) or one connection, gathered because `person` asked."""
    verified_at, intact = _verified(person, now)
    return ResumeEvidence(
        reconciled_at=now, differences=_unresolved(connection_id), verified_at=verified_at, intact=intact
    )


def ask(*, connection_id: UUID | None, requester: "User", reason: str, now: datetime) -> "SecondPersonRequest":
    """Ask a second person to let trading go on. Raises as trading_state.request_resume."""
    return trading_state.request_resume(
        connection_id=connection_id,
        requester=requester,
        reason=reason,
        evidence=evidence_of(connection_id=connection_id, person=requester, now=now),
        now=now,
    )


def second(*, connection_id: UUID | None, seconder: "User", now: datetime) -> "TradingState":
    """Second what another person asked for, and resume, on evidence gathered anew. Raises as
    trading_state.second_resume."""
    evidence = evidence_of(connection_id=connection_id, person=seconder, now=now)
    return trading_state.second_resume(connection_id=connection_id, seconder=seconder, evidence=evidence, now=now)


def resume(*, connection_id: UUID | None, person: "User", now: datetime) -> "TradingState":
    """Resume what was seconded elsewhere, on evidence gathered anew. Raises as trading_state.resume."""
    evidence = evidence_of(connection_id=connection_id, person=person, now=now)
    return trading_state.resume(connection_id=connection_id, person=person, evidence=evidence, now=now)


def _verified(person: "User", now: datetime) -> tuple[datetime | None, bool]:
    """When the audit log was verified, and whether it was intact."""
    try:
        last = last_verification()
    except (ValueError, KeyError):
        return None, False  # the record of the last verification is itself not what was written
    if last is None or last.events < EVENTS_VERIFIED_AT_ONCE:
        return now, verifications.verify_and_record(by=actor_of(person), now=now).exit_code == 0
    return last.verified_at, last.intact


def _unresolved(connection_id: UUID | None) -> tuple[str, ...]:
    """Orders whose fate at the venue is not known."""
    rows = Order.objects.in_flight().order_by("created_at")
    if connection_id is not None:
        rows = rows.filter(connection_id=connection_id)
    return tuple(
        f"Order {row.client_order_id} ({row.side} {row.instrument}) is {row.state}: the venue has not said what it is."
        for row in rows[:DIFFERENCES_MAX]
    )
