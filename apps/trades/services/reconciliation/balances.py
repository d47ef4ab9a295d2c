"""Whether the fills in our books explain how the venue's balances moved since they were last compared."""

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Final

from django.conf import settings

from apps.common.decimals import decimal_text
from apps.common.money import product
from apps.connectors.selectors import instruments_of, same_account
from apps.connectors.types import Side
from apps.trades.models import Fill
from apps.trades.selectors import comparing as rows
from apps.trades.services.reconciliation.comparing import Comparison, Finding
from apps.trades.types import DifferenceKind

ZERO: Final = Decimal(0)
# Venues keep eight places; a fill sized in quote currency is a quotient.
ROUNDING_PER_FILL: Final = Decimal("0.00000001")


def compare(comparison: Comparison) -> bool:
    """Note every currency that moved by something else than fills. False where it cannot be told now.

    The venue's figure is where the next comparison begins: a transfer is a difference once. Nothing is guessed: while
    an order's fate is open, or the list of fills lags behind the orders, nothing is compared.
    """
    seen, connection = comparison.seen, comparison.connection
    account = same_account(connection)
    if seen.totals is None or comparison.fills_lag or rows.has_in_flight(account):
        return False
    if rows.unbooked(account, list(seen.fills.values())):
        return False
    before = rows.last_balances(connection.pk)
    overlap = timedelta(seconds=settings.RECONCILE_OVERLAP_S)
    began = before.started_at if before is not None else comparison.clock()
    lately = rows.fills_recorded(account, since=began, overlap=overlap)
    shown = [row for row in lately if row.venue_fill_id in seen.fills or row.occurred_at < seen.since]
    if before is not None:
        counted = set(before.counted_fills)
        new = [row for row in shown if row.venue_fill_id not in counted]
        _note_moves(comparison, {name: Decimal(text) for name, text in (before.balances or {}).items()}, new)
    if comparison.run is not None:
        kept_from = comparison.run.started_at - overlap
        comparison.run.balances = {name: decimal_text(total) for name, total in sorted(seen.totals.items())}
        comparison.run.counted_fills = sorted(row.venue_fill_id for row in shown if row.recorded_at >= kept_from)
    return True


def _note_moves(comparison: Comparison, before: dict[str, Decimal], new: list[Fill]) -> None:
    moved = effects(new, currencies_of(comparison, new))
    totals = comparison.seen.totals or {}
    allowed = ROUNDING_PER_FILL * len(new)
    for currency in sorted(before.keys() | totals.keys() | moved.keys()):
        expected = before.get(currency, ZERO) + moved.get(currency, ZERO)
        found = totals.get(currency, ZERO)
        if abs(found - expected) > allowed:
            gap = f"{decimal_text(abs(found - expected))} {'more' if found > expected else 'less'}"
            comparison.keep(
                Finding(
                    kind=DifferenceKind.BALANCE,
                    subject=f"{currency} {decimal_text(found)}",
                    ours=f"{decimal_text(expected)} {currency} by the fills in the books.",
                    theirs=f"{decimal_text(found)} {currency}, {gap}.",
                    done="The venue's figure counts from here on. What moved it is not known.",
                )
            )


def effects(rows: Iterable[Fill], currencies: dict[str, tuple[str, str]]) -> dict[str, Decimal]:
    """What fills did to balances, by currency: coins one way, money the other, fees off."""
    moved: dict[str, Decimal] = {}

    def add(currency: str, amount: Decimal) -> None:
        moved[currency] = moved.get(currency, ZERO) + amount

    for row in rows:
        base, quote = currencies[row.instrument]
        sign = 1 if row.side == Side.BUY else -1
        add(base, sign * row.quantity)
        add(quote, -sign * product(row.quantity, row.price))
        add(row.fee_currency or quote, -row.fee)
    return moved


def currencies_of(comparison: Comparison, rows: Iterable[Fill]) -> dict[str, tuple[str, str]]:
    """Base and quote currency by instrument; by its name where the venue no longer lists it."""
    codes = {row.instrument for row in rows}
    listed = instruments_of(comparison.connection.pk, codes=tuple(codes)) if codes else []
    known = {row.code: (row.base_currency, row.quote_currency) for row in listed}
    for code in codes - known.keys():
        base, _, quote = code.partition("-")
        known[code] = (base, quote)
    return known
