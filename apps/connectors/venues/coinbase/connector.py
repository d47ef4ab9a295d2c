"""The Coinbase Advanced Trade connector: our verbs, its endpoints. It has no verb that moves money out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from apps.common.decimals import instant_text
from apps.common.errors import Invalid, Misconfigured, NotFound, Unavailable
from apps.connectors.errors import Rejected
from apps.connectors.types import (
    Balance,
    CancelResult,
    Candle,
    Capabilities,
    FeeRates,
    Granularity,
    InstrumentSpec,
    OrderRequest,
    Permissions,
    Placement,
    Preview,
    Quote,
    ServerTime,
    VenueFill,
    VenueOrder,
)
from apps.connectors.venues.coinbase import answers, bodies, parse, wire
from apps.connectors.venues.coinbase.client import CoinbaseClient, Params, Sending, quoted, refusal, unreadable
from apps.connectors.venues.coinbase.limits import Priority
from apps.connectors.venues.http import Attempt

PAGES_MAX = 40
PAGE_ROWS = 250
PRODUCT_ROWS = 500
CANDLES_PER_CALL = 300  # 350 is documented, 300 has always worked
CANDLE_CALLS_MAX = 20
CANCELS_PER_CALL = 100
OPEN_LOOKBACK = timedelta(hours=1)
# Both must be asked for: the list leaves out what was placed in the simple app unless told otherwise.
PLACEMENT_SOURCES = ("RETAIL_ADVANCED", "RETAIL_SIMPLE")

T = TypeVar("T")


def _incomplete(path: str) -> Unavailable:
    return Unavailable(
        "VENUE_LIST_INCOMPLETE",
        f"The venue's list does not come to an end ({path}); a part of it is not an answer.",
        fix="Ask for a shorter time.",
    )


@contextmanager
def _reading(path: str) -> Iterator[None]:
    """An answer that is not what the venue documents becomes Unavailable: nothing happened by reading."""
    try:
        yield
    except wire.Malformed as error:
        raise unreadable(path, error) from error


class CoinbaseConnector:
    """One key at Coinbase (or at the simulator). Thread safe. `now` is the wall clock."""

    capabilities = Capabilities(
        places_orders=True,
        previews=True,
        candles=True,
        fee_rates=True,
        market_by_quote_quantity=True,
        order_terms=bodies.ORDER_TERMS,
    )

    def __init__(self, *, client: CoinbaseClient, now: Callable[[], datetime], may_place: bool) -> None:
        self.client = client
        self._now = now
        self._may_place = may_place

    def server_time(self) -> ServerTime:
        """The venue's clock against ours; half the round trip is how far the difference may be off."""
        path = "/time"
        attempt = self.client.attempt()
        with _reading(path):
            before = self._now()
            row = self.client.get(path, attempt=attempt, signed=False)
            after = self._now()
            at = parse.server_time(row)
        return ServerTime(
            at=at, ahead_s=_seconds(at - (before + (after - before) / 2)), round_trip_s=_seconds(after - before)
        )

    def permissions(self) -> Permissions:
        return self._read("/key_permissions", parse.permissions)

    def fee_rates(self) -> FeeRates:
        return self._read("/transaction_summary", parse.fee_rates, [("product_type", "SPOT")])

    def balances(self) -> tuple[Balance, ...]:
        path = "/accounts"
        with _reading(path):
            return parse.balances(self._pages(path, "accounts", [("limit", str(PAGE_ROWS))]))

    def instruments(self) -> tuple[InstrumentSpec, ...]:
        path = "/products"
        with _reading(path):
            return parse.instruments(self._products(path), self._now())

    def quotes(self, codes: Sequence[str]) -> Mapping[str, Quote]:
        wanted = list(dict.fromkeys(code for code in codes if code))
        if not wanted:
            return {}
        try:
            return self._quotes(wanted)
        except (NotFound, Rejected):
            # One code the venue does not know must not hide the others.
            return {} if len(wanted) == 1 else {c: q for code in wanted for c, q in self.quotes([code]).items()}

    def candles(self, code: str, granularity: Granularity, start: datetime, end: datetime) -> tuple[Candle, ...]:
        step = granularity.seconds * CANDLES_PER_CALL
        first, last = int(start.timestamp()), int(end.timestamp())
        if (last - first) > step * CANDLE_CALLS_MAX:
            raise Invalid(
                "TOO_MANY_CANDLES",
                f"At most {CANDLES_PER_CALL * CANDLE_CALLS_MAX} candles at once.",
                fix="Ask for a shorter time or longer candles.",
            )
        path = f"/products/{quoted(code)}/candles"
        found: dict[datetime, Candle] = {}
        with _reading(path):
            for begin in range(first, last, step):
                window = [("start", str(begin)), ("end", str(min(begin + step, last)))]
                row = self.client.get(path, [*window, ("granularity", granularity.value)])
                found |= {item.start: item for item in map(parse.candle, wire.rows(row, "candles"))}
        return tuple(found[at] for at in sorted(found) if start <= at < end)

    def preview(self, request: OrderRequest) -> Preview:
        path = "/orders/preview"
        body = bodies.preview_body(request)
        attempt = self.client.attempt()
        with Sending(attempt, harmless=True):
            reply = self.client.send(path, body, attempt=attempt, priority=Priority.READ)
        if reply.status != 200:
            raise refusal(reply, path=path)
        with _reading(path):
            return parse.preview(wire.decode(reply.body))

    def place_order(self, body: bytes, *, gate: AbstractContextManager[None] | None = None) -> Placement:
        sent = answers.Sent.of(body)
        if not self._may_place:
            raise Misconfigured(
                "CONNECTION_INACTIVE",
                "This connection places no orders: it is not active. Nothing was sent.",
                fix="Use an active connection.",
            )
        attempt = self.client.attempt()
        attempt.gate = gate or nullcontext()
        with Sending(attempt):
            reply = self.client.send("/orders", body, attempt=attempt)
            if reply.status == 429:
                self.client.limiter.pause()
            return answers.placement_of(reply, sent)

    def cancel_orders(self, venue_order_ids: Sequence[str]) -> tuple[CancelResult, ...]:
        """Raises OutcomeUnknown where the request was sent and not answered: read the orders."""
        # An empty id has been seen to make the whole request hang.
        wanted = list(dict.fromkeys(identifier for identifier in venue_order_ids if identifier))
        results: list[CancelResult] = []
        for begin in range(0, len(wanted), CANCELS_PER_CALL):
            part = wanted[begin : begin + CANCELS_PER_CALL]
            attempt = self.client.attempt()
            with Sending(attempt):
                body = bodies.cancel_body(part)
                reply = self.client.send("/orders/batch_cancel", body, attempt=attempt, priority=Priority.CANCEL)
                if reply.status == 429:
                    self.client.limiter.pause()
                results += answers.cancellations_of(reply, part)
        return tuple(results)

    def order(self, venue_order_id: str) -> VenueOrder:
        def of(row: wire.Row) -> VenueOrder:
            return parse.order(wire.row_of(row.get("order"), "order"))

        if not venue_order_id:
            raise NotFound("VENUE_NOT_FOUND", "An order without an id is no order.")
        return self._read(f"/orders/historical/{quoted(venue_order_id)}", of)

    def orders(self, codes: Sequence[str], since: datetime, until: datetime) -> tuple[VenueOrder, ...]:
        # No order_status: OPEN would leave out PENDING and QUEUED, which are just as alive.
        path = "/orders/historical/batch"
        common = [("product_ids", code) for code in codes]
        common += [("start_date", instant_text(since)), ("end_date", instant_text(until)), ("limit", str(PAGE_ROWS))]
        found: dict[str, VenueOrder] = {}
        with _reading(path):
            for source in PLACEMENT_SOURCES:
                for row in self._pages(path, "orders", [*common, ("order_placement_source", source)]):
                    if parse.is_spot(row):
                        item = parse.order(row)
                        found.setdefault(item.venue_order_id, item)
        newest_first = sorted(found.values(), key=lambda item: item.created_at or since, reverse=True)
        return tuple(newest_first)

    def open_orders(self) -> tuple[VenueOrder, ...]:
        # OPEN leaves out PENDING and QUEUED; without a status the list is as long as the history, so only its newest
        # part is read: what waits longer than that to be opened is none of it.
        path = "/orders/historical/batch"
        lately = instant_text(self._now() - OPEN_LOOKBACK)
        found: dict[str, VenueOrder] = {}
        with _reading(path):
            for source in PLACEMENT_SOURCES:
                for which in (("order_status", "OPEN"), ("start_date", lately)):
                    params = [which, ("limit", str(PAGE_ROWS)), ("order_placement_source", source)]
                    rows = self._pages(path, "orders", params, priority=Priority.CANCEL)
                    read = [parse.order(row) for row in rows if parse.is_spot(row)]
                    # The later answer counts: an order may end between the two.
                    found |= {item.venue_order_id: item for item in read}
        return tuple(item for item in found.values() if not item.state.is_final)

    def fills(
        self, venue_order_id: str | None = None, codes: Sequence[str] = (), since: datetime | None = None
    ) -> tuple[VenueFill, ...]:
        path = "/orders/historical/fills"
        if venue_order_id is not None:
            if codes or since is not None:
                raise Invalid("FILLS_FILTERS", "Fills are asked for by order, or by instruments and time, not both.")
            params = [("order_ids", venue_order_id)]
        else:
            params = [("product_ids", code) for code in codes]
            params += [("start_sequence_timestamp", instant_text(since))] if since is not None else []
        with _reading(path):
            rows = self._pages(path, "fills", [*params, ("limit", str(PAGE_ROWS))])
            found = {item.venue_fill_id: item for item in map(parse.fill, rows)}
        return tuple(sorted(found.values(), key=lambda item: (item.occurred_at, item.venue_fill_id)))

    def close(self) -> None:
        self.client.close()

    def _read(self, path: str, of: Callable[[wire.Row], T], params: Params = ()) -> T:
        with _reading(path):
            return of(self.client.get(path, params))

    def _quotes(self, codes: Sequence[str]) -> Mapping[str, Quote]:
        path = "/best_bid_ask"
        with _reading(path):
            row = self.client.get(path, [("product_ids", code) for code in codes])
            received_at = self._now()
            found = (parse.quote(book, received_at) for book in wire.rows(row, "pricebooks"))
            return {item.instrument: item for item in found if item is not None and item.instrument in codes}

    def _pages(
        self, path: str, key: str, params: Sequence[tuple[str, str]], *, priority: Priority = Priority.READ
    ) -> list[wire.Row]:
        """All rows of a list with cursors, under one deadline. Never a part of it: raises Unavailable instead."""
        rows: list[wire.Row] = []
        cursors: set[str] = set()
        cursor = ""
        attempt = self.client.attempt()
        for _ in range(PAGES_MAX):
            asked = [*params, *([("cursor", cursor)] if cursor else [])]
            row = self.client.get(path, asked, attempt=attempt, priority=priority)
            if wire.flag(row, "proof_token_required", default=False):
                raise Misconfigured(
                    "VENUE_PROOF_TOKEN",
                    "The venue withholds this list until the account's owner confirms it (EU strong authentication).",
                    fix="Confirm in the venue's own app, then try again.",
                )
            rows += wire.rows(row, key)
            cursor = wire.text_or_empty(row, "cursor")
            # Accounts and orders say has_next; fills only leave the cursor empty.
            if not cursor or not wire.flag(row, "has_next", default=True):
                return rows
            if cursor in cursors:
                break
            cursors.add(cursor)
        raise _incomplete(path)

    def _products(self, path: str) -> list[wire.Row]:
        """All products by offset. A venue that ignores the offset repeats itself, and that ends it too."""
        rows: list[wire.Row] = []
        seen: set[str] = set()
        attempt: Attempt = self.client.attempt()
        for _ in range(PAGES_MAX):
            params = [("product_type", "SPOT"), ("get_tradability_status", "true"), ("limit", str(PRODUCT_ROWS))]
            page = wire.rows(self.client.get(path, [*params, ("offset", str(len(seen)))], attempt=attempt), "products")
            fresh = [row for row in page if wire.text_or_empty(row, "product_id") not in seen]
            rows += fresh
            seen |= {wire.text_or_empty(row, "product_id") for row in fresh}
            if not fresh or len(page) < PRODUCT_ROWS:
                return rows
        raise _incomplete(path)


def _seconds(span: timedelta) -> Decimal:
    return Decimal(span // timedelta(microseconds=1)) / 1_000_000
