"""What somebody who watches sees of their connections: what is held, what works, what closed, what asks. Rows only."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.core.cache import cache
from django.db.models import Count, Q, Sum

from apps.common.money import from_minor
from apps.trades.models import Fill, Order, Outcome, Position, Proposal
from apps.trades.types import CLOSED_ORDER_STATES, LIVE_ORDER_STATES, ProposalState

MARKS_MAX: Final = 200
LIVE_MAX: Final = 20
CODES_MAX: Final = 200
CODES_KEPT_S: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """What closing positions brought since an instant, in one currency: after fees, rounded down. `unknown` counts
    those whose cost is not known; their fees are counted as lost."""

    currency: str
    result: Decimal
    outcomes: int
    unknown: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What is Aika's own on a chart of one instrument: fills oldest first, orders that work, proposals that wait."""

    fills: tuple[Fill, ...]
    orders: tuple[Order, ...]
    waiting: tuple[Proposal, ...]


def held(connection_ids: Collection[UUID], *, since: datetime) -> list[Position]:
    """Positions that are not flat, and those that became flat since; by instrument."""
    rows = Position.objects.filter(connection_id__in=connection_ids).order_by("instrument", "pk")
    return [row for row in rows if row.quantity or row.updated_at >= since]


def closed_since(connection_ids: Collection[UUID], since: datetime) -> list[Closed]:
    """The results since `since`, by currency: one query."""
    rows = (
        Outcome.objects.filter(connection_id__in=connection_ids, closed_at__gte=since)
        .order_by()
        .values("quote_currency")
        .annotate(lost=Sum("loss_minor"), outcomes=Count("pk"), unknown=Count("pk", filter=Q(pnl__isnull=True)))
    )
    return sorted(
        (
            Closed(
                currency=row["quote_currency"],
                result=-from_minor(row["lost"]),
                outcomes=row["outcomes"],
                unknown=row["unknown"],
            )
            for row in rows
        ),
        key=lambda found: found.currency,
    )


def recent_orders(connection_ids: Collection[UUID], *, since: datetime, limit: int) -> list[Order]:
    """Every order that still lives (at most 20), then the newest of those made since `since` that have ended; `limit`
    in all at most, unless more live. Each with its proposal."""
    rows = Order.objects.filter(connection_id__in=connection_ids).select_related("proposal")
    live = list(rows.filter(state__in=sorted(LIVE_ORDER_STATES)).order_by("-created_at")[:LIVE_MAX])
    ended = rows.filter(state__in=sorted(CLOSED_ORDER_STATES), created_at__gte=since).order_by("-created_at")
    return [*live, *list(ended[:limit])[: max(limit - len(live), 0)]]


def recent_outcomes(connection_ids: Collection[UUID], *, limit: int) -> list[Outcome]:
    """What was closed last, with the order that did it."""
    rows = Outcome.objects.filter(connection_id__in=connection_ids).select_related("order")
    return list(rows.order_by("-closed_at")[:limit])


def marks(connection_ids: Collection[UUID], instrument: str, *, since: datetime, now: datetime) -> Marks:
    """What is drawn on a chart from `since` on: three queries."""
    here = Q(connection_id__in=connection_ids, instrument=instrument)
    fills = Fill.objects.filter(here, occurred_at__gte=since).order_by("-occurred_at")[:MARKS_MAX]
    orders = Order.objects.filter(here, state__in=sorted(LIVE_ORDER_STATES)).select_related("proposal")
    waiting = Proposal.objects.filter(here, state=ProposalState.AWAITING_APPROVAL, expires_at__gt=now)
    return Marks(
        fills=tuple(reversed(fills)),
        orders=tuple(orders.order_by("-created_at")[:LIVE_MAX]),
        waiting=tuple(waiting.order_by("-created_at")[:LIVE_MAX]),
    )


def asked_codes(connection_ids: Collection[UUID], since: datetime) -> Sequence[tuple[UUID, str]]:
    """Connection and instrument of what was asked since, in the order of the alphabet; as of at most a minute ago."""
    digest = hashlib.sha256(" ".join(sorted(map(str, connection_ids))).encode()).hexdigest()
    kept: list[tuple[UUID, str]] | None = cache.get(f"asked-codes:{digest}")
    if kept is not None:
        return kept
    rows = Proposal.objects.filter(connection_id__in=connection_ids, created_at__gte=since)
    found = rows.order_by("instrument").values_list("connection_id", "instrument").distinct()
    asked = list(found[:CODES_MAX])
    cache.set(f"asked-codes:{digest}", asked, timeout=CODES_KEPT_S)
    return asked
