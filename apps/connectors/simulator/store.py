"""The venue's own small database: balances, orders, fills. SQLite, one connection, one thread."""

import json
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from apps.connectors.simulator.amounts import text_of
from apps.connectors.simulator.clock import Clock
from apps.connectors.simulator.records import ACTIVE, Balance, Fill, FillFilter, Order, OrderFilter

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS balances (
    position INTEGER PRIMARY KEY AUTOINCREMENT, currency TEXT NOT NULL UNIQUE, uuid TEXT NOT NULL,
    total TEXT NOT NULL, hold TEXT NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS orders (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, order_id TEXT NOT NULL UNIQUE, client_order_id TEXT NOT NULL UNIQUE,
    product_id TEXT NOT NULL, side TEXT NOT NULL, status TEXT NOT NULL, order_type TEXT NOT NULL,
    time_in_force TEXT NOT NULL, created INTEGER NOT NULL, visible_at INTEGER NOT NULL, state TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS orders_active ON orders (seq) WHERE status IN ('PENDING', 'OPEN', 'CANCEL_QUEUED');
CREATE TABLE IF NOT EXISTS fills (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, entry_id TEXT NOT NULL UNIQUE, trade_id TEXT NOT NULL,
    order_id TEXT NOT NULL, product_id TEXT NOT NULL, side TEXT NOT NULL, trade_type TEXT NOT NULL,
    micros INTEGER NOT NULL, state TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS fills_order ON fills (order_id);
"""

_DECIMALS = {
    "base_size", "quote_size", "limit_price", "stop_price", "filled_size", "filled_value", "total_fees", "hold",
    "price", "base", "commission",
}  # fmt: skip


def _state_of(record: Order | Fill) -> str:
    values = {item.name: getattr(record, item.name) for item in fields(record) if item.name != "seq"}
    return json.dumps({name: text_of(value) if isinstance(value, Decimal) else value for name, value in values.items()})


def _values_of(row: sqlite3.Row) -> dict[str, Any]:
    values = json.loads(row["state"])
    for name in _DECIMALS & values.keys():
        if values[name] is not None:
            values[name] = Decimal(values[name])
    return {**values, "seq": row["seq"]}


def _one_of(column: str, values: Sequence[str], where: list[str], arguments: list[Any]) -> None:
    if values:
        where.append(f"{column} IN ({','.join('?' * len(values))})")
        arguments.extend(values)


def _between(column: str, start: int | None, end: int | None, where: list[str], arguments: list[Any]) -> None:
    """Start inclusive, end exclusive, as the venue documents it."""
    if start is not None:
        where.append(f"{column} >= ?")
        arguments.append(start)
    if end is not None:
        where.append(f"{column} < ?")
        arguments.append(end)


class Store:
    """Rows in, rows out. Every change happens inside `transaction()`."""

    def __init__(self, directory: Path | None) -> None:
        target = ":memory:" if directory is None else str(directory / "venue.sqlite3")
        # One event loop owns it; the check would only get in the way of tests that start the loop in a thread.
        self._db = sqlite3.connect(target, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)
        self._changed: list[Order] = []

    def close(self) -> None:
        """Give the file back."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; an inner transaction joins the outer one."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            # An interruption, too: half a change is none.
            self._db.execute("ROLLBACK")
            self._changed.clear()
            raise
        self._db.execute("COMMIT")

    def meta(self, name: str, default: str) -> str:
        """A remembered text; the first caller's default is kept."""
        self._db.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (name, default))
        return str(self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()[0])

    def open_account(self, balances: dict[str, Decimal]) -> None:
        """Forget everything and start with these balances."""
        now = Clock.micros()
        with self.transaction():
            for table in ("balances", "orders", "fills"):
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608  the names are the three above
            self._changed.clear()
            for currency, total in balances.items():
                row = (currency, str(uuid.uuid4()), text_of(total), "0", now, now)
                self._db.execute(
                    "INSERT INTO balances (currency, uuid, total, hold, created, updated) VALUES (?,?,?,?,?,?)",
                    row,
                )

    def balances(self) -> list[Balance]:
        """Every currency, in the order they were opened."""
        rows = self._db.execute("SELECT * FROM balances ORDER BY position")
        return [
            Balance(r["currency"], r["uuid"], Decimal(r["total"]), Decimal(r["hold"]), r["created"], r["updated"])
            for r in rows
        ]

    def balance(self, currency: str) -> Balance:
        """One currency; its wallet is opened at the first use."""
        now = Clock.micros()
        self._db.execute(
            "INSERT OR IGNORE INTO balances (currency, uuid, total, hold, created, updated) VALUES (?,?,'0','0',?,?)",
            (currency, str(uuid.uuid4()), now, now),
        )
        return next(balance for balance in self.balances() if balance.currency == currency)

    def move(self, currency: str, total: Decimal, hold: Decimal) -> None:
        """Add to a currency's total and hold (either may be negative)."""
        if not total and not hold:
            return
        was = self.balance(currency)
        self._db.execute(
            "UPDATE balances SET total = ?, hold = ?, updated = ? WHERE currency = ?",
            (text_of(was.total + total), text_of(was.hold + hold), Clock.micros(), currency),
        )

    def add_order(self, order: Order) -> None:
        """Insert, and give the order its sequence number."""
        cursor = self._db.execute(
            "INSERT INTO orders (order_id, client_order_id, product_id, side, status, order_type, time_in_force,"
            " created, visible_at, state) VALUES (?,?,?,?,?,?,?,?,?,?)",
            (
                order.order_id, order.client_order_id, order.product_id, order.side, order.status, order.order_type,
                order.time_in_force, order.created, order.visible_at, _state_of(order),
            ),
        )  # fmt: skip
        order.seq = cursor.lastrowid or 0
        self._changed.append(replace(order))

    def save_order(self, order: Order) -> None:
        """Write what changed."""
        order.updated = Clock.micros()
        self._db.execute(
            "UPDATE orders SET status = ?, state = ? WHERE order_id = ?",
            (order.status, _state_of(order), order.order_id),
        )
        self._changed.append(replace(order))

    def take_changes(self) -> list[Order]:
        """Every state that orders went through since the last call, oldest first."""
        changed, self._changed = self._changed, []
        return changed

    def show_orders(self, now: int) -> int:
        """Let get and list know every order from now on; how many they did not know."""
        hidden = self._db.execute("SELECT * FROM orders WHERE visible_at > ?", (now,)).fetchall()
        with self.transaction():
            for order in (Order(**_values_of(row)) for row in hidden):
                order.visible_at = now
                self._db.execute(
                    "UPDATE orders SET visible_at = ?, state = ? WHERE order_id = ?",
                    (now, _state_of(order), order.order_id),
                )
        return len(hidden)

    def order(self, order_id: str) -> Order | None:
        """By the venue's id."""
        row = self._db.execute("SELECT * FROM orders WHERE order_id = ?", (order_id,)).fetchone()
        return Order(**_values_of(row)) if row else None

    def order_by_client_id(self, client_order_id: str) -> Order | None:
        """By the client's id: for deduplication; the wire has no such look-up."""
        row = self._db.execute("SELECT * FROM orders WHERE client_order_id = ?", (client_order_id,)).fetchone()
        return Order(**_values_of(row)) if row else None

    def active_orders(self) -> list[Order]:
        """Everything that may still change, oldest first."""
        names = ",".join(f"'{status}'" for status in ACTIVE)
        rows = self._db.execute(f"SELECT * FROM orders WHERE status IN ({names}) ORDER BY seq")  # noqa: S608
        return [Order(**_values_of(row)) for row in rows]

    def orders(
        self,
        wanted: OrderFilter,
        *,
        visible_at: int | None = None,
        before: int | None = None,
        limit: int = 1_000_000,
    ) -> list[Order]:
        """Newest first, older than sequence number `before`; those not yet visible are left out."""
        where: list[str] = ["1"]
        arguments: list[Any] = []
        _one_of("order_id", wanted.order_ids, where, arguments)
        _one_of("product_id", wanted.product_ids, where, arguments)
        _one_of("status", wanted.statuses, where, arguments)
        _one_of("time_in_force", wanted.time_in_forces, where, arguments)
        _one_of("order_type", wanted.order_types, where, arguments)
        _one_of("side", (wanted.side,) if wanted.side else (), where, arguments)
        _between("created", wanted.start, wanted.end, where, arguments)
        _between("seq", None, before, where, arguments)
        if visible_at is not None:
            where.append("visible_at <= ?")
            arguments.append(visible_at)
        rows = self._db.execute(
            f"SELECT * FROM orders WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT ?",  # noqa: S608
            (*arguments, limit),
        )
        return [Order(**_values_of(row)) for row in rows]

    def add_fill(self, fill: Fill) -> None:
        """Append; fills are never changed."""
        self._db.execute(
            "INSERT INTO fills (entry_id, trade_id, order_id, product_id, side, trade_type, micros, state)"
            " VALUES (?,?,?,?,?,?,?,?)",
            (
                fill.entry_id, fill.trade_id, fill.order_id, fill.product_id, fill.side, fill.trade_type, fill.micros,
                _state_of(fill),
            ),
        )  # fmt: skip

    def fill(self, entry_id: str) -> Fill | None:
        """By its entry id."""
        row = self._db.execute("SELECT * FROM fills WHERE entry_id = ?", (entry_id,)).fetchone()
        return Fill(**_values_of(row)) if row else None

    def is_reversed(self, trade_id: str) -> bool:
        """Whether a reversal of that trade is on the books."""
        query = "SELECT 1 FROM fills WHERE trade_id = ? AND trade_type = 'REVERSAL'"
        return self._db.execute(query, (trade_id,)).fetchone() is not None

    def fills(
        self, wanted: FillFilter, *, visible_at: int | None = None, before: int | None = None, limit: int = 1_000_000
    ) -> list[Fill]:
        """Newest first, older than sequence number `before`; those of orders not yet visible are left out."""
        where: list[str] = ["1"]
        arguments: list[Any] = []
        _one_of("order_id", wanted.order_ids, where, arguments)
        _one_of("trade_id", wanted.trade_ids, where, arguments)
        _one_of("product_id", wanted.product_ids, where, arguments)
        _one_of("side", (wanted.side,) if wanted.side else (), where, arguments)
        _between("micros", wanted.start, wanted.end, where, arguments)
        _between("seq", None, before, where, arguments)
        if visible_at is not None:
            where.append("order_id IN (SELECT order_id FROM orders WHERE visible_at <= ?)")
            arguments.append(visible_at)
        rows = self._db.execute(
            f"SELECT * FROM fills WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT ?",  # noqa: S608
            (*arguments, limit),
        )
        return [Fill(**_values_of(row)) for row in rows]
