"""Handing closed trades to the memory: each outcome becomes a case there, and again whenever it is corrected.

The books come first. What the memory cannot take now is left to `sweep`, and somebody is told.
"""

import logging
from collections.abc import Iterable
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import transaction

from apps.audit.services import alarms
from apps.lessons.rules import results
from apps.lessons.services import cases
from apps.lessons.types import CaseSource, ClosedTrade, MistakeTag, Plan, TagFound, TagSource
from apps.trades.models import Authority, Outcome, Proposal, ReportedOutcome
from apps.trades.services import outcome_facts
from apps.trades.services.lesson_facts import asset_class_of
from apps.trades.types import ExitReason

SWEEP_MAX: Final = 200
ALARM: Final = "OUTCOME_NOT_REMEMBERED"

logger = logging.getLogger(__name__)


def hand_over(*, outcome_ids: Iterable[UUID], now: datetime) -> int:
    """Remember these outcomes, inside the caller's transaction. Returns how many were.

    One that cannot be remembered stays marked for the sweep and raises an alarm; what the caller does is not undone.
    """
    return sum(_handed_over(outcome_id, now) for outcome_id in outcome_ids)


def sweep(*, now: datetime, limit: int = SWEEP_MAX) -> int:
    """Remember outcomes that were not, oldest first. Returns how many were."""
    waiting = Outcome.objects.filter(remembered_at=None).order_by("closed_at").values_list("pk", flat=True)[:limit]
    return sum(_alone(outcome_id, now) for outcome_id in list(waiting))


def _alone(outcome_id: UUID, now: datetime) -> bool:
    with transaction.atomic():
        locked = Outcome.objects.select_for_update(skip_locked=True).filter(pk=outcome_id, remembered_at=None)
        return locked.first() is not None and _handed_over(outcome_id, now)


def _handed_over(outcome_id: UUID, now: datetime) -> bool:
    subject = f"outcome:{outcome_id}"
    try:
        with transaction.atomic():
            outcome = Outcome.objects.select_related("order__proposal", "connection").get(pk=outcome_id)
            cases.remember(trade=trade_of(outcome), now=now)
            Outcome.objects.filter(pk=outcome_id).update(remembered_at=now)
    except Exception as error:
        # Whatever one trade breaks on is an alarm; the books stay closed, and the sweep goes on to the next.
        logger.exception("Outcome %s could not be remembered.", outcome_id)
        Outcome.objects.filter(pk=outcome_id).update(remembered_at=None)
        alarms.raise_alarm(
            code=ALARM,
            subject=subject,
            message=f"A closed trade could not be remembered: {type(error).__name__}. It is tried again.",
            now=now,
        )
        return False
    alarms.clear_alarm(code=ALARM, subject=subject, now=now)
    return True


def trade_of(outcome: Outcome) -> ClosedTrade:
    """The closed trade that an outcome stands for: its entry's plan and facts, its exit, its result.

    Aika buys before it sells, so that the side of an entry is BUY. What was reported of an order whose cost is not
    known here takes the place of what is missing.
    """
    told = ReportedOutcome.objects.filter(order_id=outcome.order_id).first() if outcome.pnl is None else None
    entries = outcome_facts.entries_of(outcome)
    lead = entries[0] if entries else outcome.order.proposal
    known = outcome_facts.of_outcome(outcome, entries, told)
    plan = known.plan
    entry_price = told.entry_price if told else outcome.entry_price
    pnl, fees = (told.pnl, told.fees) if told else (outcome.pnl, outcome.fees)
    reckoned = None
    if pnl is not None and entry_price is not None and entry_price > 0 and outcome.quantity > 0:
        reckoned = results.ratio(100 * pnl, entry_price * outcome.quantity)
    return ClosedTrade(
        source=CaseSource.OUTCOME,
        source_id=str(outcome.pk),
        desk=outcome.connection.desk_id,
        environment=outcome.connection.environment,
        product=outcome.instrument,
        asset_class=asset_class_of(outcome.connection.venue),
        side="BUY",
        quantity=outcome.quantity,
        quote_currency=outcome.quote_currency,
        entry_price=entry_price,
        exit_price=outcome.exit_price,
        fees=fees,
        pnl=pnl,
        pnl_pct=reckoned,
        opened_at=outcome.opened_at or (told.opened_at if told else None),
        closed_at=outcome.closed_at,
        plan=plan,
        r_multiple=results.r_multiple(pnl=pnl, risk=plan.risk),
        mfe_r=known.mfe_r,
        mae_r=known.mae_r,
        exit_reason=_exit_reason(outcome, plan),
        regime=known.regime,
        notes=told.notes if told else "",
        proposal_id=lead.pk,
        proposer_id=lead.proposer_id,
        approver_ids=_approvers(lead),
        facts=known.facts,
        tags=(*known.tags, *(tags_told(told.tags) if told else ())),
    )


