"""What the accounts behind some connections are worth together, and what of it is free."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from apps.common.money import total
from apps.connectors.selectors import balances_of
from apps.connectors.types import Balance, Environment
from apps.trades.models import Order
from apps.trades.rules.equity import worth
from apps.trades.selectors.equity import not_counted, prices_of, totals_of
from apps.trades.types import LIVE_ORDER_STATES

if TYPE_CHECKING:
    from apps.connectors.models import Connection

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wealth:
    """In `currency`. `equity` is None where something held has no price or was never read; `as_of` is the oldest
    number in it. `left_out` names what is not counted: other environments, other currencies, money without a pair."""

    currency: str
    environment: str
    equity: Decimal | None
    cash_free: Decimal | None
    reserved: Decimal
    as_of: datetime | None
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What one account holds, as the connection `best` read it last; `rows` are all connections that reach it, and
    `uncounted` names money that has no worth in the reporting currency. `balances` is None where it was never read."""

    rows: "tuple[Connection, ...]"
    best: "Connection"
    balances: Mapping[str, Balance] | None
    uncounted: tuple[str, ...]

    @property
    def totals(self) -> dict[str, Decimal]:
        """What counts of what is held, by currency."""
        return {} if self.balances is None else totals_of(self.balances, self.uncounted)


def accounts_of(connections: "Iterable[Connection]") -> list[Account]:
    """Connections by the account they reach: those with the same key at the same address hold the same money."""
    found: dict[tuple[str, str], list[Connection]] = {}
    for row in connections:
        found.setdefault((row.api_base, row.key_name), []).append(row)
    accounts = []
    for rows in found.values():
        best = max(rows, key=lambda row: row.balances_as_of or _NEVER)
        is_read = best.balances_as_of is not None
        accounts.append(
            Account(
                rows=tuple(rows),
                best=best,
                balances=balances_of(best) if is_read else None,
                uncounted=tuple(not_counted(best)) if is_read else (),
            )
        )
    return accounts


def counted_together(connections: "Iterable[Connection]") -> "tuple[list[Connection], tuple[str, ...]]":
    """Those of one environment (live before paper) and one reporting currency, and the names of the others."""
    rows = sorted(connections, key=lambda row: (row.environment != Environment.LIVE.value, row.name))
    if not rows:
        return [], ()
    first = rows[0]
    alike = [
        row
        for row in rows
        if row.environment == first.environment and row.desk.reporting_currency == first.desk.reporting_currency
    ]
    return alike, tuple(row.name for row in rows if row not in alike)


def wealth_of(accounts: Sequence[Account], *, left_out: Iterable[str], now: datetime) -> Wealth | None:
    """All accounts of one kind added up; None where there is none. `left_out`: what else to name as not counted."""
    if not accounts:
        return None
    rows = [row for account in accounts for row in account.rows]
    currency = rows[0].desk.reporting_currency
    equity: Decimal | None = Decimal(0)
    free: Decimal | None = Decimal(0)
    instants, apart = [], list(left_out)
    for account in accounts:
        read_at = account.best.balances_as_of
        if read_at is None or account.balances is None:
            equity = free = None
            continue
        apart.extend(account.uncounted)
        prices = prices_of(account.best, set(account.totals), now=now)
        value = worth(account.totals, prices.by_currency)
        equity = None if equity is None or value is None else equity + value
        cash = account.balances[currency].available if currency in account.balances else Decimal(0)
        free = None if free is None else free + cash
        instants.append(min(read_at, prices.as_of))
    return Wealth(
        currency=currency,
        environment=rows[0].environment,
        equity=equity,
        cash_free=free,
        reserved=_reserved(rows, currency),
        as_of=min(instants, default=None),
        left_out=tuple(apart),
    )


def _reserved(rows: "list[Connection]", currency: str) -> Decimal:
    live = Order.objects.filter(connection__in=rows, state__in=sorted(LIVE_ORDER_STATES), reserved_currency=currency)
    return total(live.order_by().values_list("reserved_amount", flat=True))
