"""Whatever is ordered, nothing appears from nowhere: balances are what fills moved, holds are what open orders need."""

from collections import defaultdict
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from apps.connectors.simulator.clock import Clock
from apps.connectors.simulator.exchange import Exchange, Options
from apps.connectors.simulator.market import Market
from apps.connectors.simulator.matching import hold_needed
from apps.connectors.simulator.products import OPENING_BALANCES, PRODUCTS
from apps.connectors.simulator.records import FillFilter, OrderFilter
from apps.connectors.simulator.store import Store
from tests.connectors.simulator.conftest import STEP

MIDS = [Decimal(mid) for mid in ("59000", "59990", "60000", "60010", "61000")]
sizes = st.integers(1, 60_000_000).map(lambda units: format(Decimal(units).scaleb(-8), "f"))
prices = st.integers(-600, 600).map(lambda cents: format(Decimal(60_000) + Decimal(cents * 5).scaleb(-1), "f"))
quotes = st.integers(100, 3_000_000).map(lambda cents: format(Decimal(cents).scaleb(-2), "f"))
sides = st.sampled_from(["BUY", "SELL"])


@st.composite
def creates(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["limit_limit_gtc", "sor_limit_ioc", "limit_limit_fok", "market_market_ioc", "quote"]))
    if kind == "quote":
        side, configuration = "BUY", {"market_market_ioc": {"quote_size": draw(quotes)}}
    elif kind == "market_market_ioc":
        side, configuration = draw(sides), {kind: {"base_size": draw(sizes)}}
    else:
        side, configuration = draw(sides), {kind: {"base_size": draw(sizes), "limit_price": draw(prices)}}
    product_id = draw(st.sampled_from(["BTC-USD", "BTC-USDC"]))
    return {"side": side, "product_id": product_id, "order_configuration": configuration}


actions = st.one_of(
    creates().map(lambda body: ("create", body)),
    st.sampled_from(MIDS).map(lambda mid: ("pin", mid)),
    st.integers(1, 5).map(lambda steps: ("step", steps)),
    st.integers(0, 30).map(lambda index: ("cancel", index)),
    st.integers(0, 30).map(lambda index: ("reverse", index)),
)


def act(exchange: Exchange, number: int, name: str, value: Any) -> None:
    clock, orders = exchange.market.clock, exchange.store.orders(OrderFilter())
    if name == "create":
        exchange.create(value | {"client_order_id": str(number)})
    elif name == "pin":
        exchange.market.pin(PRODUCTS["BTC-USD"], value)
        exchange.advance(again=True)
    elif name == "step":
        clock.freeze(clock.step + value)
        exchange.advance()
    elif name == "cancel" and orders:
        exchange.cancel([orders[value % len(orders)].order_id])
    elif name == "reverse":
        fills = exchange.store.fills(FillFilter())
        if fills:
            exchange.reverse(fills[value % len(fills)].entry_id)


def assert_balanced(exchange: Exchange) -> None:
    moved: defaultdict[str, Decimal] = defaultdict(Decimal)
    for fill in exchange.store.fills(FillFilter()):
        product = PRODUCTS[fill.product_id]
        sign = (1 if fill.side == "BUY" else -1) * (1 if fill.trade_type == "FILL" else -1)
        fee = fill.commission if fill.trade_type == "FILL" else -fill.commission
        moved[product.base_currency] += sign * fill.base
        moved[product.quote_currency] -= sign * fill.base * fill.price + fee
    held: defaultdict[str, Decimal] = defaultdict(Decimal)
    for order in exchange.store.orders(OrderFilter()):
        product = PRODUCTS[order.product_id]
        assert order.hold == (0 if order.is_terminal else hold_needed(order, exchange.fees))
        held[product.quote_currency if order.side == "BUY" else product.base_currency] += order.hold
        assert order.base_size is None or order.filled_size <= order.base_size
    for balance in exchange.store.balances():
        assert balance.total == OPENING_BALANCES[balance.currency] + moved[balance.currency]
        assert balance.hold == held[balance.currency]
    reversed_any = any(fill.trade_type == "REVERSAL" for fill in exchange.store.fills(FillFilter()))
    assert reversed_any or all(balance.available >= 0 for balance in exchange.store.balances())


@given(st.lists(actions, max_size=14))
def test_balances_are_what_fills_moved(steps: list[tuple[str, Any]]) -> None:
    clock = Clock()
    clock.freeze(STEP)
    market = Market(7, clock)
    market.pin(PRODUCTS["BTC-USD"], Decimal("60000"))
    store = Store(None)
    try:
        exchange = Exchange(store, market, Options())
        for number, (name, value) in enumerate(steps):
            act(exchange, number, name, value)
            assert_balanced(exchange)
    finally:
        store.close()


def run(seed: int, stride: int) -> list[tuple[str, str, str]]:
    """A small day of trading, advanced `stride` steps at a time."""
    clock = Clock()
    clock.freeze(STEP)
    store = Store(None)
    exchange = Exchange(store, Market(seed, clock), Options())
    mid = exchange.market.mid(PRODUCTS["ETH-USD"])
    for number, distance in enumerate((-3, -8, -15, 3, 8, 15)):
        price = (mid * (1 + Decimal(distance).scaleb(-4))).quantize(Decimal("0.01"))
        values = {"base_size": "6" if distance < 0 else "1.3", "limit_price": str(price)}
        body = {"client_order_id": str(number), "product_id": "ETH-USD", "side": "BUY" if distance < 0 else "SELL"}
        exchange.create(body | {"order_configuration": {"limit_limit_gtc": values}})
    for step in range(stride, 301, stride):
        clock.freeze(STEP + step)
        exchange.advance()
    fills = [(str(fill.price), str(fill.base), fill.liquidity) for fill in reversed(store.fills(FillFilter()))]
    store.close()
    return fills


def test_the_same_seed_gives_the_same_run_however_often_it_ticks() -> None:
    runs = [run(3, stride) for stride in (1, 1, 10, 300)]
    assert runs[0] and all(other == runs[0] for other in runs)
    assert run(4, 1) != runs[0]
