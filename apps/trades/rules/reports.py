"""What a report of a closed trade must be like. Pure."""

from datetime import datetime, timedelta
from typing import Final

from apps.common.decimals import instant_text
from apps.common.errors import Invalid
from apps.connectors.types import Side
from apps.lessons.rules import results
from apps.trades.types import Report

# Clocks differ; a trade that closes later than this is not over.
AHEAD_MAX: Final = timedelta(minutes=5)
HOLDING_S_MAX: Final = 100 * 366 * 86_400
_POSITIVE: Final = ("quantity", "entry_price", "exit_price", "planned_stop", "planned_target")


def check(report: Report, *, now: datetime) -> results.Reckoned:
    """The P&L that follows from the report's own numbers, where what it says agrees.

    Raises Invalid: NOT_POSITIVE, FEES_NEGATIVE, PNL_DOES_NOT_FOLLOW with the right figure, CLOSED_IN_FUTURE,
    OPENED_AFTER_CLOSED, HOLDING_DOES_NOT_FOLLOW, PLAN_ON_WRONG_SIDE.
    """
    for name in _POSITIVE:
        value = getattr(report, name)
        if value is not None and value <= 0:
            raise Invalid("NOT_POSITIVE", f"{name} must be above 0.", fix=f"Send {name} above 0.", field=name)
    if report.fees < 0:
        raise Invalid(
            "FEES_NEGATIVE",
            "fees must not be negative.",
            fix="Send what was paid: 0 where rebates were more, and leave these out of pnl.",
            field="fees",
        )
    times_of(report, now=now)
    _check_plan(report)
    return results.check_pnl(
        is_long=report.side is Side.BUY,
        quantity=report.quantity,
        entry_price=report.entry_price,
        exit_price=report.exit_price,
        fees=report.fees,
        pnl=report.pnl,
        pnl_pct=report.pnl_pct,
    )


def times_of(report: Report, *, now: datetime) -> tuple[datetime | None, datetime]:
    """When it was opened (None where that is not said) and closed (now, where not). Raises Invalid as `check`."""
    held = None if report.holding_s is None else timedelta(seconds=report.holding_s)
    opened, closed = report.opened_at, report.closed_at
    if closed is None:
        closed = opened + held if opened is not None and held is not None else now
    if closed > now + AHEAD_MAX:
        raise Invalid(
            "CLOSED_IN_FUTURE",
            f"A trade that closes at {instant_text(closed)} is not over.",
            fix="Report it once it is closed.",
            field="closed_at",
        )
    if opened is not None and opened > closed:
        raise Invalid(
            "OPENED_AFTER_CLOSED",
            "opened_at lies after closed_at.",
            fix="Send the times of entry and exit, in this order.",
            field="opened_at",
        )
    if opened is not None and held is not None and abs(closed - opened - held) > timedelta(seconds=1):
        right = (closed - opened) // timedelta(seconds=1)
        raise Invalid(
            "HOLDING_DOES_NOT_FOLLOW",
            f"holding_s is {report.holding_s}; from opened_at to closed_at are {right} seconds.",
            fix=f"Send {right}, or leave holding_s out.",
            field="holding_s",
            reported=str(report.holding_s),
            right=str(right),
        )
    return (closed - held if opened is None and held is not None else opened), closed


def _check_plan(report: Report) -> None:
    sign = 1 if report.side is Side.BUY else -1
    for name, price, way in (("planned_stop", report.planned_stop, -1), ("planned_target", report.planned_target, 1)):
        if price is not None and sign * way * (price - report.entry_price) <= 0:
            where = "below" if sign * way < 0 else "above"
            raise Invalid(
                "PLAN_ON_WRONG_SIDE",
                f"{name} of a {report.side} must lie {where} entry_price.",
                fix="Send the price, or leave it out.",
                field=name,
            )
