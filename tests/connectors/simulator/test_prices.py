"""The path: the same for the same seed, moving believably, and its candles and books belong to it."""

from decimal import Decimal

import pytest

from apps.connectors.simulator import book, history, prices
from apps.connectors.simulator.products import PRODUCTS
from tests.connectors.simulator.client import PREFIX, Client
from tests.connectors.simulator.conftest import STEP

PATHS = ["BTC-USD", "ETH-USD", "SOL-USD", "ADA-USD", "DOGE-USD"]


def path(seed: int, product_id: str, steps: range) -> list[Decimal]:
    product = PRODUCTS[product_id]
    return [prices.mid_price(seed, product_id, product.level, product.price_increment, step) for step in steps]


def test_the_path_is_written_in_stone() -> None:
    """A change here changes every recorded run: say so in the changelog."""
    assert [str(mid) for mid in path(7, "BTC-USD", range(STEP, STEP + 3))] == ["65252.448", "65253.666", "65267.845"]


@pytest.mark.parametrize("product_id", PATHS)
def test_the_path_is_deterministic_and_believable(product_id: str) -> None:
    steps = range(STEP - 2000, STEP)
    mids = path(1, product_id, steps)
    prices.mid_price.cache_clear()
    assert path(1, product_id, steps) == mids
    assert path(2, product_id, steps) != mids
    moves = [abs(now / before - 1) * 10_000 for before, now in zip(mids, mids[1:], strict=False)]
    assert Decimal("0.5") < sum(moves) / len(moves) < 3
    assert max(moves) < 15
    far = path(1, product_id, range(0, STEP, 10_000_019))
    level = PRODUCTS[product_id].level
    assert all(level * Decimal("0.8") < mid < level * Decimal("1.2") for mid in far)


@pytest.mark.parametrize("product_id", PATHS)
def test_the_book_is_ordered_on_the_grid_and_grows(product_id: str) -> None:
    product = PRODUCTS[product_id]
    mid = path(1, product_id, range(STEP, STEP + 1))[0]
    bids = list(book.ladder(1, product, mid, STEP, "bids"))
    asks = list(book.ladder(1, product, mid, STEP, "asks"))
    assert bids[0].price < mid < asks[0].price
    assert (asks[0].price - bids[0].price) / mid * 10_000 < 4
    for levels, sign in ((bids, -1), (asks, 1)):
        away = [sign * level.price for level in levels]
        assert away == sorted(set(away))
        assert all(level.price % product.price_increment == 0 for level in levels)
        assert all(level.size % product.base_increment == 0 for level in levels)
        assert sum(level.size for level in levels[:10]) < sum(level.size for level in levels[-10:])


@pytest.mark.parametrize("granularity", history.GRANULARITIES)
def test_candles_aggregate_the_path(venue: Client, granularity: str) -> None:
    length = history.GRANULARITIES[granularity]
    start, product = STEP - STEP % length - 3 * length, PRODUCTS["BTC-USD"]
    params: dict[str, str | int] = {"start": start, "end": STEP, "granularity": granularity}
    candles = venue.http.get(f"{PREFIX}/market/products/BTC-USD/candles", params=params).json()["candles"]
    assert [int(candle["start"]) for candle in candles] == [start + length * index for index in (3, 2, 1, 0)]
    for candle in candles:
        first = int(candle["start"])
        last = min(first + length - 1, STEP)
        assert Decimal(candle["open"]) == history.price_at(7, product, first)
        assert Decimal(candle["close"]) == history.price_at(7, product, last)
        ends = [Decimal(candle["open"]), Decimal(candle["close"])]
        assert Decimal(candle["low"]) <= min(ends) and max(ends) <= Decimal(candle["high"])
        assert Decimal(candle["volume"]) >= 0
    if granularity == "ONE_MINUTE":
        minute = [history.price_at(7, product, step) for step in range(start, start + 60)]
        assert (Decimal(candles[-1]["low"]), Decimal(candles[-1]["high"])) == (min(minute), max(minute))


def test_candles_have_bounds(venue: Client) -> None:
    def get(**params: object) -> tuple[int, int]:
        response = venue.call("GET", "/products/BTC-USD/candles", params=params)
        return response.status_code, len(response.json().get("candles", []))

    assert get(granularity="ONE_MINUTE", start=STEP - 350 * 60, end=STEP) == (200, 350)
    assert get(granularity="ONE_MINUTE", start=STEP - 351 * 60, end=STEP) == (400, 0)
    assert get(granularity="ONE_MINUTE", start=STEP - 600, end=STEP, limit=3) == (200, 3)
    assert get(granularity="ONE_DAY", start=1_500_000_000, end=1_500_000_000 + 10 * 86_400)[0] == 200
    assert get(granularity="ONE_MINUTE", start=STEP + 600, end=STEP + 900) == (200, 0)
    assert get(granularity="TWO_MINUTES") == (400, 0)
    assert get(granularity="ONE_MINUTE", start="yesterday") == (400, 0)
    assert get(granularity="ONE_MINUTE", start=9, end=8) == (400, 0)


def test_products_are_filtered_by_plural_keys_only(venue: Client) -> None:
    def listed(query: str) -> list[str]:
        return [row["product_id"] for row in venue.call("GET", "/products", params=query).json()["products"]]

    everything = list(PRODUCTS)
    assert listed("") == listed("product_id=BTC-USD") == everything
    assert listed("product_ids=ADA-USD&product_ids=SOL-USD") == ["SOL-USD", "ADA-USD"]
    assert listed("limit=2&offset=1") == everything[1:3]
    assert listed("product_type=FUTURE") == []


def test_a_disabled_product_has_no_prices(venue: Client) -> None:
    product = venue.get("/products/LTC-USD")
    assert (product["price"], product["trading_disabled"], product["status"]) == ("", True, "offline")
    book_of = venue.get("/best_bid_ask", product_ids="LTC-USD")["pricebooks"][0]
    assert (book_of["bids"], book_of["asks"]) == ([], [])


def test_unknown_products_are_not_found(venue: Client) -> None:
    for where in ("/products/NO-USD", "/products/NO-USD/ticker", "/product_book?product_id=NO-USD"):
        bare, _, query = where.partition("?")
        response = venue.call("GET", bare, params=query)
        assert (response.status_code, response.json()["error"]) == (404, "NOT_FOUND")


def test_the_tape_is_newest_first_and_repeats(venue: Client) -> None:
    first = venue.get("/products/ETH-USD/ticker", limit=5)["trades"]
    assert first == venue.get("/products/ETH-USD/ticker", limit=5)["trades"]
    assert [trade["time"] for trade in first] == sorted((trade["time"] for trade in first), reverse=True)
    assert len(venue.get("/products/ETH-USD/ticker", limit=5, start=STEP - 1)["trades"]) == 2
