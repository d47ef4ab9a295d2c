"""Each recorded socket message, read."""

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.connectors.stream_types import BookLevel, Candles, Orders, StreamEvent, Tickers, Trades, Unreadable
from apps.connectors.types import Side, VenueOrderState
from apps.connectors.venues.coinbase import messages, wire
from apps.connectors.venues.coinbase.unread import Skim
from tests.venues.coinbase.payloads import raw

NOW = datetime(2026, 3, 2, 14, 46, tzinfo=UTC)


def frame(name: str) -> messages.Frame:
    read = messages.frame(raw(name))
    assert isinstance(read, messages.Frame)
    return read


def told(name: str) -> list[StreamEvent]:
    return list(messages.events_of(frame(name), NOW))


@pytest.mark.parametrize(("name", "text"), [
    ("ws_error_auth", "authentication failure"), ("ws_error_malformed", "subscribe or unsubscribe required"),
])  # fmt: skip
def test_errors_have_no_envelope(name: str, text: str) -> None:
    assert messages.frame(raw(name)) == messages.ErrorFrame(text)


@pytest.mark.parametrize(("name", "sequence"), [("ws_heartbeats", 1), ("ws_heartbeats_doc", 0), ("ws_status", 0)])
def test_what_carries_no_news_is_numbered_all_the_same(name: str, sequence: int) -> None:
    assert frame(name).sequence == sequence and told(name) == []


def test_acknowledgements() -> None:
    assert messages.subscribed(frame("ws_subscriptions_heartbeats")) == {"heartbeats": ["heartbeats"]}
    assert list(messages.subscribed(frame("ws_subscriptions_user"))) == ["user"]
    with pytest.raises(wire.Malformed):
        messages.subscribed(frame("ws_heartbeats"))


def test_a_filled_order_of_the_user_channel() -> None:
    (orders,) = told("ws_user_snapshot")
    assert isinstance(orders, Orders) and orders.is_snapshot and orders.received_at == NOW
    (update,) = orders.updates
    assert (update.venue_order_id, update.client_order_id, update.instrument) == ("YYY", "XXX", "BTC-USD")
    assert (update.side, update.state, update.venue_state) == (Side.BUY, VenueOrderState.FILLED, "FILLED")
    assert (update.filled_quantity, update.average_fill_price) == (Decimal("0.01"), Decimal(50000))
    assert (update.total_fees, update.fills, update.reason) == (Decimal(2), 1, "")


def test_an_open_order_with_fewer_fields() -> None:
    """Frames without price, stop price, post_only and the number of fills have been seen."""
    (orders,) = told("ws_user_snapshot_short")
    assert isinstance(orders, Orders)
    (update,) = orders.updates
    assert (update.state, update.filled_quantity, update.average_fill_price) == (VenueOrderState.OPEN, 0, None)
    assert update.fills is None
    assert update.created_at == datetime(2026, 4, 7, 14, 29, 55, 123456, tzinfo=UTC)


@pytest.mark.parametrize(("status", "filled", "state"), [
    ("FAILED", "0", VenueOrderState.REJECTED), ("FAILED", "0.1", VenueOrderState.CANCELED),
    ("CANCELLED", "0.1", VenueOrderState.CANCELED), ("CANCEL_QUEUED", "0", VenueOrderState.OPEN),
    ("QUEUED", "0", VenueOrderState.PENDING), ("BRAND_NEW", "0", VenueOrderState.UNKNOWN),
])  # fmt: skip
def test_states(status: str, filled: str, state: VenueOrderState) -> None:
    row = {"order_id": "1", "status": status, "cumulative_quantity": filled, "reject_Reason": "HOLD_FAILURE"}
    update = messages.order_update(row)
    assert update.state is state and update.side is None
    assert update.reason == ("HOLD_FAILURE" if state in {VenueOrderState.REJECTED, VenueOrderState.CANCELED} else "")


@pytest.mark.parametrize(("count", "ends"), [(0, True), (49, True), (50, False)])
def test_the_end_of_a_snapshot(count: int, ends: bool) -> None:
    event = {"type": "snapshot", "orders": [{"order_id": str(number)} for number in range(count)]}
    assert messages.is_end_of_snapshot(messages.Frame("user", 0, NOW, (event,))) is ends
    assert not messages.is_end_of_snapshot(messages.Frame("user", 0, NOW, ({**event, "type": "update"},)))


def test_orders_may_be_null() -> None:
    empty = messages.Frame("user", 0, NOW, ({"type": "snapshot", "orders": None},))
    assert messages.is_end_of_snapshot(empty)
    assert list(messages.events_of(empty, NOW)) == [Orders((), True, NOW)]