def tags_told(tags: Iterable[str]) -> tuple[TagFound, ...]:
    """The mistakes a reporter names, where they are of the closed list."""
    known = {tag.value: tag for tag in MistakeTag}
    return tuple(
        TagFound(tag=known[tag], source=TagSource.REPORTED, because="The reporter says so.")
        for tag in dict.fromkeys(tags)
        if tag in known
    )


def _approvers(proposal: Proposal) -> tuple[UUID, ...]:
    found = Authority.objects.filter(proposal=proposal).values_list("approvers", flat=True).first()
    return tuple(UUID(str(one)) for one in found or ())


def _exit_reason(outcome: Outcome, plan: Plan) -> str:
    closing = outcome.order.proposal
    if closing.order_type == "STOP_LIMIT":
        return ExitReason.STOP
    if plan.target is not None and outcome.exit_price >= plan.target:
        return ExitReason.TARGET
    if plan.stop is not None and outcome.exit_price <= plan.stop:
        return ExitReason.STOP
    return ExitReason.BY_HAND


def reported(row: ReportedOutcome, *, now: datetime) -> None:
    """Remember what was reported, inside the caller's transaction: of an order, with its outcome; else as a case of its
    own."""
    if row.order_id is not None:
        hand_over(outcome_ids=Outcome.objects.filter(order_id=row.order_id).values_list("pk", flat=True), now=now)
        return
    cases.remember(trade=trade_reported(row), now=now)


def imported_id(desk_id: UUID, trade_id: str) -> str:
    """The source id of a past trade of a file: its id there is its own desk's."""
    return f"{desk_id.hex}:{trade_id}"


def trade_reported(row: ReportedOutcome, source: CaseSource = CaseSource.REPORTED) -> ClosedTrade:
    """A trade made elsewhere, with what candles kept here and its plan say of it."""
    known = outcome_facts.of_report(row)
    plan = known.plan
    return ClosedTrade(
        source=source,
        source_id=str(row.pk) if source is CaseSource.REPORTED else imported_id(row.desk_id, row.trade_id),
        desk=row.desk_id,
        environment=row.environment,
        product=row.instrument,
        asset_class=row.asset_class,
        side=row.side,
        quantity=row.quantity,
        quote_currency=row.quote_currency,
        entry_price=row.entry_price,
        exit_price=row.exit_price,
        fees=row.fees,
        pnl=row.pnl,
        pnl_pct=row.pnl_pct,
        opened_at=row.opened_at,
        closed_at=row.closed_at,
        plan=plan,
        r_multiple=results.r_multiple(pnl=row.pnl, risk=plan.risk),
        mfe_r=known.mfe_r,
        mae_r=known.mae_r,
        exit_reason=row.exit_reason,
        regime=known.regime,
        notes=row.notes,
        proposer_id=row.reporter_id,
        facts=known.facts,
        tags=(*known.tags, *tags_told(row.tags)),
    )
