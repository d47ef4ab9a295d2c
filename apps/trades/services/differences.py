"""Where the venue and our rows did not agree: kept, said aloud where a person must look, settled once."""

from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from apps.accounts import selectors as people
from apps.accounts.services.people import actor_of
from apps.audit.services import alarms, events
from apps.audit.types import Actor
from apps.common import fault_places as places
from apps.common import faults
from apps.common.errors import Conflict, Forbidden, Invalid, NotFound
from apps.policies.services import latches
from apps.policies.types import LatchKind
from apps.trades.models import Difference, ReconciliationRun
from apps.trades.selectors.reconciliation import same_difference
from apps.trades.services import run_leases
from apps.trades.types import DifferenceKind

if TYPE_CHECKING:
    from apps.accounts.models import User

RECONCILIATION: Final = Actor.system("reconciliation")
REASON_CHARS_MAX: Final = 500
# What a run puts right by itself.
_SETTLED_AT_ONCE: Final = frozenset(
    {DifferenceKind.ORDER_STATE, DifferenceKind.ORDER_FOUND, DifferenceKind.FILL_MISSED}
)
# There is an order at the venue that nobody here approved, or our rows are not to be trusted.
_HALTS: Final = frozenset({DifferenceKind.ORDER_DIFFERS, DifferenceKind.ORDER_LATE, DifferenceKind.DATABASE_BEHIND})


def keep(
    *,
    connection_id: UUID,
    kind: DifferenceKind,
    subject: str,
    ours: str,
    theirs: str,
    done: str,
    now: datetime,
    order_id: UUID | None = None,
    run: ReconciliationRun | None = None,
) -> Difference:
    """Keep a difference; the same one that still waits for a person, or that a person has explained, is returned
    instead of a second row.

    One that a person must look at raises an alarm, and one that puts the rows or the order in doubt trips the
    latch that halts the connection, all in one transaction. Raises Conflict RUN_TAKEN_OVER.
    """
    with faults.commit(places.DIFFERENCE):
        run_leases.renew(run, now=now)
        settled = kind in _SETTLED_AT_ONCE
        known = None if settled else same_difference(connection_id, kind, subject)
        if known is not None:
            return known
        row = Difference.objects.create(
            run=run,
            connection_id=connection_id,
            order_id=order_id,
            kind=kind,
            subject=subject,
            ours=ours,
            theirs=theirs,
            done=done,
            found_at=now,
            settled_at=now if settled else None,
            settled_by=RECONCILIATION.name if settled else "",
            settled_reason=done if settled else "",
        )
        _record("difference.found", row, RECONCILIATION, now, ours=ours, theirs=theirs, done=done)
        if not settled:
            alarms.raise_alarm(
                code=kind.value, subject=alarm_subject(row), message=f"{theirs} Here: {ours} {done}", now=now
            )
        if kind in _HALTS:
            latches.trip(
                kind=LatchKind.MISMATCH,
                connection_id=connection_id,
                message=f"{kind.sentence} {theirs}",
                evidence={"difference": str(row.pk), "about": subject, "here": ours, "at_the_venue": theirs},
                actor=RECONCILIATION,
                now=now,
            )
        return row


def settle(*, difference_id: UUID, person: "User", reason: str, now: datetime) -> Difference:
    """A person says what it was. Trading halted for it stays halted.

    Raises NotFound DIFFERENCE_UNKNOWN, Forbidden MAY_NOT_SETTLE, Invalid REASON_NEEDED, Conflict DIFFERENCE_SETTLED.
    """
    if not people.holds(person, "second_request"):
        raise Forbidden("MAY_NOT_SETTLE", "You may not say what a difference was.", fix="Ask risk or an operator.")
    said = reason.strip()[:REASON_CHARS_MAX]
    if not said:
        raise Invalid("REASON_NEEDED", "Say what it was.", fix="Write one sentence.", field="reason")
    with faults.commit(places.DIFFERENCE):
        row = Difference.objects.filter(pk=difference_id).first()
        if row is None:
            raise NotFound("DIFFERENCE_UNKNOWN", "There is no such difference.")
        actor = actor_of(person)
        moved = Difference.objects.filter(pk=row.pk, settled_at__isnull=True).update(
            settled_at=now, settled_by=actor.name, settled_reason=said
        )
        if moved != 1:
            raise Conflict("DIFFERENCE_SETTLED", "Somebody has already said what it was.", fix="Look at it again.")
        row.refresh_from_db()
        _record("difference.settled", row, actor, now, reason=said)
        alarms.clear_alarm(code=row.kind, subject=alarm_subject(row), now=now)
        return row


def alarm_subject(row: Difference) -> str:
    """What the alarm of a difference is about: the order here where there is one, else the thing at the venue."""
    return f"order:{row.order_id}" if row.order_id else f"connection:{row.connection_id} {row.subject}"


def _record(kind: str, row: Difference, actor: Actor, now: datetime, **more: str) -> None:
    about = f"difference:{row.pk}"
    payload = {"kind": str(row.kind), "about": row.subject, "connection": row.connection_id, "order": row.order_id}
    events.record(stream=about, kind=kind, actor=actor, subject=about, payload={**payload, **more}, now=now)
