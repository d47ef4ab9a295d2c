"""The worth of some accounts over the last day, by quarter hours: what is held now, walked back over the fills."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from django.core.cache import cache

from apps.common.money import total
from apps.connectors.selectors import market_of
from apps.connectors.types import Side
from apps.quotes.selectors.candles import candles
from apps.quotes.types import Length
from apps.trades.models import Fill
from apps.trades.rules.equity_curve import Move, Point, curve, moves_of
from apps.trades.selectors.wealth import Account

if TYPE_CHECKING:
    from apps.connectors.models import Connection

STEP: Final = timedelta(minutes=15)
STEPS: Final = 96
GRANULARITY: Final = Length.M15
CURRENCIES_MAX: Final = 12
KEPT_S: Final = 60
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def equity_curve(accounts: Sequence[Account], *, now: datetime) -> tuple[Point, ...]:
    """A point for each quarter hour that has ended in the last day, of all these accounts. Empty where balances were
    never read or more than twelve currencies are held."""
    newest = _EPOCH + (now - _EPOCH) // STEP * STEP
    instants = [newest - STEP * back for back in range(STEPS)]
    curves = [found for account in accounts if (found := _account(account, instants))]
    if not accounts or len(curves) != len(accounts):
        return ()
    return tuple(_added(points) for points in zip(*curves, strict=True))


def _added(points: tuple[Point, ...]) -> Point:
    values = [point.equity for point in points]
    known = [value for value in values if value is not None]
    return Point(at=points[0].at, equity=total(known) if len(known) == len(values) else None)


def _account(account: Account, instants: list[datetime]) -> tuple[Point, ...]:
    best, totals = account.best, account.totals
    if best.balances_as_of is None:
        return ()
    reporting = best.desk.reporting_currency
    moves = _moves(account.rows, since=min(instants), until=best.balances_as_of)
    currencies = ({*totals} | {move.currency for move in moves}) - {reporting}
    if len(currencies) > CURRENCIES_MAX:
        return ()
    prices = {currency: _closes(market_of(best), f"{currency}-{reporting}") for currency in sorted(currencies)}
    return curve(totals=totals, moves=moves, prices=prices, instants=instants, reporting=reporting)


def _moves(rows: "Sequence[Connection]", *, since: datetime, until: datetime) -> list[Move]:
    """What fills changed up to the moment the balances were read: a later one is not in them yet."""
    fills = Fill.objects.filter(connection__in=rows, occurred_at__gt=since, occurred_at__lte=until).order_by()
    columns = ("occurred_at", "side", "quantity", "price", "fee", "fee_currency")
    pair = ("order__proposal__base_currency", "order__proposal__quote_currency")
    return [
        move
        for at, side, quantity, price, fee, fee_currency, base, quote in fills.values_list(*columns, *pair)
        for move in moves_of(
            at=at,
            side=Side(side),
            base_currency=base,
            quote_currency=quote,
            quantity=quantity,
            price=price,
            fee=fee,
            fee_currency=fee_currency,
        )
    ]


def _closes(market: str, instrument: str) -> dict[datetime, Decimal]:
    """The last price of each quarter hour, by its end; as of at most a minute ago. A quarter hour in which nothing
    traded has the price of the one before."""
    key = f"equity-closes:{market}:{instrument}"
    kept: dict[datetime, Decimal] | None = cache.get(key)
    if kept is not None:
        return kept
    found: dict[datetime, Decimal] = {}
    for kept_candle in candles(market=market, instrument=instrument, granularity=GRANULARITY, limit=STEPS + 1).items:
        found[kept_candle.candle.start + STEP] = kept_candle.candle.close
    if found:
        at, last, newest = min(found), Decimal(0), max(found)
        while at <= newest:
            last = found.setdefault(at, last)
            at += STEP
    cache.set(key, found, timeout=KEPT_S)
    return found