def test_a_ticker_is_a_quote_with_a_last_price() -> None:
    (told_,) = told("ws_ticker")
    assert isinstance(told_, Tickers)
    (ticker,) = told_.tickers
    assert (ticker.instrument, ticker.last, ticker.received_at) == ("BTC-USD", Decimal("21932.98"), NOW)
    assert ticker.occurred_at == datetime(2023, 2, 9, 20, 30, 37, 167359, tzinfo=UTC)
    assert ticker.quote is not None
    assert (ticker.quote.bid, ticker.quote.ask) == (Decimal("21931.98"), Decimal("21933.98"))
    assert ticker.quote.ask_quantity == Decimal("8038.07770938")
    assert ticker.quote.occurred_at == ticker.occurred_at


def test_a_one_sided_ticker_is_no_quote() -> None:
    row = {"product_id": "BTC-USD", "price": "1", "best_bid": "1", "best_ask": "0"}
    assert messages.ticker(row, NOW, NOW).quote is None


def test_trades_candles_and_books() -> None:
    (trades,) = told("ws_market_trades")
    assert isinstance(trades, Trades) and not trades.is_snapshot
    assert [trade.trade_id for trade in trades.trades] == ["22381691", "22381690"]
    (candles,) = told("ws_candles")
    assert isinstance(candles, Candles) and candles.seconds == 300
    assert candles.candles[0][0] == "ETH-USD" and candles.candles[0][1].close == Decimal("1866.81")
    snapshot, update = told("ws_l2_snapshot")[0], told("ws_l2_update")[0]
    assert snapshot.is_snapshot and not update.is_snapshot  # type: ignore[union-attr]
    assert update.levels == (  # type: ignore[union-attr]
        BookLevel(Side.BUY, Decimal("68900.00"), Decimal("2.00000000")),
        BookLevel(Side.SELL, Decimal("68901.00"), Decimal(0)),
    )


@pytest.mark.parametrize("text", [
    "", "[]", "{", "null", "1", '{"channel":"user"}', '{"channel":"user","sequence_num":"1"}',
    '{"channel":"user","sequence_num":true}', '{"sequence_num":1}', '{"channel":"user","sequence_num":1,"events":1}',
])  # fmt: skip
def test_what_cannot_be_read_is_said(text: str) -> None:
    with pytest.raises(wire.Malformed):
        messages.frame(text)


LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
NAMES = st.sampled_from(["channel", "sequence_num", "events", "type", "orders", "tickers", "order_id"])


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4)


ANYTHING = st.recursive(LEAVES, nested, max_leaves=12)
# Rarely is anything an envelope: these always are, with anything in them.
ENVELOPES = st.fixed_dictionaries(
    {"channel": st.text(min_size=1, max_size=5), "sequence_num": st.integers(min_value=0), "events": st.lists(ANYTHING)}
)


def told_by(value: Any) -> list[StreamEvent] | None:
    """All that a message says, read as one of every channel; None where it is malformed."""
    channels = ("user", "ticker", "market_trades", "candles", "l2_data")
    try:
        read = messages.frame(json.dumps(value))
        frames = [read._replace(channel=channel) for channel in channels] if isinstance(read, messages.Frame) else []
        return [event for frame in frames for event in messages.events_of(frame, NOW)]
    except wire.Malformed:
        return None


@given(ANYTHING | ENVELOPES)
def test_nothing_but_malformed_comes_out_of_anything(value: Any) -> None:
    told = told_by(value)
    assert told is None or all(isinstance(event, StreamEvent) for event in told)


@given(st.lists(st.integers(min_value=0, max_value=30), max_size=40))
def test_numbers_accept_each_at_most_once_and_own_up_to_every_gap(numbers: list[int]) -> None:
    count, accepted, lost = messages.Numbers(), list[int](), 0
    for number in numbers:
        missing = count.missing(number)
        if missing >= 0:
            accepted.append(number)
            lost += missing
    assert accepted == sorted(set(accepted))
    if accepted:
        assert lost + len(accepted) == accepted[-1] - accepted[0] + 1


def ticker_text(number: int = 4, *rows: dict[str, str], spaces: bool = False, **more: object) -> str:
    rows = rows or ({"type": "ticker", "product_id": "BTC-USD", "price": "5", "best_bid": "4", "best_ask": "6"},)
    envelope = {
        "channel": "ticker", "client_id": "", "timestamp": "2023-02-09T20:30:37.167359596Z", "sequence_num": number,
        "events": [{"type": "update", "tickers": list(rows)}], **more,
    }  # fmt: skip
    return json.dumps(envelope, separators=(", ", ": ") if spaces else (",", ":"))


