"""Outcomes that Aika cannot reckon itself, as they are reported."""

from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from django.db import IntegrityError, transaction

from apps.accounts.selectors import desks_of
from apps.accounts.services import idempotency
from apps.accounts.services.idempotency import Answer, Claim, Replay
from apps.accounts.types import Principal
from apps.audit.services import events
from apps.common.decimals import decimal_text
from apps.common.errors import Conflict, Denied, Invalid, NotFound
from apps.connectors.selectors import connections_for
from apps.lessons.rules import results
from apps.trades.models import Order, Outcome, ReportedOutcome
from apps.trades.rules import reports
from apps.trades.selectors.proposals import locked_proposal
from apps.trades.selectors.reported import ReportedRecord, reported_record
from apps.trades.services import remembering
from apps.trades.types import Report

if TYPE_CHECKING:
    from collections.abc import Callable

    from apps.accounts.models import Desk

CREATED: Final = 201
CRYPTO: Final = "crypto"


def report_once(
    *,
    report: Report,
    principal: Principal,
    begun: Claim | Replay,
    word: "Callable[[ReportedRecord], bytes]",
    now: datetime,
) -> Answer:
    """Report, and keep the answer in the same transaction; a kept answer is given again. Raises as `report`."""
    if isinstance(begun, Replay):
        return begun

    def act() -> tuple[int, bytes]:
        row = report_outcome(report=report, principal=principal, now=now)
        return CREATED, word(reported_record(row))

    return idempotency.complete(begun, act=act, now=now)


def report_outcome(*, report: Report, principal: Principal, now: datetime) -> ReportedOutcome:
    """Keep how a trade ended that was made elsewhere, or by an order whose cost is not known here, and remember it.

    The P&L kept is the one that follows from the other numbers. Raises Invalid as `reports.check`, for a report of
    nothing or of two things (ONE_TRADE_NEEDED), and for told facts that Aika knows otherwise (FACT_DIFFERS) or that are
    none (FACT_OUT_OF_RANGE); NotFound ORDER_UNKNOWN, DESK_UNKNOWN; Denied FACT_COMPUTED for facts of an order,
    OUTCOME_COMPUTED for an order whose outcome Aika reckons itself, ORDER_DIFFERS for numbers that are not the order's;
    Conflict OUTCOME_REPORTED where it was reported before.
    """
    if (report.order_id is None) == (not report.trade_id):
        raise Invalid(
            "ONE_TRADE_NEEDED",
            "Exactly one of order_id and trade_id says which trade it was.",
            fix="Send order_id for an order of Aika, or trade_id, your own name of a trade made elsewhere.",
            field="trade_id",
        )
    if report.order_id is not None and report.facts:
        raise Denied(
            "FACT_COMPUTED",
            "An order of Aika is held against what Aika measured itself when it was proposed.",
            fix="Leave facts out; send them with trade_id, of a trade made elsewhere.",
            field="facts",
        )
    right = reports.check(report, now=now)
    with transaction.atomic():
        order = None if report.order_id is None else _order(report.order_id, report, principal)
        row = _row(report, principal, order, right, now)
        try:
            with transaction.atomic():
                row.save(force_insert=True)
        except IntegrityError as error:
            raise _reported_before(report) from error
        events.record(
            stream=f"outcome:{row.pk}",
            kind="outcome.reported",
            actor=principal.actor(),
            subject=f"outcome:{row.pk}",
            payload=_said(row),
            now=now,
        )
        remembering.reported(row, now=now)
    return row


