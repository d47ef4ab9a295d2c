"""A reported outcome and the case it became, as the API tells it."""

from typing import Any

from apps.common.decimals import decimal_text
from apps.lessons.selectors.recent import told_of
from apps.lessons.types import CaseSource
from apps.trades.models import Outcome, ReportedOutcome
from apps.trades.selectors.records import instant

ReportedRecord = dict[str, Any]


def reported_record(row: ReportedOutcome) -> ReportedRecord:
    """What was kept, and what the memory made of it."""
    if row.order_id is None:
        told = told_of(CaseSource.REPORTED, str(row.pk))
    else:
        told = told_of(CaseSource.OUTCOME, str(Outcome.objects.values_list("pk", flat=True).get(order_id=row.order_id)))
    return {
        "id": str(row.pk),
        "desk": row.desk.slug,
        "order_id": str(row.order_id) if row.order_id else None,
        "trade_id": row.trade_id,
        "environment": row.environment,
        "instrument": row.instrument,
        "side": row.side,
        "quantity": decimal_text(row.quantity),
        "entry_price": decimal_text(row.entry_price),
        "exit_price": decimal_text(row.exit_price),
        "fees": decimal_text(row.fees),
        "pnl": decimal_text(row.pnl),
        "pnl_pct": None if row.pnl_pct is None else decimal_text(row.pnl_pct),
        "quote_currency": row.quote_currency,
        "opened_at": instant(row.opened_at),
        "closed_at": instant(row.closed_at),
        "tags": row.tags,
        "reported_at": instant(row.reported_at),
        "case": told,
    }
