"""What a lost message, a dead worker or the clock left behind, found again. Each is safe to run at any time."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models import F, Q

from apps.audit.services import events
from apps.audit.types import Actor
from apps.common import fault_places as places
from apps.common import faults
from apps.common.tasks import publish
from apps.connectors.services import streams
from apps.trades.models import Order, Proposal
from apps.trades.selectors.proposals import locked_proposal
from apps.trades.services.endings import expire, stream_of
from apps.trades.services.orders import raise_unknown
from apps.trades.types import LIVE_ORDER_STATES, WORKING_STATES, OrderState, ProposalState

PUBLISH_GRACE: Final = timedelta(seconds=5)
ORDERS_PER_SWEEP: Final = 200
# How long after its end, and how often, an order's fills are read again for corrections.
CORRECTIONS_WATCHED: Final = timedelta(days=2)
CORRECTIONS_EVERY: Final = timedelta(minutes=5)
CORRECTIONS_PER_SWEEP: Final = 10
# How often a working order is asked about while the venue's user channel tells of it.
POLL_TOLD_EVERY: Final = timedelta(seconds=15)
SWEEP: Final = Actor.system("sweep")


def publish_pending(*, now: datetime) -> int:
    """Publish again the execution of orders that are approved and not claimed. Returns how many."""
    waiting = Order.objects.filter(
        Q(next_attempt_at__isnull=True, created_at__lte=now - PUBLISH_GRACE) | Q(next_attempt_at__lte=now),
        state=OrderState.INITIALIZED,
    )
    ids = list(waiting.order_by("created_at").values_list("pk", flat=True)[:ORDERS_PER_SWEEP])
    for order_id in ids:
        publish("trades.execute_trade", order_id=order_id)
    return len(ids)


def publish_polls(*, now: datetime) -> int:
    """Ask for news of every working order, and now and then of those that ended lately. Returns how many were asked
    for.

    Where the venue itself tells what happens, over a user channel that lives, asking is only the net below: less often.
    """
    ended = Order.objects.filter(
        closed_at__gte=now - CORRECTIONS_WATCHED, polled_at__lte=now - CORRECTIONS_EVERY
    ).exclude(Q(venue_order_id="") | Q(state__in=LIVE_ORDER_STATES))
    working = Order.objects.filter(state__in=WORKING_STATES)
    connections = list(working.order_by().values_list("connection_id", flat=True).distinct())
    told = streams.live_user_streams(connections, now=now)
    asked_for = working.exclude(connection_id__in=told, polled_at__gt=now - POLL_TOLD_EVERY)
    ids = [
        *asked_for.order_by(F("polled_at").asc(nulls_first=True)).values_list("pk", flat=True)[:ORDERS_PER_SWEEP],
        *ended.order_by("polled_at").values_list("pk", flat=True)[:CORRECTIONS_PER_SWEEP],
    ]
    for order_id in ids:
        publish("trades.poll_order", order_id=order_id)
    return len(ids)


def publish_resolutions(*, now: datetime) -> int:
    """Look for every order of unknown fate that is due. Returns how many were asked for."""
    due = Order.objects.filter(Q(next_attempt_at__isnull=True) | Q(next_attempt_at__lte=now), state=OrderState.UNKNOWN)
    rows = due.order_by(F("next_attempt_at").asc(nulls_first=True))
    ids = list(rows.values_list("pk", flat=True)[:ORDERS_PER_SWEEP])
    for order_id in ids:
        publish("trades.resolve_order", order_id=order_id)
    return len(ids)


def resolve_now(order_id: UUID, *, now: datetime) -> None:
    """Look for an order of unknown fate at once, whenever it was due: there is news of it."""
    Order.objects.filter(pk=order_id, state=OrderState.UNKNOWN).update(next_attempt_at=now)
    publish("trades.resolve_order", order_id=order_id)


def publish_polls_of(connection_id: UUID) -> int:
    """Ask for news of every working order of one connection: something may have been missed. Returns how many."""
    working = Order.objects.filter(connection_id=connection_id, state__in=WORKING_STATES)
    ids = list(working.order_by(F("polled_at").asc(nulls_first=True)).values_list("pk", flat=True)[:ORDERS_PER_SWEEP])
    for order_id in ids:
        publish("trades.poll_order", order_id=order_id)
    return len(ids)


def publish_cancels(*, now: datetime) -> int:
    """Ask again for every cancel that was lost on its way, not answered, or not done yet. Returns how many."""
    due = Order.objects.to_cancel(now).order_by("cancel_next_at")
    ids = list(due.values_list("pk", flat=True)[:ORDERS_PER_SWEEP])
    for order_id in ids:
        publish("trades.cancel_order", order_id=order_id)
    return len(ids)


def expire_due(*, now: datetime) -> int:
    """Write down which waiting proposals have run out of time. Returns how many."""
    due = Proposal.objects.filter(state=ProposalState.AWAITING_APPROVAL, expires_at__lte=now)
    return sum(expire(proposal_id=pk, now=now) for pk in due.values_list("pk", flat=True)[:ORDERS_PER_SWEEP])


def resolve_lapsed_claims(*, now: datetime) -> int:
    """Orders whose worker died between claim and answer may have been sent: UNKNOWN. Returns how many."""
    lapsed = Order.objects.filter(state=OrderState.SUBMITTED, lease_until__lt=now)
    return sum(_lapse(order, now) for order in lapsed[:ORDERS_PER_SWEEP])


def _lapse(order: Order, now: datetime) -> bool:
    reason = "The worker that was sending it has gone silent."
    with faults.commit(places.LAPSE):
        locked_proposal(order.proposal_id)
        moved = Order.objects.filter(
            pk=order.pk, state=OrderState.SUBMITTED, fence=order.fence, lease_until__lt=now
        ).update(
            state=OrderState.UNKNOWN,
            fence=order.fence + 1,
            lease_until=None,
            reason_code="CLAIM_LAPSED",
            reason=reason,
        )
        if moved != 1:
            return False
        events.record(
            stream=stream_of(order.proposal_id),
            kind="order.unknown",
            actor=SWEEP,
            subject=str(order.pk),
            payload={"state": OrderState.UNKNOWN.value, "fence": order.fence + 1, "code": "CLAIM_LAPSED"},
            now=now,
        )
        raise_unknown(order.pk, reason, now)
        return True
