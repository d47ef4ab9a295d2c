"""Celery tasks: ids in, one service call each. Published by name (`apps.common.tasks.publish`) or by the beat."""

import logging
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from celery import shared_task
from django.utils import timezone

from apps.common import fault_places as places
from apps.common import faults
from apps.common.decimals import parse_instant
from apps.common.errors import AikaError, Conflict
from apps.connectors.selectors import active_connections
from apps.connectors.services import clocks, sync
from apps.trades.services import (
    cancels,
    conservation,
    fills,
    halting,
    orders,
    remembering,
    resolution,
    self_checks,
    sweeps,
    watching,
)
from apps.trades.services.reconciliation import runs

# When this worker began: its children are forked later and keep it. Nothing leaves over a connection before it was
# compared with its venue since then (docs/decisions/0006-a-start-compares-before-it-executes.md).
STARTED_AT: Final = timezone.now()

logger = logging.getLogger(__name__)


@shared_task(name="trades.execute_trade", queue="execution")
def execute_trade(order_id: str, **extra: Any) -> str:
    """Send one approved order, once."""
    faults.point(places.TAKEN.label)
    state = orders.execute(order_id=UUID(order_id), clock=timezone.now, reconciled_from=STARTED_AT)
    faults.point(places.DONE.label)
    return state


@shared_task(name="trades.cancel_order", queue="execution")
def cancel_order(order_id: str, **extra: Any) -> str:
    """Ask the venue to cancel one order."""
    return cancels.send_cancel(order_id=UUID(order_id), clock=timezone.now)


@shared_task(name="trades.clear_halted", queue="execution")
def clear_halted(connection_id: str, **extra: Any) -> str:
    """One pass of canceling what is open on a halted connection."""
    return halting.clear(connection_id=UUID(connection_id), clock=timezone.now)


@shared_task(name="trades.cancel_halted", queue="execution")
def cancel_halted(scope: str | None = None, **extra: Any) -> int:
    """Start the canceling of a halt, or (as a sweep) find halts whose canceling is not over."""
    return halting.publish_passes(now=timezone.now(), scope=scope)


@shared_task(name="trades.publish_cancels", queue="default")
def publish_cancels(**extra: Any) -> int:
    """Find orders to be canceled that nobody is asking for."""
    return sweeps.publish_cancels(now=timezone.now())


@shared_task(name="trades.poll_order", queue="default")
def poll_order(order_id: str, **extra: Any) -> str:
    """Book what the venue says of one working order."""
    faults.point(places.POLL_TAKEN.label)
    try:
        return fills.poll_order(order_id=UUID(order_id), now=timezone.now())
    except AikaError as error:
        # The next round asks again; the age of what is known is on every page.
        logger.warning("Order %s could not be read: %s", order_id, error.code)
        return error.code


@shared_task(name="trades.resolve_order", queue="default")
def resolve_order(order_id: str, **extra: Any) -> str:
    """Look for one order of unknown fate."""
    return resolution.resolve(order_id=UUID(order_id), clock=timezone.now, reconciled_from=STARTED_AT)


@shared_task(name="trades.resolve_unknown", queue="default")
def resolve_unknown(**extra: Any) -> int:
    """Look for every order of unknown fate that is due."""
    return sweeps.publish_resolutions(now=timezone.now())


@shared_task(name="trades.reconcile", queue="default")
def reconcile(connection_id: str, needed_from: str = "", **extra: Any) -> str:
    """Compare one connection with its venue, if it is due, or was not compared since the worker that asks began."""
    try:
        return runs.reconcile_by_clock(
            connection_id=UUID(connection_id), clock=timezone.now, reconciled_from=_began(needed_from)
        )
    except Conflict as conflict:
        return conflict.code


@shared_task(name="trades.reconcile_due", queue="default")
def reconcile_due(needed_from: str = "", **extra: Any) -> int:
    """Compare every connection that is due, or was not compared since the worker that asks began."""
    return runs.publish_due(now=timezone.now(), reconciled_from=_began(needed_from))


def _began(needed_from: str) -> datetime:
    return max(parse_instant(needed_from, field="needed_from"), STARTED_AT) if needed_from else STARTED_AT


@shared_task(name="trades.publish_pending", queue="default")
def publish_pending(**extra: Any) -> int:
    """Find approved orders whose message was lost, and claims whose worker died."""
    now = timezone.now()
    return sweeps.publish_pending(now=now) + sweeps.resolve_lapsed_claims(now=now)


@shared_task(name="trades.poll_open_orders", queue="default")
def poll_open_orders(**extra: Any) -> int:
    """Ask for news of every working order."""
    return sweeps.publish_polls(now=timezone.now())


@shared_task(name="trades.check_reservations", queue="default")
def check_reservations(**extra: Any) -> int:
    """Check what orders hold of the budgets. Returns how much does not add up."""
    return len(conservation.watch(now=timezone.now()).broken)


@shared_task(name="trades.remember_outcomes", queue="default")
def remember_outcomes(**extra: Any) -> int:
    """Hand over to the memory what it has not taken yet. Returns how many closed trades it took."""
    return remembering.sweep(now=timezone.now())


@shared_task(name="trades.expire_due", queue="default")
def expire_due(**extra: Any) -> int:
    """Write down which proposals ran out of time."""
    return sweeps.expire_due(now=timezone.now())


@shared_task(name="trades.refresh_market_facts", queue="default")
def refresh_market_facts(**extra: Any) -> int:
    """Read the clock, instruments, balances and fees of every active connection. Returns how many could be read."""
    read = 0
    for connection in active_connections():
        now = timezone.now()
        try:
            # Apart: a venue that refuses us for a wrong clock still tells its own.
            clocks.measure(connection, now=now)
        except AikaError as error:
            logger.warning("The clock of %s could not be read: %s", connection.slug, error.code)
        try:
            sync.refresh_instruments(connection, now=now)
            sync.refresh_balances(connection, now=now)
            sync.refresh_fees(connection, now=now)
            read += 1
        except AikaError as error:
            logger.warning("%s could not be read: %s", connection.slug, error.code)
    return read


@shared_task(name="trades.self_check", queue="default")
def self_check(**extra: Any) -> int:
    """What may trip by itself: losses, rejects, silent prices, the audit log. Returns how many latches are tripped."""
    return self_checks.run(now=timezone.now())


@shared_task(name="trades.watch_alarms", queue="default")
def watch_alarms(**extra: Any) -> int:
    """Find what has been unresolved for too long, and tell people of every alarm. Returns how many were told."""
    return watching.by_the_clock(clock=timezone.now).told


@shared_task(name="trades.show_life", queue="default")
def show_life(**extra: Any) -> None:
    """This queue is worked on."""
    watching.show_life("default", now=timezone.now())


@shared_task(name="trades.show_life_execution", queue="execution")
def show_life_execution(**extra: Any) -> None:
    """This queue is worked on."""
    watching.show_life("execution", now=timezone.now())
