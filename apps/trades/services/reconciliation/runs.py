"""One comparison of a connection with its venue, from its first row to its last. One at a time per connection."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError

from apps.audit.services import alarms, events
from apps.audit.types import Actor
from apps.common import fault_places as places
from apps.common import faults
from apps.common.decimals import instant_text
from apps.common.errors import AikaError, Conflict, NotFound
from apps.common.tasks import publish
from apps.connectors.selectors import all_connections
from apps.trades.models import ReconciliationRun
from apps.trades.selectors import comparing as rows
from apps.trades.selectors import reconciliation as selectors
from apps.trades.services import resolution, run_leases, sweeps
from apps.trades.services.differences import RECONCILIATION
from apps.trades.services.reconciliation import balances, comparing
from apps.trades.services.reconciliation.comparing import Comparison, Finding
from apps.trades.services.reconciliation.reading import Clock, read
from apps.trades.types import RunOutcome, RunTrigger

if TYPE_CHECKING:
    from apps.connectors.models import Connection

Say = Callable[[str], None]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What one pass found. `run_id` is None for a rehearsal. `differences_open` is how many of the connection wait for
    a person after it, those of earlier passes included."""

    connection: str
    outcome: RunOutcome
    since: datetime
    until: datetime
    findings: tuple[Finding, ...]
    counts: dict[str, int]
    reason_code: str
    reason: str
    run_id: UUID | None
    differences_open: int


def reconcile(
    *,
    connection_id: UUID,
    trigger: RunTrigger,
    actor: Actor,
    clock: Clock,
    since: datetime | None = None,
    reconciled_from: datetime | None = None,
    say: Say = lambda line: None,
) -> Report:
    """Compare a connection with its venue, book what the venue knows better, keep every difference.

    From where the last complete run began, with an overlap, unless `since` is given. Nothing of unknown fate is sent
    again before the connection was compared since `reconciled_from`. What cannot be read makes the run INCOMPLETE.
    Raises NotFound CONNECTION_UNKNOWN, Conflict RECONCILIATION_RUNNING.
    """
    connection = _connection(connection_id)
    run = _begin(connection, trigger, actor, clock(), since)
    comparison: Comparison | None = None
    try:
        _settle_in_flight(run, trigger, clock, reconciled_from, say)
        comparison = _look(connection, run.since, clock, run, say)
        outcome, code, reason = _outcome(comparison)
    except AikaError as error:
        outcome, code, reason = RunOutcome.INCOMPLETE, error.code, error.message
    except Exception as error:
        # Whatever broke: a run that began is ended, as one that saw not everything.
        logger.exception("The comparison of %s ended in an error of ours.", connection.slug)
        outcome, code, reason = RunOutcome.INCOMPLETE, "RUN_BROKE", type(error).__name__
    _end(run, outcome, code, reason, comparison, clock())
    return _report(connection, outcome, code, reason, comparison, run)


def reconcile_by_clock(*, connection_id: UUID, clock: Clock, reconciled_from: datetime) -> str:
    """A run that nobody asked for by name: the first one since the process began, or one by the schedule, if it is
    due. Returns its outcome, or RECENT where somebody was faster. Raises as `reconcile`."""
    first = not selectors.reconciled_since(connection_id, reconciled_from)
    if not first and not _is_due(connection_id, clock()):
        return "RECENT"
    report = reconcile(
        connection_id=connection_id,
        trigger=RunTrigger.START if first else RunTrigger.SCHEDULE,
        actor=RECONCILIATION,
        clock=clock,
        reconciled_from=reconciled_from,
    )
    return report.outcome.value


def publish_due(*, now: datetime, reconciled_from: datetime) -> int:
    """Ask for a run of every connection that is due. That one waits too long is for the sweep of alarms to say.

    Connections that are switched off count while orders of theirs still bind money. Returns how many were asked for.
    """
    asked = 0
    for connection in all_connections():
        if not connection.is_active and not rows.has_live_orders(connection.pk):
            continue
        if _is_due(connection.pk, now) or not selectors.reconciled_since(connection.pk, reconciled_from):
            publish("trades.reconcile", connection_id=connection.pk, needed_from=instant_text(reconciled_from))
            asked += 1
    return asked


def _is_due(connection_id: UUID, now: datetime) -> bool:
    last = selectors.last_run(connection_id)
    return last is None or now - last.started_at >= timedelta(seconds=settings.RECONCILE_EVERY_S)


def rehearse(
    *, connection_id: UUID, clock: Clock, since: datetime | None = None, say: Say = lambda line: None
) -> Report:
    """What a run would find now. Writes nothing, books nothing, sends nothing. Raises NotFound CONNECTION_UNKNOWN."""
    connection = _connection(connection_id)
    now = clock()
    begin = since or _window_start(connection, now)
    try:
        comparison = _look(connection, begin, clock, None, say)
    except AikaError as error:
        unread = ReconciliationRun(connection=connection, since=begin, until=now)
        return _report(connection, RunOutcome.INCOMPLETE, error.code, error.message, None, unread)
    outcome, code, reason = _outcome(comparison)
    looked = ReconciliationRun(connection=connection, since=begin, until=comparison.seen.until)
    return _report(connection, outcome, code, reason, comparison, looked)


def _connection(connection_id: UUID) -> "Connection":
    found = all_connections().filter(pk=connection_id).first()
    if found is None:
        raise NotFound("CONNECTION_UNKNOWN", "There is no such connection.")
    return found


