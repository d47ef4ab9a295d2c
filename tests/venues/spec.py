"""What every connector does for what it claims, whatever its venue. Numbered, so that a report can name a case.

A venue's own test module subclasses `VenueSpec` and gives the fixture `bench`: a connector on a real venue process,
and the few strings that a test must pull at that venue.
"""

import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Protocol

import pytest

from apps.common.errors import NotFound
from apps.common.money import floor_to
from apps.connectors.errors import AlreadyExists, ReadOnly, Rejected
from apps.connectors.services import venue
from apps.connectors.types import (
    Connector,
    Granularity,
    InstrumentSpec,
    OrderRequest,
    OrderType,
    Placement,
    Side,
    TimeInForce,
    VenueOrder,
    VenueOrderState,
)


class Strings(Protocol):
    """What a test may do to the venue behind the connector's back."""

    def pin_price(self, instrument: str, mid: Decimal | str | None) -> None: ...


@dataclass(frozen=True)
class Bench:
    """A connector, the name of its venue, one instrument whose mid price is pinned at `mid`, and the strings."""

    venue: str
    connector: Connector
    strings: Strings
    code: str
    mid: Decimal

    @property
    def spec(self) -> InstrumentSpec:
        return next(item for item in self.connector.instruments() if item.code == self.code)

    def limit(self, side: Side, price: Decimal, quantity: Decimal, **changes: object) -> OrderRequest:
        request = OrderRequest(
            client_order_id=str(uuid.uuid4()),
            instrument=self.code,
            side=side,
            order_type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            quantity=floor_to(quantity, self.spec.quantity_increment),
            limit_price=floor_to(price, self.spec.price_increment),
        )
        return replace(request, **changes)  # type: ignore[arg-type]

    def resting(self) -> OrderRequest:
        """A buy far below the market."""
        return self.limit(Side.BUY, self.mid / 2, 20 / self.mid)

    def crossing(self) -> OrderRequest:
        """A buy well above the market: it fills at once."""
        return self.limit(Side.BUY, self.mid * Decimal("1.02"), 50 / self.mid, time_in_force=TimeInForce.IOC)

    def place(self, request: OrderRequest) -> Placement:
        return self.connector.place_order(venue.order_body(self.venue, request, spec=self.spec))

    def final(self, venue_order_id: str) -> VenueOrder:
        """The order once it has ended; at most fifty looks."""
        for _ in range(50):
            order = self.connector.order(venue_order_id)
            if order.state.is_final:
                return order
        raise AssertionError(f"the order did not end: {order}")


def now() -> datetime:
    return datetime.now(UTC)


