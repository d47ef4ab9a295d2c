"""Everything of a trade's life that can stay unresolved, each with since when: what the sweep for alarms goes by."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db.models.functions import Coalesce

from apps.audit.types import Standing
from apps.common.words import clock
from apps.connectors.selectors import all_connections
from apps.policies.selectors import halted_since
from apps.trades.models import Difference, HaltClearing, Order, Proposal
from apps.trades.selectors import hooks, reconciliation
from apps.trades.selectors.comparing import has_live_orders
from apps.trades.types import LIVE_ORDER_STATES, ClearingOutcome, OrderState, ProposalState

# Of each kind the oldest: more than these at once is one trouble, and the first of them say which.
ROWS_MAX: Final = 500


def of_trades(now: datetime) -> Iterator[Standing]:
    """Orders, proposals, halts, comparisons, differences and hooks that are beyond their bounds."""
    yield from _not_claimed(now)
    yield from _in_flight(now)
    yield from _not_read(now)
    yield from _overdue(now)
    yield from _cancels(now)
    yield from _waiting(now)
    yield from _not_expired(now)
    yield from _halts(now)
    yield from _comparisons(now)
    yield from _differences(now)
    yield from _hooks(now)


def near_end(*, created_at: datetime, expires_at: datetime, within_s: int) -> datetime:
    """From when something that waits for people is about to expire: `within_s` before, in its second half at most."""
    return max(expires_at - timedelta(seconds=within_s), created_at + (expires_at - created_at) / 2)


def _ago(now: datetime, bound_s: int) -> datetime:
    return now - timedelta(seconds=bound_s)


def _order(order: Order) -> str:
    return f"{order.side} {order.instrument}"


def _not_claimed(now: datetime) -> Iterator[Standing]:
    bound = settings.ALARM_ORDER_NOT_CLAIMED_S
    rows = Order.objects.initialized().filter(created_at__lt=_ago(now, bound)).order_by("created_at")
    for order in rows[:ROWS_MAX]:
        why = f" What keeps it: {order.reason_code}. {order.reason}" if order.reason_code else ""
        yield Standing(
            code="ORDER_NOT_CLAIMED",
            subject=f"order:{order.pk}",
            message=f"{_order(order)} was approved at {clock(order.created_at)} and has not left.{why}",
            since=order.created_at,
            bound_s=bound,
        )


def _in_flight(now: datetime) -> Iterator[Standing]:
    bound = settings.ALARM_ORDER_IN_FLIGHT_S
    rows = Order.objects.filter(state=OrderState.SUBMITTED, submitted_at__lt=_ago(now, bound))
    for order in rows.order_by("submitted_at")[:ROWS_MAX]:
        since = order.submitted_at or order.created_at
        yield Standing(
            code="ORDER_IN_FLIGHT",
            subject=f"order:{order.pk}",
            message=f"{_order(order)} was claimed at {clock(since)}, and nothing was written down since.",
            since=since,
            bound_s=bound,
        )


def _not_read(now: datetime) -> Iterator[Standing]:
    bound = settings.ALARM_ORDER_NOT_READ_S
    rows = Order.objects.working().annotate(read_at=Coalesce("polled_at", "accepted_at", "created_at"))
    for order in rows.filter(read_at__lt=_ago(now, bound)).order_by("read_at")[:ROWS_MAX]:
        read_at = order.polled_at or order.accepted_at or order.created_at
        yield Standing(
            code="ORDER_NOT_READ",
            subject=f"order:{order.pk}",
            message=f"{_order(order)} works at the venue and was last read at {clock(read_at)}.",
            since=read_at,
            bound_s=bound,
        )


def _overdue(now: datetime) -> Iterator[Standing]:
    bound = settings.ALARM_ORDER_OVERDUE_S
    rows = Order.objects.live().filter(proposal__not_after__lt=_ago(now, bound)).select_related("proposal")
    for order in rows.order_by("proposal__not_after")[:ROWS_MAX]:
        due = order.proposal.not_after
        yield Standing(
            code="ORDER_OVERDUE",
            subject=f"order:{order.pk}",
            message=f"{_order(order)} was to rest until {clock(due)} and is {order.get_state_display()}.",
            since=due,
            bound_s=bound,
        )


def _cancels(now: datetime) -> Iterator[Standing]:
    bound = settings.ALARM_CANCEL_NOT_CONFIRMED_S
    rows = Order.objects.filter(state__in=LIVE_ORDER_STATES, cancel_requested_at__lt=_ago(now, bound))
    for order in rows.order_by("cancel_requested_at")[:ROWS_MAX]:
        asked_at = order.cancel_requested_at or order.created_at
        yield Standing(
            code="CANCEL_NOT_CONFIRMED",
            subject=f"order:{order.pk}",
            message=f"{_order(order)} is to be canceled since {clock(asked_at)}, and may still fill.",
            since=asked_at,
            bound_s=bound,
        )


def _waiting(now: datetime) -> Iterator[Standing]:
    within = settings.ALARM_PROPOSAL_EXPIRES_WITHIN_S
    rows = Proposal.objects.filter(
        state=ProposalState.AWAITING_APPROVAL, expires_at__gt=now, expires_at__lt=now + timedelta(seconds=within)
    )
    for row in rows.order_by("expires_at")[:ROWS_MAX]:
        yield Standing(
            code="PROPOSAL_NEAR_EXPIRY",
            subject=f"proposal:{row.pk}",
            message=f"{row.label}, {row.side} {row.instrument}, expires at {clock(row.expires_at)}.",
            since=near_end(created_at=row.created_at, expires_at=row.expires_at, within_s=within),
            bound_s=0,
            by_us=False,
        )


def _not_expired(now: datetime) -> Iterator[Standing]:
    bound = settings.ALARM_PROPOSAL_NOT_EXPIRED_S
    rows = Proposal.objects.filter(state=ProposalState.AWAITING_APPROVAL, expires_at__lt=_ago(now, bound))
    for row in rows.order_by("expires_at")[:ROWS_MAX]:
        yield Standing(
            code="PROPOSAL_NOT_EXPIRED",
            subject=f"proposal:{row.pk}",
            message=f"{row.label} expired at {clock(row.expires_at)} and still stands as waiting.",
            since=row.expires_at,
            bound_s=bound,
        )


def _halts(now: datetime) -> Iterator[Standing]:
    if not settings.HALT_CANCELS_ORDERS:
        return
    for connection in all_connections():
        halt = halted_since(connection.pk)
        if halt is None:
            continue
        row = HaltClearing.objects.filter(connection=connection, halted_at=halt[0]).first()
        if row is not None and row.outcome != ClearingOutcome.RUNNING:
            continue
        left = (row.open_orders or 0) + row.in_flight_orders if row is not None else 0
        known = row is not None and row.listed_at is not None
        yield Standing(
            code="HALT_NOT_CLEARED",
            subject=f"connection:{connection.pk}",
            message=f"{connection.name} was halted at {clock(halt[0])}, and "
            + (f"{left} orders are open or of unknown fate." if known else "what is open there is not known."),
            since=halt[0],
            bound_s=settings.ALARM_HALT_NOT_CLEARED_S,
            extent=max(left, 1),
        )


def _comparisons(now: datetime) -> Iterator[Standing]:
    for connection in all_connections():
        if not connection.is_active and not has_live_orders(connection.pk):
            continue
        last = reconciliation.last_complete_run(connection.pk)
        seen_at = last.started_at if last is not None else connection.created_at
        yield Standing(
            code="RECONCILIATION_LATE",
            subject=f"connection:{connection.pk}",
            message=f"{connection.name} was last compared with its venue completely at {clock(seen_at)}."
            if last is not None
            else f"{connection.name} was never compared with its venue completely.",
            since=seen_at,
            bound_s=settings.RECONCILE_LATE_S,
        )


def _differences(now: datetime) -> Iterator[Standing]:
    bound = settings.ALARM_DIFFERENCE_OPEN_S
    rows = Difference.objects.filter(settled_at__isnull=True, found_at__lt=_ago(now, bound)).order_by("found_at")
    for row in rows[:ROWS_MAX]:
        yield Standing(
            code="DIFFERENCE_OPEN",
            subject=f"difference:{row.pk}",
            message=f"Found at {clock(row.found_at)}, and nobody has said what it was: {row.theirs}",
            since=row.found_at,
            bound_s=bound,
            by_us=False,
        )


def _hooks(now: datetime) -> Iterator[Standing]:
    """One of each kind for a hook, however many of its calls were refused."""
    for found in hooks.used_elsewhere(now):
        yield Standing(
            code="HOOK_USED_ELSEWHERE",
            subject=f"hook:{found.hook_id}",
            message=f"The secret of the hook {found.name} came from {found.last} at {clock(found.last_at)}, which is "
            f"in none of its networks. Refused within a day: {found.calls}.",
            since=found.last_at,
            bound_s=0,
            extent=found.calls,
            by_us=False,
        )
    for found in hooks.often_refused(now):
        yield Standing(
            code="HOOK_CALLS_REFUSED",
            subject=f"hook:{found.hook_id}",
            message=f"{found.calls} calls of the hook {found.name} were refused within "
            f"{hooks.REFUSED_WITHIN.seconds // 60} minutes, the last at {clock(found.last_at)}: {found.last}.",
            since=found.last_at,
            bound_s=0,
            extent=found.calls,
            by_us=False,
        )