def _window_start(connection: "Connection", now: datetime) -> datetime:
    """Where the last complete run began, with an overlap for what the venue shows late; at first, since there is a
    connection."""
    last = selectors.last_complete_run(connection.pk)
    if last is None:
        return min(connection.created_at, now)
    return last.started_at - timedelta(seconds=settings.RECONCILE_OVERLAP_S)


def _begin(
    connection: "Connection", trigger: RunTrigger, actor: Actor, now: datetime, since: datetime | None
) -> ReconciliationRun:
    begin = since or _window_start(connection, now)
    run_leases.bury_dead(connection.pk, now=now)
    try:
        with faults.commit(places.RUN_BEGIN):
            return ReconciliationRun.objects.create(
                connection=connection,
                trigger=trigger,
                asked_by=actor.name,
                started_at=now,
                since=begin,
                until=now,
                lease_until=now + run_leases.LEASE,
            )
    except IntegrityError as error:
        raise Conflict(
            "RECONCILIATION_RUNNING",
            f"{connection.name} is being compared with its venue right now.",
            fix="Wait for it to end.",
        ) from error


def _settle_in_flight(
    run: ReconciliationRun, trigger: RunTrigger, clock: Clock, reconciled_from: datetime | None, say: Say
) -> None:
    """Claims whose worker died become UNKNOWN, and what is unknown is looked for: due or not, unless by the clock. A
    person's comparison sends nothing: that is for the workers."""
    lapsed = sweeps.resolve_lapsed_claims(now=clock())
    unknown = selectors.unknown_orders(run.connection_id)
    if lapsed or unknown:
        say(f"{lapsed} claims lapsed, {len(unknown)} orders of unknown fate")
    for order in unknown:
        run_leases.renew(run, now=clock())
        state = resolution.resolve(
            order_id=order.pk,
            clock=clock,
            reconciled_from=reconciled_from,
            due_only=trigger is RunTrigger.SCHEDULE,
            may_send=trigger is not RunTrigger.PERSON,
        )
        say(f"order {order.pk}: {state}")


def _look(
    connection: "Connection", since: datetime, clock: Clock, run: ReconciliationRun | None, say: Say
) -> Comparison:
    seen = read(connection, since=since, clock=clock, run=run)
    say(f"the venue lists {len(seen.orders)} orders and {len(seen.fills)} fills since {since:%Y-%m-%d %H:%M:%S} UTC")
    comparison = Comparison(connection=connection, seen=seen, clock=clock, run=run)
    comparing.compare(comparison)
    compared = balances.compare(comparison)
    comparison.counts["balances"] = len(seen.totals or {}) if compared else 0
    comparison.counts["orders unknown"] = len(selectors.unknown_orders(connection.pk))
    say("balances compared" if compared else "balances not compared: something is still under way")
    return comparison


def _outcome(comparison: Comparison) -> tuple[RunOutcome, str, str]:
    open_ones = selectors.open_differences(comparison.connection.pk)
    unknown = comparison.counts["orders unknown"]
    if unknown:
        return RunOutcome.DIFFERENCES, "ORDERS_UNKNOWN", f"{unknown} orders are of unknown fate."
    if comparison.findings or open_ones:
        return (
            RunOutcome.DIFFERENCES,
            "DIFFERENCES",
            f"{len(comparison.findings)} found now, {open_ones} wait for a person.",
        )
    return RunOutcome.CLEAN, "", ""


def _end(
    run: ReconciliationRun,
    outcome: RunOutcome,
    code: str,
    reason: str,
    comparison: Comparison | None,
    now: datetime,
) -> None:
    with faults.commit(places.RUN_END):
        counts = dict(comparison.counts) if comparison else {}
        until = comparison.seen.until if comparison else run.until
        ended = ReconciliationRun.objects.filter(pk=run.pk, outcome=RunOutcome.RUNNING).update(
            outcome=outcome,
            finished_at=now,
            until=until,
            counts=counts,
            balances=run.balances,
            counted_fills=run.counted_fills,
            reason_code=code,
            reason=reason,
        )
        if ended != 1:
            logger.warning("The comparison %s stood still for so long that another one took its place.", run.pk)
            return
        events.record(
            stream=f"reconciliation:{run.connection_id}",
            kind="reconciliation.ended",
            actor=RECONCILIATION,
            subject=f"connection:{run.connection_id}",
            payload={
                "run": run.pk,
                "trigger": str(run.trigger),
                "asked_by": run.asked_by,
                "outcome": outcome.value,
                "code": code,
                "since": run.since,
                "until": until,
                "findings": len(comparison.findings) if comparison else 0,
            },
            now=now,
        )
        if outcome is not RunOutcome.INCOMPLETE:
            alarms.clear_alarm(code="RECONCILIATION_LATE", subject=f"connection:{run.connection_id}", now=now)
            for order_id in rows.held_back(run.connection_id):
                publish("trades.execute_trade", order_id=order_id)


def _report(
    connection: "Connection",
    outcome: RunOutcome,
    code: str,
    reason: str,
    comparison: Comparison | None,
    run: ReconciliationRun,
) -> Report:
    return Report(
        connection=connection.slug,
        outcome=outcome,
        since=run.since,
        until=comparison.seen.until if comparison else run.until,
        findings=tuple(comparison.findings) if comparison else (),
        counts=dict(comparison.counts) if comparison else {},
        reason_code=code,
        reason=reason,
        run_id=None if run._state.adding else run.pk,
        differences_open=selectors.open_differences(connection.pk),
    )
