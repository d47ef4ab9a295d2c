"""What a connection holds and may still do, read from our own rows: the raw material of facts."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db.models import Count, Q, Sum

from apps.common.money import from_minor
from apps.connectors.types import Side
from apps.trades.models import Fill, LossLatch, Order, Outcome, Position, Proposal
from apps.trades.rules.reservations import OpenOrder
from apps.trades.types import LIVE_ORDER_STATES, WORKING_STATES, OrderState, ProposalState, Reservation

# The venue's clock and ours may differ by this much when we ask whether a balance already shows a fill or a hold.
SNAPSHOT_SKEW: Final = timedelta(seconds=2)
_NEVER_EXECUTED: Final = (OrderState.REJECTED, OrderState.CANCELED, OrderState.EXPIRED)


def open_orders(connection_id: UUID, *, balances_at: datetime | None, without: UUID | None) -> list[OpenOrder]:
    """Orders that still bind money, except those of proposal `without`. An order accepted before the balances were
    read (with room for skewed clocks) is held back by the venue itself."""
    rows = Order.objects.filter(connection_id=connection_id, state__in=LIVE_ORDER_STATES)
    if without is not None:
        rows = rows.exclude(proposal_id=without)
    return [
        OpenOrder(
            instrument=row.instrument,
            side=Side(row.side),
            quantity=row.quantity,
            filled_quantity=row.filled_quantity,
            worst_price=row.worst_price,
            reserved=Reservation(currency=row.reserved_currency, amount=row.reserved_amount),
            seen_by_venue=(
                row.state in WORKING_STATES
                and row.accepted_at is not None
                and balances_at is not None
                and row.accepted_at + SNAPSHOT_SKEW <= balances_at
            ),
        )
        for row in rows
    ]


def fills_after(connection_id: UUID, instant: datetime) -> list[Fill]:
    """Fills that balances read at `instant` may not show yet."""
    return list(Fill.objects.filter(connection_id=connection_id, occurred_at__gt=instant - SNAPSHOT_SKEW))


def notional_approved_on(connection_id: UUID, day_start: datetime, *, without: UUID | None) -> Decimal:
    """Worst-price notional of orders approved since `day_start`, in the reporting currency.

    Orders that ended without any execution do not count.
    """
    rows = Order.objects.filter(connection_id=connection_id, created_at__gte=day_start).exclude(
        Q(state__in=_NEVER_EXECUTED) & Q(filled_quantity=Decimal(0))
    )
    if without is not None:
        rows = rows.exclude(proposal_id=without)
    return from_minor(rows.aggregate(total=Sum("notional_minor"))["total"] or 0)


def realized_loss_since(connection_id: UUID, day_start: datetime) -> dict[str, Decimal]:
    """Minus the realised P&L since `day_start` by quote currency, in that currency (negative when the day won)."""
    rows = Outcome.objects.filter(connection_id=connection_id, closed_at__gte=day_start)
    sums = rows.order_by().values_list("quote_currency").annotate(total=Sum("loss_minor"))
    return {currency: from_minor(minor) for currency, minor in sums}


def lots(connection_id: UUID) -> list[Position]:
    """Positions of known cost that are not flat."""
    return list(Position.objects.filter(connection_id=connection_id).exclude(quantity=Decimal(0)))


def loss_latched(connection_id: UUID, day: date) -> bool:
    """Whether the daily loss limit was reached on this UTC day and nobody has reset it."""
    return LossLatch.objects.filter(connection_id=connection_id, date=day, reset_at__isnull=True).exists()


def asked_by(
    since: datetime, until: datetime, *, proposer_id: UUID | None = None, connection_id: UUID | None = None
) -> Q:
    """Proposals made in [since, until) by a person (keys included) or on a connection."""
    found = Q(created_at__gte=since, created_at__lt=until)
    if proposer_id is not None:
        found &= Q(proposer_id=proposer_id)
    return found & Q(connection_id=connection_id) if connection_id is not None else found


def same_asked(
    since: datetime, until: datetime, *, connection_id: UUID, proposer_id: UUID, terms_like: Mapping[str, object]
) -> Q:
    """Proposals in [since, until) that asked for the very same and were not denied."""
    return (
        asked_by(since, until, proposer_id=proposer_id, connection_id=connection_id)
        & Q(**terms_like)
        & ~Q(state=ProposalState.DENIED)
    )


def counts(questions: Mapping[str, Q], *, since: datetime, until: datetime) -> dict[str, int]:
    """How many proposals answer each question, all counted in one query over [since, until)."""
    rows = Proposal.objects.filter(created_at__gte=since, created_at__lt=until)
    names = {f"n{number}": key for number, key in enumerate(questions)}
    found = rows.aggregate(**{name: Count("pk", filter=questions[key]) for name, key in names.items()})
    return {names[name]: count for name, count in found.items()}
