"""The figures of a trade's life for a machine that watches: a fixed number of queries, whatever the number of rows."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Min, OuterRef, Q, Subquery

from apps.connectors.selectors import all_connections
from apps.trades.models import Difference, HaltClearing, Order, Proposal, ReconciliationRun
from apps.trades.types import LIVE_ORDER_STATES, ClearingOutcome, OrderState, ProposalState, RunOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """`owing` counts rows that a message should have set in motion, by what is owed; `compared_at` is when each
    connection was last compared with its venue completely."""

    orders: dict[str, int]
    unknown_since: datetime | None
    waiting: int
    next_expiry: datetime | None
    owing: dict[str, int]
    differences: int
    halts_to_clear: int
    compared_at: dict[UUID, datetime | None]


def figures(now: datetime) -> Figures:
    """Six queries."""
    rows = Order.objects.filter(state__in=LIVE_ORDER_STATES).order_by().values("state")
    counts: dict[str, int] = dict.fromkeys(sorted(LIVE_ORDER_STATES), 0)
    unknown_since = None
    for row in rows.annotate(count=Count("pk"), since=Min("submitted_at")):
        counts[row["state"]] = row["count"]
        if row["state"] == OrderState.UNKNOWN:
            unknown_since = row["since"]
    due = Q(next_attempt_at__isnull=True) | Q(next_attempt_at__lte=now)
    owing = Order.objects.filter(state__in=LIVE_ORDER_STATES).aggregate(
        execute=Count("pk", filter=due & Q(state=OrderState.INITIALIZED)),
        resolve=Count("pk", filter=due & Q(state=OrderState.UNKNOWN)),
        cancel=Count("pk", filter=Q(cancel_requested_at__isnull=False, cancel_next_at__lte=now)),
    )
    waiting = Proposal.objects.filter(state=ProposalState.AWAITING_APPROVAL, expires_at__gt=now).aggregate(
        count=Count("pk"), next=Min("expires_at")
    )
    return Figures(
        orders=counts,
        unknown_since=unknown_since,
        waiting=waiting["count"],
        next_expiry=waiting["next"],
        owing=owing,
        differences=Difference.objects.filter(settled_at__isnull=True).count(),
        halts_to_clear=HaltClearing.objects.filter(outcome=ClearingOutcome.RUNNING).count(),
        compared_at=_compared_at(),
    )


def _compared_at() -> dict[UUID, datetime | None]:
    complete = ReconciliationRun.objects.filter(
        connection_id=OuterRef("pk"), outcome__in=(RunOutcome.CLEAN, RunOutcome.DIFFERENCES)
    )
    newest = complete.order_by("-started_at").values("started_at")[:1]
    return dict(all_connections().annotate(compared_at=Subquery(newest)).values_list("pk", "compared_at"))


def needed_prices() -> dict[UUID, set[str]]:
    """The instruments that something waits for or that orders live on, by connection: two queries."""
    found: dict[UUID, set[str]] = defaultdict(set)
    for rows in (
        Proposal.objects.filter(state=ProposalState.AWAITING_APPROVAL),
        Order.objects.filter(state__in=LIVE_ORDER_STATES),
    ):
        for connection_id, code in rows.order_by().values_list("connection_id", "instrument").distinct():
            found[connection_id].add(code)
    return dict(found)


def proposals_by_state() -> dict[str, int]:
    """How many proposals there are in each state: one query, over an index that begins with the state."""
    counts = Proposal.objects.order_by().values_list("state").annotate(count=Count("pk"))
    return dict.fromkeys((state.value for state in ProposalState), 0) | dict(counts)
