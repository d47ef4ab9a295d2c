"""What the last comparison with a venue found, and what still waits for a person."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import F

from apps.trades.models import Difference, Inquiry, Order, ReconciliationRun
from apps.trades.types import DifferenceKind, InquiryAnswer, InquiryKind, OrderState, RunOutcome

_COMPLETE = (RunOutcome.CLEAN, RunOutcome.DIFFERENCES)


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRun:
    """The newest comparison that ended. `clean` says that it saw everything, that nothing differed, and that nothing
    found before or since waits for a person: the only ground on which trading may be resumed."""

    run_id: UUID
    started_at: datetime
    finished_at: datetime
    outcome: RunOutcome
    open_differences: int

    @property
    def clean(self) -> bool:
        return self.outcome is RunOutcome.CLEAN and not self.open_differences


def last_run(connection_id: UUID) -> LastRun | None:
    """The newest comparison of a connection that ended, complete or not; None where there is none yet."""
    rows = ReconciliationRun.objects.filter(connection_id=connection_id, finished_at__isnull=False)
    run = rows.order_by("-finished_at").first()
    if run is None or run.finished_at is None:
        return None
    return LastRun(
        run_id=run.pk,
        started_at=run.started_at,
        finished_at=run.finished_at,
        outcome=RunOutcome(run.outcome),
        open_differences=open_differences(connection_id),
    )


def open_differences(connection_id: UUID) -> int:
    """How many differences of a connection nobody has explained yet."""
    return Difference.objects.filter(connection_id=connection_id, settled_at__isnull=True).count()


def last_complete_run(connection_id: UUID) -> ReconciliationRun | None:
    """The newest run that saw everything it asked for: where the next one goes on."""
    rows = ReconciliationRun.objects.filter(connection_id=connection_id, outcome__in=_COMPLETE)
    return rows.order_by("-started_at").first()


def reconciled_since(connection_id: UUID, instant: datetime) -> bool:
    """Whether a run that began at or after `instant` saw everything."""
    rows = ReconciliationRun.objects.filter(connection_id=connection_id, outcome__in=_COMPLETE)
    return rows.filter(started_at__gte=instant).exists()


def inquiries_of(order_id: UUID) -> list[Inquiry]:
    """What the venue was asked about an order, oldest first."""
    return list(Inquiry.objects.filter(order_id=order_id))


def scans_of(order_id: UUID) -> int:
    """How often the venue's list was searched for an order."""
    return Inquiry.objects.filter(order_id=order_id, kind=InquiryKind.SCAN).count()


def unknown_orders(connection_id: UUID) -> list[Order]:
    """Orders of a connection whose fate is not known, oldest first."""
    rows = Order.objects.filter(connection_id=connection_id, state=OrderState.UNKNOWN)
    return list(rows.order_by("submitted_at", "pk"))


def same_difference(connection_id: UUID, kind: DifferenceKind, subject: str) -> Difference | None:
    """The very same difference, kept before: one that waits for a person, or the newest that one has explained."""
    rows = Difference.objects.filter(connection_id=connection_id, kind=kind, subject=subject)
    return rows.order_by(F("settled_at").desc(nulls_first=True)).first()


def replays_of(order_id: UUID) -> list[str]:
    """The answers (ASKED among them) of every time an order was sent again."""
    rows = Inquiry.objects.filter(order_id=order_id, kind=InquiryKind.REPLAY)
    return list(rows.values_list("answer", flat=True))


def named_by_venue(order_id: UUID) -> str:
    """The venue's id of an order of unknown fate, where the answer to a replay told it; empty otherwise."""
    rows = Inquiry.objects.filter(order_id=order_id, kind=InquiryKind.REPLAY, answer=InquiryAnswer.ACCEPTED)
    return rows.values_list("detail", flat=True).order_by("-id").first() or ""