def _order(order_id: UUID, report: Report, principal: Principal) -> Order:
    """The order, its proposal locked: fills are booked under the same lock."""
    order = Order.objects.filter(pk=order_id, connection__in=connections_for(principal)).first()
    if order is None:
        raise NotFound(
            "ORDER_UNKNOWN",
            "There is no such order on your connections.",
            fix="Send the id of an order of Aika, or trade_id for a trade made elsewhere.",
            field="order_id",
        )
    locked_proposal(order.proposal_id)
    outcome = Outcome.objects.filter(order_id=order.pk).first()
    if outcome is None or outcome.pnl is not None:
        pnl = outcome.pnl if outcome else None
        reckoned = "" if outcome is None or pnl is None else f": {decimal_text(pnl)} {outcome.quote_currency}"
        raise Denied(
            "OUTCOME_COMPUTED",
            f"Aika reckons the outcome of this order from its fills{reckoned}.",
            fix="Report nothing: it is remembered by itself once a position closes. If it is wrong, the venue's fills "
            "are; reconcile the connection.",
            field="order_id",
        )
    if ReportedOutcome.objects.filter(order_id=order.pk).exists():
        raise _reported_before(report)
    for name, known in (
        ("instrument", outcome.instrument),
        ("quantity", outcome.quantity),
        ("exit_price", outcome.exit_price),
    ):
        told = getattr(report, name)
        if told != known:
            right = known if isinstance(known, str) else decimal_text(known)
            raise Denied(
                "ORDER_DIFFERS",
                f"{name} of this order is {right}.",
                fix=f"Send {right}: only what it had cost is not known here.",
                field=name,
                right=right,
            )
    return order


def _reported_before(report: Report) -> Conflict:
    return Conflict(
        "OUTCOME_REPORTED",
        "The outcome of this trade was reported before.",
        fix="Report each trade once. What was reported is never changed.",
        field="trade_id" if report.order_id is None else "order_id",
    )


def past_row(report: Report, *, desk: "Desk", now: datetime) -> ReportedOutcome:
    """A past trade as a row that is not stored: what a file says is kept in its case. Raises as `reports.check`."""
    return _made(report, desk, None, reports.check(report, now=now), now)


def _row(
    report: Report, principal: Principal, order: Order | None, right: results.Reckoned, now: datetime
) -> ReportedOutcome:
    row = _made(report, _desk(report, principal) if order is None else order.connection.desk, order, right, now)
    row.reporter_id, row.reporter_key = principal.user_id, "" if principal.is_person else principal.name
    return row


def _made(report: Report, desk: "Desk", order: Order | None, right: results.Reckoned, now: datetime) -> ReportedOutcome:
    opened, closed = reports.times_of(report, now=now)
    quoted = report.instrument.partition("-")[2]
    return ReportedOutcome(
        desk=desk,
        order=order,
        trade_id=report.trade_id,
        environment=report.environment if order is None else order.connection.environment,
        instrument=report.instrument,
        asset_class=report.asset_class or (CRYPTO if order is not None else ""),
        quote_currency=report.quote_currency or quoted or desk.reporting_currency,
        side=report.side,
        quantity=report.quantity,
        entry_price=report.entry_price,
        exit_price=report.exit_price,
        fees=report.fees,
        pnl=right.pnl,
        pnl_pct=right.pnl_pct,
        opened_at=opened,
        closed_at=closed,
        thesis=report.thesis,
        setup=report.setup,
        planned_stop=report.planned_stop,
        planned_target=report.planned_target,
        exit_reason=report.exit_reason,
        notes=report.notes,
        tags=list(report.tags),
        facts={name: decimal_text(value) for name, value in sorted(report.facts.items())} or None,
        reported_at=now,
    )


def _desk(report: Report, principal: Principal) -> "Desk":
    """The desk it is reported to: the one named, or the only one the caller may report to."""
    desks = desks_of(principal.user_id)
    if not principal.is_person:
        desks = desks.filter(pk__in=connections_for(principal).values("desk"))
    if report.desk:
        desks = desks.filter(slug=report.desk)
    found = list(desks[:2])
    if len(found) == 1:
        return found[0]
    if found:
        raise Invalid(
            "DESK_NEEDED", "You may report to more than one desk.", fix="Say which, by its short name.", field="desk"
        )
    raise NotFound(
        "DESK_UNKNOWN",
        "There is no such desk that you may report to.",
        fix="Send the short name of your desk; a key reports to the desks of the connections it is granted.",
        field="desk",
    )


_SAID: Final = (
    "trade_id",
    "environment",
    "instrument",
    "side",
    "quantity",
    "entry_price",
    "exit_price",
    "fees",
    "pnl",
    "pnl_pct",
    "quote_currency",
    "opened_at",
    "closed_at",
    "tags",
    "facts",
)


def _said(row: ReportedOutcome) -> dict[str, object]:
    order: UUID | None = row.order_id
    return {name: getattr(row, name) for name in _SAID} | {"desk": row.desk_id, "order": order}
