"""The Robinhood connector: reads, and nothing else. Whatever would send, change or cancel an order is refused."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Final, NoReturn

from apps.common.decimals import decimal_text, instant_text
from apps.common.errors import Invalid, NotFound, Unavailable
from apps.connectors.errors import CredentialsRefused, ReadOnly, Rejected
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
    Venue,
    VenueFill,
    VenueOrder,
)
from apps.connectors.venues import rows
from apps.connectors.venues.http import TRANSPORT_ERRORS
from apps.connectors.venues.robinhood import parse
from apps.connectors.venues.robinhood.client import Params, RobinhoodClient, refusal, segment, unavailable, unreadable

ACCOUNTS: Final = "/trading/accounts/"
HOLDINGS: Final = "/trading/holdings/"
PAIRS: Final = "/trading/trading_pairs/"
ORDERS: Final = "/trading/orders/"
BEST_BID_ASK: Final = "/marketdata/best_bid_ask/"
ESTIMATED_PRICE: Final = "/marketdata/estimated_price/"
PAGE_ROWS: Final = "100"
SYMBOLS_PER_CALL: Final = 50
QUANTITIES_PER_CALL: Final = 10
# An order that is older when it fills is found while it is open, and not once it has ended.
FILLS_LOOKBACK: Final = timedelta(days=90)
OPEN_STATES: Final = ("open", "partially_filled")


@contextmanager
def _reading(path: str) -> Iterator[None]:
    """An answer that is not what the venue documents becomes Unavailable: nothing happened by reading."""
    try:
        yield
    except rows.Malformed as error:
        raise unreadable(path, error) from error


def _refuse() -> NoReturn:
    raise ReadOnly(Venue.ROBINHOOD)


class RobinhoodConnector:
    """One key at Robinhood. Thread safe. `now` is the wall clock."""

    capabilities = Capabilities(
        places_orders=False,
        previews=False,
        candles=False,
        fee_rates=False,
        market_by_quote_quantity=False,
        order_terms=frozenset(),
    )

    def __init__(self, *, client: RobinhoodClient, now: Callable[[], datetime]) -> None:
        self.client = client
        self._now = now

    def server_time(self) -> ServerTime:
        """The venue has no clock to ask: this is the Date of an answer (RFC 9110), which has whole seconds.

        Raises Unavailable where none comes, and as `client.get` for one that refuses.
        """
        attempt = self.client.attempt()
        before = self._now()
        try:
            reply = self.client.raw(ACCOUNTS, attempt=attempt)
        except TRANSPORT_ERRORS as error:
            raise unavailable(type(error).__name__) from error
        after = self._now()
        if reply.status >= 300:
            raise refusal(reply, path=ACCOUNTS)
        try:
            at = parsedate_to_datetime(reply.headers.get("date", "")) + timedelta(milliseconds=500)
            ahead = at - (before + (after - before) / 2)
        except (ValueError, TypeError, OverflowError) as error:
            raise Unavailable("VENUE_ANSWER_UNREADABLE", "The venue's answer carries no time.") from error
        return ServerTime(at=at, ahead_s=_seconds(ahead), round_trip_s=_seconds(after - before))

    def permissions(self) -> Permissions:
        """Whether the key may view is found by viewing. It is not used to trade, and the interface cannot transfer.

        Raises CredentialsRefused where no account is active.
        """
        with _reading(ACCOUNTS):
            standing = [parse.account_status(row) for row in parse.accounts(self.client.get(ACCOUNTS))]
        if not standing or set(standing) <= {"deactivated"}:
            raise CredentialsRefused(
                "VENUE_KEY_REFUSED", "The venue shows no account that is active.", fix="Look at the account there."
            )
        return Permissions(can_view=True, can_trade=False, can_transfer=False)

    def fee_rates(self) -> FeeRates:
        """Raises Invalid: there are none. What trading costs is inside the quotes."""
        raise Invalid("VENUE_TELLS_NO_FEES", "Robinhood tells no fee rates: its spread is inside its prices.")

    def balances(self) -> tuple[Balance, ...]:
        with _reading(ACCOUNTS):
            cash = parse.accounts(self.client.get(ACCOUNTS))
        with _reading(HOLDINGS):
            return parse.balances(cash, self.client.pages(HOLDINGS))

    def instruments(self) -> tuple[InstrumentSpec, ...]:
        with _reading(PAIRS):
            return parse.instruments(self.client.pages(PAIRS), self._now())

    def quotes(self, codes: Sequence[str]) -> Mapping[str, Quote]:
        """Best bid and ask with the venue's own spread in them: what one pays, not an order book."""
        wanted = list(dict.fromkeys(code for code in codes if code))
        found: dict[str, Quote] = {}
        for begin in range(0, len(wanted), SYMBOLS_PER_CALL):
            found |= self._quotes(wanted[begin : begin + SYMBOLS_PER_CALL])
        return found

    def estimated_prices(self, code: str, quantities: Sequence[Decimal]) -> tuple[parse.EstimatedPrice, ...]:
        """What selling and buying each quantity (in base currency) would bring and cost now, smallest first.

        Nothing for a code the venue does not know. Raises Invalid QUANTITY_NOT_POSITIVE, and as `client.get`.
        """
        if not all(quantity.is_finite() and quantity > 0 for quantity in quantities):
            raise Invalid("QUANTITY_NOT_POSITIVE", "A price is estimated for quantities above zero.")
        asked = sorted(set(quantities))
        found: list[parse.EstimatedPrice] = []
        for begin in range(0, len(asked), QUANTITIES_PER_CALL):
            found += self._estimated(code, asked[begin : begin + QUANTITIES_PER_CALL])
        return tuple(sorted(found, key=lambda item: (item.quantity, item.side)))

    def candles(self, code: str, granularity: Granularity, start: datetime, end: datetime) -> tuple[Candle, ...]:
        """Raises Invalid: the interface has none."""
        raise Invalid("VENUE_TELLS_NO_CANDLES", "Robinhood tells no candles.")

    def preview(self, request: OrderRequest) -> Preview:
        """Raises ReadOnly."""
        _refuse()

    def place_order(self, body: bytes, *, gate: AbstractContextManager[None] | None = None) -> Placement:
        """Raises ReadOnly. Nothing is sent."""
        _refuse()

    def cancel_orders(self, venue_order_ids: Sequence[str]) -> tuple[CancelResult, ...]:
        """Raises ReadOnly. Nothing is sent."""
        _refuse()

    def order(self, venue_order_id: str) -> VenueOrder:
        with _reading(ORDERS):
            return parse.order(self._order_row(venue_order_id))

    def orders(self, codes: Sequence[str], since: datetime, until: datetime) -> tuple[VenueOrder, ...]:
        with _reading(ORDERS):
            found = {row.venue_order_id: row for row in map(parse.order, self._order_rows(codes, since, until))}
        created = {key: row.created_at or since for key, row in found.items()}
        kept = [row for key, row in found.items() if since <= created[key] < until]
        return tuple(sorted(kept, key=lambda row: created[row.venue_order_id], reverse=True))

    def open_orders(self) -> tuple[VenueOrder, ...]:
        found: dict[str, VenueOrder] = {}
        with _reading(ORDERS):
            for state in OPEN_STATES:
                read = map(parse.order, self._order_pages((), [("state", state)]))
                # The later answer counts: an order may end between the two.
                found |= {item.venue_order_id: item for item in read}
        return tuple(item for item in found.values() if not item.state.is_final)

    def fills(
        self, venue_order_id: str | None = None, codes: Sequence[str] = (), since: datetime | None = None
    ) -> tuple[VenueFill, ...]:
        """The executions of orders. By time, those of orders created up to `FILLS_LOOKBACK` before, or still open."""
        if venue_order_id is not None and (codes or since is not None):
            raise Invalid("FILLS_FILTERS", "Fills are asked for by order, or by instruments and time, not both.")
        with _reading(ORDERS):
            if venue_order_id is not None:
                told = [self._order_row(venue_order_id)]
            else:
                told = self._order_rows(codes, since - FILLS_LOOKBACK if since else None, None)
                for state in OPEN_STATES if since else ():
                    told += self._order_pages(codes, [("state", state)])
            found = {fill.venue_fill_id: fill for row in told for fill in parse.fills(row)}
        kept = [fill for fill in found.values() if since is None or fill.occurred_at >= since]
        return tuple(sorted(kept, key=lambda item: (item.occurred_at, item.venue_fill_id)))

    def close(self) -> None:
        self.client.close()

    def _quotes(self, codes: Sequence[str]) -> Mapping[str, Quote]:
        try:
            with _reading(BEST_BID_ASK):
                page = self.client.get(BEST_BID_ASK, _symbols(codes))
                received_at = self._now()
                read = (parse.quote(row, received_at) for row in rows.rows(page, "results"))
                return {item.instrument: item for item in read if item is not None and item.instrument in codes}
        except (NotFound, Rejected):
            # One symbol the venue does not know must not hide the others.
            return {} if len(codes) == 1 else {key: q for code in codes for key, q in self._quotes([code]).items()}

    def _estimated(self, code: str, quantities: Sequence[Decimal]) -> list[parse.EstimatedPrice]:
        amounts = ",".join(decimal_text(quantity) for quantity in quantities)
        try:
            with _reading(ESTIMATED_PRICE):
                page = self.client.get(ESTIMATED_PRICE, [("symbol", code), ("side", "both"), ("quantity", amounts)])
                received_at = self._now()
                told = [item for row in rows.rows(page, "results") for item in parse.estimated_prices(row, received_at)]
        except (NotFound, Rejected):
            return []
        return [item for item in told if item.instrument == code and item.quantity in quantities]

    def _order_row(self, venue_order_id: str) -> rows.Row:
        if not venue_order_id:
            raise NotFound("VENUE_NOT_FOUND", "An order without an id is no order.")
        return self.client.get(f"{ORDERS}{segment(venue_order_id)}/")

    def _order_rows(self, codes: Sequence[str], since: datetime | None, until: datetime | None) -> list[rows.Row]:
        bounds = [("created_at_start", since), ("created_at_end", until)]
        return self._order_pages(codes, [(name, instant_text(at)) for name, at in bounds if at is not None])

    def _order_pages(self, codes: Sequence[str], params: Params) -> list[rows.Row]:
        """Orders of these instruments. The venue filters by one symbol: of several, all is read and sorted out here."""
        only = _symbols(codes) if len(codes) == 1 else []
        told = self.client.pages(ORDERS, [*only, *params, ("limit", PAGE_ROWS)])
        return [row for row in told if not codes or rows.text(row, "symbol") in codes]


def _symbols(codes: Sequence[str]) -> list[tuple[str, str]]:
    return [("symbol", code) for code in codes]


def _seconds(span: timedelta) -> Decimal:
    return Decimal(span // timedelta(microseconds=1)) / 1_000_000