@pytest.mark.parametrize("spaces", [True, False])
def test_a_ticker_read_late_is_the_one_read_at_once(spaces: bool) -> None:
    text, numbers = ticker_text(spaces=spaces), messages.Numbers(3)
    late = Skim(numbers).ticker(text, NOW)
    assert late is not None and numbers.last == 4
    frame = messages.frame(text)
    assert isinstance(frame, messages.Frame)
    (at_once,) = messages.events_of(frame, NOW)
    assert isinstance(at_once, Tickers) and late.tickers == at_once.tickers


OTHER = {"type": "ticker", "product_id": "ETH-USD", "price": "5"}
NOT_NEXT = (
    ticker_text(5),
    ticker_text(3),
    ticker_text(4, OTHER, {**OTHER, "product_id": "BTC-USD"}),
    ticker_text()[:-1],
    ticker_text(4, {"product_id": "BTC-USD", "type": "ticker"}),
    ticker_text(4, {"type": "ticker", "product_id": ""}),
    ticker_text(4, {"type": "ticker", "product_id": "BTC-USD", "price": "\\"}),
    ticker_text(channel="heartbeats"),
    ticker_text(channel="ticker_batch"),
    ticker_text().replace('"timestamp"', '"told_at"'),
    ticker_text().replace('"update"', '"something"'),
    "[]",
    "",
)


@pytest.mark.parametrize("spaces", [True, False])
@pytest.mark.parametrize("text", NOT_NEXT)
def test_only_a_next_message_with_one_whole_ticker_is_left_unread(text: str, spaces: bool) -> None:
    """By one that has seen nothing yet, and by one that knows how such messages are laid out."""
    fresh, taught = Skim(fresh_numbers := messages.Numbers(3)), Skim(taught_numbers := messages.Numbers(2))
    assert taught.ticker(ticker_text(3, spaces=spaces), NOW) is not None
    assert fresh.ticker(text, NOW) is None and fresh_numbers.last == 3
    assert taught.ticker(text, NOW) is None and taught_numbers.last == 3
    assert taught.ticker(ticker_text(4), NOW) is not None, "and goes on with the next"


def test_which_number_is_next_is_not_known_at_first() -> None:
    assert Skim(messages.Numbers()).ticker(ticker_text(0), NOW) is None


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["BTC-USD", "ETH-USD"]), st.integers(0, 9)), min_size=1))
def test_each_is_the_one_that_a_parser_finds_whatever_came_before(told: list[tuple[bool, str, int]]) -> None:
    """Layouts and lengths that change from one message to the next."""
    numbers = messages.Numbers(8)
    skim = Skim(numbers)
    for number, (spaces, instrument, digits) in enumerate(told, 9):
        text = ticker_text(number, {**OTHER, "product_id": instrument}, spaces=spaces)
        text = text.replace('Z"', f'{"1" * digits}Z"', 1)
        late = skim.ticker(text, NOW)
        assert late is not None and numbers.last == number
        assert list(late.unread) == [instrument] and late.unread[instrument] == text


@pytest.mark.parametrize("text", [
    ticker_text(4, {"type": "ticker", "product_id": "BTC-USD", "price": "a lot"}),
    ticker_text().replace('"price"', '"price'),
    ticker_text().replace('"5"', '5}]}]}'),
    ticker_text().replace('"price"', '"product_id": "DOGE-USD", "price"'),
])  # fmt: skip
def test_what_turns_out_unreadable_says_so(text: str) -> None:
    late = Skim(messages.Numbers(3)).ticker(text, NOW)
    assert late is not None
    with pytest.raises(Unreadable):
        late.read("BTC-USD")


WORDS = st.sampled_from(
    ["1", "-2.50", "0.1", "", "1\n2", "\n", "1e3", "NaN", "Infinity", "1_0", " 1", "１", "1" * 40, "x", 5, True, None]
)


@given(st.dictionaries(st.sampled_from("abc"), st.one_of(st.just("1.5"), WORDS)))
def test_numbers_read_together_are_those_read_one_by_one(row: dict[str, object]) -> None:
    def read(found: Callable[[], Iterable[Decimal | None]]) -> list[Decimal | None] | str:
        try:
            return list(found())
        except wire.Malformed as error:
            return str(error)

    together = read(lambda: wire.Decimals("a", "b", "c").of(row))
    assert together == read(lambda: [wire.decimal_or_none(row, key) for key in "abc"])