class VenueSpec:
    def test_01_time_and_permissions(self, bench: Bench) -> None:
        assert abs(bench.connector.server_time().ahead_s) < 5
        permissions = bench.connector.permissions()
        assert permissions.can_view
        assert permissions.can_trade == bench.connector.capabilities.places_orders
        assert not permissions.can_transfer

    def test_02_balances_are_one_row_per_currency(self, bench: Bench) -> None:
        balances = bench.connector.balances()
        codes = [item.currency for item in balances]
        assert codes == sorted(set(codes))
        assert bench.spec.quote_currency in codes
        assert all(item.available >= 0 and item.held >= 0 for item in balances)

    def test_03_instruments_have_steps_and_bounds(self, bench: Bench) -> None:
        specs = bench.connector.instruments()
        codes = [item.code for item in specs]
        assert codes == sorted(set(codes))
        for spec in specs:
            assert min(spec.price_increment, spec.quantity_increment, spec.quote_increment) > 0
            assert 0 <= spec.min_quantity <= spec.max_quantity
            assert 0 <= spec.min_notional <= spec.max_notional
        assert bench.spec.tradable

    def test_04_quotes_by_code(self, bench: Bench) -> None:
        quote = bench.connector.quotes([bench.code])[bench.code]
        assert 0 < quote.bid < quote.ask
        assert quote.bid <= bench.mid <= quote.ask
        assert abs(quote.received_at - quote.occurred_at) < timedelta(minutes=1)

    def test_05_an_unknown_instrument_hides_no_other(self, bench: Bench) -> None:
        assert bench.connector.quotes([]) == {}
        assert bench.connector.quotes(["NOPE-NOPE"]) == {}
        assert set(bench.connector.quotes([bench.code, "NOPE-NOPE"])) == {bench.code}

    def test_06_candles_are_oldest_first_and_within_bounds(self, bench: Bench) -> None:
        self._claims(bench, bench.connector.capabilities.candles)
        end = now().replace(second=0, microsecond=0)
        start = end - timedelta(minutes=420)
        candles = bench.connector.candles(bench.code, Granularity.ONE_MINUTE, start, end)
        starts = [item.start for item in candles]
        assert starts == sorted(set(starts))
        assert len(starts) > 300, "more than one call's worth"
        assert start <= starts[0]
        assert starts[-1] < end
        assert all(
            item.low <= min(item.open, item.close) <= max(item.open, item.close) <= item.high for item in candles
        )

    def test_07_candles_of_an_unknown_instrument(self, bench: Bench) -> None:
        self._claims(bench, bench.connector.capabilities.candles)
        with pytest.raises((NotFound, Rejected)):
            bench.connector.candles("NOPE-NOPE", Granularity.ONE_HOUR, now() - timedelta(hours=3), now())

    def test_08_fee_rates_are_fractions(self, bench: Bench) -> None:
        self._claims(bench, bench.connector.capabilities.fee_rates)
        rates = bench.connector.fee_rates()
        assert 0 <= rates.maker <= rates.taker < 1

    def test_09_preview_tells_cost_and_refusal_and_places_nothing(self, bench: Bench) -> None:
        self._claims(bench, bench.connector.capabilities.previews)
        since = now() - timedelta(minutes=1)
        fine = bench.connector.preview(bench.resting())
        assert fine.errors == ()
        assert fine.order_total is not None
        assert fine.order_total > 0
        too_much = bench.connector.preview(bench.limit(Side.BUY, bench.mid, Decimal(1_000_000_000) / bench.mid))
        assert too_much.errors != ()
        assert bench.connector.orders([bench.code], since, now() + timedelta(minutes=1)) == ()

    def test_10_place_read_and_list_a_resting_order(self, bench: Bench) -> None:
        self._claims(bench, bench.connector.capabilities.places_orders)
        since = now() - timedelta(minutes=1)
        request = bench.resting()
        placed = bench.place(request)
        assert (placed.client_order_id, placed.instrument, placed.side) == (
            request.client_order_id,
            bench.code,
            Side.BUY,
        )
        order = bench.connector.order(placed.venue_order_id)
        assert order.state in {VenueOrderState.PENDING, VenueOrderState.OPEN}
        assert (order.quantity, order.limit_price, order.filled_quantity) == (
            request.quantity,
            request.limit_price,
            0,
        )
        assert (order.order_type, order.time_in_force) == (OrderType.LIMIT, TimeInForce.GTC)
        listed = bench.connector.orders([bench.code], since, now() + timedelta(minutes=1))
        assert [item.client_order_id for item in listed] == [request.client_order_id]
        assert bench.connector.orders([bench.code], since - timedelta(days=2), since) == ()
        assert bench.connector.fills(venue_order_id=placed.venue_order_id) == ()

    def test_11_a_resting_order_holds_funds_and_a_cancel_frees_them(self, bench: Bench) -> None:
        self._claims(bench, bench.connector.capabilities.places_orders)
        currency = bench.spec.quote_currency
        before = self._balance(bench, currency)
        placed = bench.place(bench.resting())
        held = self._balance(bench, currency)
        assert held.held > before.held
        assert held.available < before.available
        (result,) = bench.connector.cancel_orders([placed.venue_order_id])
        assert result.requested
        assert bench.final(placed.venue_order_id).state is VenueOrderState.CANCELED
        assert self._balance(bench, currency) == before

    def test_12_a_crossing_order_fills_and_its_fills_add_up(self, bench: Bench) -> None:
        self._claims(bench, bench.connector.capabilities.places_orders)
        request = bench.crossing()
        placed = bench.place(request)
        order = bench.final(placed.venue_order_id)
        assert order.state is VenueOrderState.FILLED
        fills = bench.connector.fills(venue_order_id=placed.venue_order_id)
        assert sum((fill.quantity for fill in fills), Decimal(0)) == order.filled_quantity == request.quantity
        assert sum((fill.fee for fill in fills), Decimal(0)) == order.total_fees
        assert len({fill.venue_fill_id for fill in fills}) == len(fills)
        assert request.limit_price is not None
        assert all(
            fill.price <= request.limit_price and fill.fee_currency == bench.spec.quote_currency for fill in fills
        )
        assert [fill.occurred_at for fill in fills] == sorted(fill.occurred_at for fill in fills)
        by_time = bench.connector.fills(codes=[bench.code], since=now() - timedelta(minutes=1))
        assert {fill.venue_fill_id for fill in by_time} == {fill.venue_fill_id for fill in fills}

    def test_13_a_market_buy_by_quote_quantity_fills_in_base(self, bench: Bench) -> None:
        self._claims(bench, bench.connector.capabilities.places_orders)
        self._claims(bench, bench.connector.capabilities.market_by_quote_quantity)
        request = replace(
            bench.crossing(), order_type=OrderType.MARKET, quantity=None, limit_price=None, quote_quantity=Decimal(100)
        )
        order = bench.final(bench.place(request).venue_order_id)
        assert order.quote_quantity == 100
        fills = bench.connector.fills(venue_order_id=order.venue_order_id)
        spent = sum((fill.quantity * fill.price + fill.fee for fill in fills), Decimal(0))
        assert Decimal(99) < spent <= Decimal(100)
        assert sum((fill.quantity for fill in fills), Decimal(0)) < 100 / bench.mid * 2, "base, not quote"

    def test_14_the_same_id_again_makes_no_second_order(self, bench: Bench) -> None:
        self._claims(bench, bench.connector.capabilities.places_orders)
        since = now() - timedelta(minutes=1)
        request = bench.resting()
        placed = bench.place(request)
        try:
            again = bench.place(request)
        except AlreadyExists as exists:
            assert exists.client_order_id == request.client_order_id
        else:
            assert again == placed
        assert len(bench.connector.orders([bench.code], since, now() + timedelta(minutes=1))) == 1

    def test_15_refusals_are_proved_and_leave_nothing(self, bench: Bench) -> None:
        self._claims(bench, bench.connector.capabilities.places_orders)
        since = now() - timedelta(minutes=1)
        for request in (
            bench.limit(Side.BUY, bench.mid, Decimal(1_000_000_000) / bench.mid),
            replace(bench.resting(), instrument="NOPE-NOPE"),
        ):
            with pytest.raises(Rejected) as refused:
                bench.connector.place_order(venue.order_body(bench.venue, request))
            assert refused.value.reason
        assert bench.connector.orders([bench.code], since, now() + timedelta(minutes=1)) == ()

    def test_16_an_unknown_order_is_not_found_and_cannot_be_cancelled(self, bench: Bench) -> None:
        unknown = str(uuid.uuid4())
        with pytest.raises(NotFound):
            bench.connector.order(unknown)
        self._claims(bench, bench.connector.capabilities.places_orders)
        (result,) = bench.connector.cancel_orders([unknown])
        assert not result.requested
        assert result.reason

    def test_18_what_it_does_not_claim_it_refuses(self, bench: Bench) -> None:
        self._claims(bench, not bench.connector.capabilities.places_orders)
        request = bench.resting()
        for refused in (
            lambda: venue.order_body(bench.venue, request),
            lambda: venue.check_increments(bench.venue, request, bench.spec),
            lambda: bench.connector.preview(request),
            lambda: bench.connector.place_order(b"{}"),
            lambda: bench.connector.cancel_orders([str(uuid.uuid4())]),
        ):
            with pytest.raises(ReadOnly) as error:
                refused()
            assert error.value.code == "VENUE_READ_ONLY"

    def test_17_each_claimed_kind_of_order_is_taken_as_asked(self, bench: Bench) -> None:
        for order_type, time_in_force in sorted(bench.connector.capabilities.order_terms):
            request = self._of_kind(bench, order_type, time_in_force)
            order = bench.connector.order(bench.place(request).venue_order_id)
            assert (order.order_type, order.time_in_force) == (order_type, time_in_force)
            assert (order.quantity, order.limit_price, order.stop_price) == (
                request.quantity,
                request.limit_price,
                request.stop_price,
            )
            assert order.expires_at == request.expires_at

    @staticmethod
    def _of_kind(bench: Bench, order_type: OrderType, time_in_force: TimeInForce) -> OrderRequest:
        expires_at = now().replace(microsecond=0) + timedelta(hours=1) if time_in_force is TimeInForce.GTD else None
        if order_type is OrderType.MARKET:
            return replace(bench.crossing(), order_type=order_type, limit_price=None)
        if order_type is OrderType.STOP_LIMIT:
            step = bench.spec.price_increment
            return replace(
                bench.limit(Side.BUY, bench.mid * Decimal("1.12"), 20 / bench.mid),
                order_type=order_type,
                time_in_force=time_in_force,
                stop_price=floor_to(bench.mid * Decimal("1.1"), step),
                expires_at=expires_at,
            )
        base = bench.crossing() if time_in_force in {TimeInForce.IOC, TimeInForce.FOK} else bench.resting()
        return replace(base, time_in_force=time_in_force, expires_at=expires_at)

    @staticmethod
    def _claims(bench: Bench, claim: bool) -> None:
        if not claim:
            pytest.skip(f"{bench.venue} does not claim this")

    @staticmethod
    def _balance(bench: Bench, currency: str):  # type: ignore[no-untyped-def]  # the test reads well enough
        return next(item for item in bench.connector.balances() if item.currency == currency)
