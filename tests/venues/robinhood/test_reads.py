"""What Robinhood says, as our values; how it is asked; and that nothing but reading can be done."""

import ast
import base64
import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from apps.common.errors import Invalid, Misconfigured, NotFound, Unavailable
from apps.connectors.errors import CredentialsRefused, RateLimited, Rejected
from apps.connectors.types import Granularity, OrderType, Side, TimeInForce, Venue, VenueOrderState
from apps.connectors.venues import robinhood as package
from apps.connectors.venues import rows
from apps.connectors.venues.robinhood import limits, parse
from apps.connectors.venues.robinhood.auth import Signer
from apps.connectors.venues.robinhood.client import PREFIX, RobinhoodClient
from apps.connectors.venues.robinhood.connector import RobinhoodConnector
from tests.venues.robinhood.double import API_KEY, FAILED, FILLED, OF_DOGE, OPEN_PARTLY, ORDERS, Double, robinhood
from tests.venues.test_robinhood_spec import connector_to

SINCE, UNTIL = datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 22, tzinfo=UTC)


def test_balances_are_exact_whether_texts_or_numbers_come(connector: RobinhoodConnector) -> None:
    found = {row.currency: row for row in connector.balances()}
    assert list(found) == ["BTC", "DOGE", "ETH", "USD"]
    assert (found["BTC"].available, found["BTC"].held) == (D("0.100000000000000001"), D("0.023456789012345677"))
    assert (found["DOGE"].available, found["DOGE"].held) == (D("1000.50"), D(0))
    assert found["USD"].available == D("5000.01")


def test_a_holding_that_contradicts_itself_is_no_balance() -> None:
    row = {"asset_code": "BTC", "total_quantity": "1", "quantity_available_for_trading": "1.1"}
    with pytest.raises(rows.Malformed):
        parse.balances([], [row])


def test_pairs_are_instruments_over_every_page(connector: RobinhoodConnector, double: Double) -> None:
    btc, doge, eth = connector.instruments()
    assert (btc.code, btc.base_currency, btc.quote_currency) == ("BTC-USD", "BTC", "USD")
    assert (btc.price_increment, btc.quantity_increment, btc.max_quantity) == (D("0.01"), D("0.00000001"), D(20))
    assert (doge.tradable, eth.tradable) == (True, False)
    asked = [item["target"] for item in double.requests]
    # The link of the answer names another host: only its cursor was taken.
    assert asked == [f"{PREFIX}/trading/trading_pairs/", f"{PREFIX}/trading/trading_pairs/?cursor=2"]


def test_a_list_that_never_ends_is_no_answer(connector: RobinhoodConnector, double: Double) -> None:
    again = json.dumps({"next": f"{double.url}/?cursor=2", "results": []})
    double.answers["/trading_pairs/"] = [(200, again)] * 3
    with pytest.raises(Unavailable, match="VENUE_LIST_INCOMPLETE"):
        connector.instruments()


def test_a_quote_is_what_one_pays_with_the_spread_in_it(connector: RobinhoodConnector) -> None:
    quote = connector.quotes(["BTC-USD", "NOPE-USD", "DOGE-USD"])["BTC-USD"]
    assert (quote.bid, quote.ask) == (D("59974.5"), D("60025.5"))
    assert (quote.bid_quantity, quote.ask_quantity) == (0, 0), "no order book stands behind it"
    assert set(connector.quotes(["BTC-USD", "NOPE-USD", "DOGE-USD"])) == {"BTC-USD", "DOGE-USD"}


def test_orders_and_their_states(connector: RobinhoodConnector) -> None:
    filled = connector.order(FILLED)
    assert (filled.state, filled.order_type, filled.time_in_force) == (
        VenueOrderState.FILLED,
        OrderType.MARKET,
        TimeInForce.IOC,
    )
    assert (filled.filled_quantity, filled.filled_notional, filled.total_fees) == (D("0.3"), D("17999.97"), 0)
    partly = connector.order(OPEN_PARTLY)
    assert (partly.state, partly.venue_state) == (VenueOrderState.OPEN, "partially_filled")
    assert (partly.quantity, partly.limit_price, partly.side) == (D("0.5"), D("60000.10"), Side.BUY)
    assert connector.order(FAILED).state is VenueOrderState.REJECTED
    assert [row.venue_order_id for row in connector.orders(["BTC-USD"], SINCE, UNTIL)] == [FAILED, FILLED]
    assert [row.venue_order_id for row in connector.open_orders()] == [OPEN_PARTLY]
    with pytest.raises(NotFound):
        connector.order("")


def test_orders_of_several_instruments_are_all_found(connector: RobinhoodConnector, double: Double) -> None:
    both = connector.orders(["BTC-USD", "DOGE-USD"], SINCE, UNTIL)
    assert [row.venue_order_id for row in both] == [OF_DOGE, FAILED, FILLED]
    assert [row.venue_order_id for row in connector.orders(["DOGE-USD"], SINCE, UNTIL)] == [OF_DOGE]
    assert connector.orders(["ETH-USD"], SINCE, UNTIL) == ()


def test_what_a_quantity_would_cost_and_bring(connector: RobinhoodConnector, double: Double) -> None:
    found = connector.estimated_prices("BTC-USD", [D(2), D("0.5"), D(2)])
    assert [(item.quantity, item.side, item.price) for item in found] == [
        (D("0.5"), Side.BUY, D("60026.0")),
        (D("0.5"), Side.SELL, D("59974.0")),
        (D(2), Side.BUY, D("60027.5")),
        (D(2), Side.SELL, D("59972.5")),
    ]
    assert all(abs(item.received_at - item.occurred_at) < timedelta(minutes=1) for item in found)
    (asked,) = [item["target"] for item in double.requests]
    assert asked == f"{PREFIX}/marketdata/estimated_price/?symbol=BTC-USD&side=both&quantity=0.5,2"


def test_many_quantities_are_asked_in_parts(connector: RobinhoodConnector, double: Double) -> None:
    found = connector.estimated_prices("BTC-USD", [D(number) for number in range(1, 14)])
    assert (len(found), len(double.requests)) == (26, 2)
    assert connector.estimated_prices("BTC-USD", []) == ()
    assert len(double.requests) == 2


def test_no_price_is_estimated_for_what_is_no_quantity(connector: RobinhoodConnector, double: Double) -> None:
    assert connector.estimated_prices("NOPE-USD", [D(1)]) == ()
    double.requests.clear()
    for quantity in (D(0), D(-1), D("NaN"), D("Infinity")):
        with pytest.raises(Invalid, match="QUANTITY_NOT_POSITIVE"):
            connector.estimated_prices("BTC-USD", [D(1), quantity])
    assert double.requests == []


@pytest.mark.parametrize(
    ("state", "filled", "meant"),
    [
        ("open", "0", VenueOrderState.OPEN),
        ("canceled", "0.1", VenueOrderState.CANCELED),
        ("failed", "0.1", VenueOrderState.CANCELED),
        ("failed", "0", VenueOrderState.REJECTED),
        ("pending_review", "0", VenueOrderState.UNKNOWN),
    ],
)
def test_a_state_nobody_knows_is_not_final(state: str, filled: str, meant: VenueOrderState) -> None:
    assert parse.order(ORDERS[2] | {"state": state, "filled_asset_quantity": filled}).state is meant


def test_executions_are_fills_with_names_that_stay(connector: RobinhoodConnector) -> None:
    fills = connector.fills(venue_order_id=FILLED)
    assert [(fill.price, fill.quantity) for fill in fills] == [
        (D("59999.90"), D("0.1")),
        (D("59999.85"), D("0.1")),
        (D("59999.95"), D("0.1")),
    ]
    assert len({fill.venue_fill_id for fill in fills}) == 3
    shuffled = ORDERS[0] | {"executions": ORDERS[0]["executions"][::-1]}
    assert [fill.venue_fill_id for fill in parse.fills(shuffled)] == [fill.venue_fill_id for fill in fills]
    # An order made long before, and still open, is found by its state.
    lately = connector.fills(codes=["BTC-USD"], since=SINCE)
    assert {fill.venue_order_id for fill in lately} == {FILLED, OPEN_PARTLY}
    assert connector.fills(codes=["BTC-USD"], since=UNTIL) == ()
    with pytest.raises(Invalid, match="FILLS_FILTERS"):
        connector.fills(venue_order_id=FILLED, codes=["BTC-USD"])


def test_what_the_interface_has_not_is_said(connector: RobinhoodConnector) -> None:
    with pytest.raises(Invalid, match="VENUE_TELLS_NO_FEES"):
        connector.fee_rates()
    with pytest.raises(Invalid, match="VENUE_TELLS_NO_CANDLES"):
        connector.candles("BTC-USD", Granularity.ONE_HOUR, SINCE, UNTIL)


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        (400, "Missing required headers", Rejected),
        (401, "Unauthorized", CredentialsRefused),
        (403, "<html>", CredentialsRefused),
        (404, "Not Found", NotFound),
        (429, "slow down", RateLimited),
        (500, "oops", Unavailable),
        (302, "", Unavailable),
        (200, "not json", Unavailable),
        (200, '{"results": [1]}', Unavailable),
        (200, '{"results": [], "next": "https://elsewhere.example/"}', Unavailable),
    ],
)
def test_errors_in_plain_text(double: Double, status: int, text: str, error: type[Exception]) -> None:
    double.answers["/holdings/"] = [(status, text)] * 3
    client = RobinhoodClient(
        api_base=double.url, signer=Signer.of(api_key=API_KEY, secret=double.secret), deadline_s=1.0
    )
    connector = RobinhoodConnector(client=client, now=lambda: datetime.now(UTC))
    with closing(connector), pytest.raises(error) as raised:
        connector.balances()
    assert double.secret not in str(raised.value)


def test_what_may_pass_is_asked_again_and_what_may_not_is_not(connector: RobinhoodConnector, double: Double) -> None:
    double.answers["/holdings/"] = [(502, "Bad gateway")]
    assert connector.balances()
    double.requests.clear()
    double.answers["/accounts/"] = [(401, "Unauthorized")]
    with pytest.raises(CredentialsRefused):
        connector.permissions()
    assert len(double.requests) == 1


def test_the_signature_covers_key_time_path_query_and_method(double: Double) -> None:
    # The double verifies with the public key; here is what it would not have taken.
    signer = Signer.of(api_key=API_KEY, secret=double.secret)
    target = f"{PREFIX}/trading/orders/?symbol=BTC-USD"
    headers = {**signer.headers(target)}
    assert double.refusal(headers, target, "GET", "") is None
    assert double.refusal(headers, target.partition("?")[0], "GET", "") == (401, "Unauthorized")
    assert double.refusal(headers, target, "POST", "") == (401, "Unauthorized")
    assert double.refusal(headers, target, "GET", "{}") == (401, "Unauthorized")
    assert double.refusal({}, target, "GET", "") == (400, "Missing required headers")


def test_a_clock_that_is_off_is_refused_by_the_venue(double: Double) -> None:
    late = Signer.of(api_key=API_KEY, secret=double.secret, clock=lambda: datetime.now(UTC).timestamp() - 31)
    client = RobinhoodClient(api_base=double.url, signer=late)
    connector = RobinhoodConnector(client=client, now=lambda: datetime.now(UTC))
    with closing(connector), pytest.raises(CredentialsRefused) as raised:
        connector.permissions()
    assert "a signature lives 30 s" in raised.value.fix


def test_an_account_that_is_off_is_refused(connector: RobinhoodConnector, double: Double) -> None:
    double.answers["/accounts/"] = [(200, '{"results": [{"status": "deactivated"}], "next": null}')]
    with pytest.raises(CredentialsRefused, match="no account"):
        connector.permissions()


@pytest.mark.parametrize("secret", ["", "no key", "é", base64.b64encode(b"short").decode()])
def test_what_is_no_key_is_refused_and_not_quoted(secret: str) -> None:
    with pytest.raises(Misconfigured, match="VENUE_KEY_UNUSABLE") as raised:
        Signer.of(api_key=API_KEY, secret=secret)
    assert not secret or secret not in str(raised.value)


def test_a_key_of_another_kind_is_refused_and_an_ed25519_pem_is_taken(double: Double) -> None:
    pem = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(Misconfigured, match="no Ed25519"):
        Signer.of(api_key=API_KEY, secret=generate_private_key(SECP256R1()).private_bytes(*pem).decode())
    taken = Signer.of(api_key=API_KEY, secret=double.key.private_bytes(*pem).decode())
    assert double.refusal({**taken.headers("/x")}, "/x", "GET", "") is None
    with pytest.raises(Misconfigured):
        Signer.of(api_key="rh api", secret=double.secret)


def test_no_minute_sees_more_than_three_hundred_requests() -> None:
    clock = [0.0]
    limiter = limits.RateLimiter(clock=lambda: clock[0])
    sent: list[float] = []
    for tick in range(3 * 60 * 10):
        clock[0] = tick / 10
        for _ in range(50):
            try:
                limiter.acquire(deadline=clock[0])
            except RateLimited:
                break
            sent.append(clock[0])
    assert max(sum(1 for at in sent if begin <= at < begin + 60) for begin in range(120)) <= 300
    assert sum(1 for at in sent if 60 <= at < 120) == pytest.approx(100, abs=1), "and a hundred from then on"
    limiter.pause(10)
    clock[0] += 9
    with pytest.raises(RateLimited):
        limiter.acquire(deadline=clock[0])


def test_a_read_only_venue_claims_no_orders() -> None:
    assert {venue for venue in Venue if not venue.places_orders} == {Venue.ROBINHOOD}
    assert not RobinhoodConnector.capabilities.places_orders
    assert RobinhoodConnector.capabilities.order_terms == frozenset()


def test_no_code_of_the_package_sends_anything() -> None:
    """GET is the only method named, and the shared client is called in one place, with it."""
    methods, calls = set(), []
    for file in Path(package.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found = {"GET", "POST", "PUT", "PATCH", "DELETE"} & {node.value.upper()}
                methods |= found
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "exchange":
                calls.append({word.arg: word.value for word in node.keywords})
            assert not (isinstance(node, ast.Attribute) and node.attr in {"post", "put", "patch", "delete", "request"})
    assert methods == {"GET"}
    (only,) = calls
    assert isinstance(only["method"], ast.Constant)
    assert only["method"].value == "GET"
    assert "content" not in only


def test_whatever_is_called_only_reads_reach_the_venue(connector: RobinhoodConnector, double: Double) -> None:
    verbs = [name for name in dir(connector) if not name.startswith("_") and name not in {"client", "capabilities"}]
    for name in verbs:
        for arguments in ((), ([],), (b"{}",), (FILLED,), ("BTC-USD", [D(1)]), (["BTC-USD"], SINCE, UNTIL)):
            try:
                getattr(connector, name)(*arguments) if name != "close" else None
            except (TypeError, AttributeError, Invalid, Misconfigured, NotFound):
                continue
    assert len(double.requests) > 10
    assert {item["method"] for item in double.requests} == {"GET"}
    assert {item["body"] for item in double.requests} == {""}


def test_the_clock_of_an_answer_is_half_a_second_exact(connector: RobinhoodConnector) -> None:
    told = connector.server_time()
    assert abs(told.ahead_s) < 2
    assert told.at - datetime.now(UTC) < timedelta(seconds=2)


def test_a_venue_that_is_away_tells_no_time_and_breaks_nothing() -> None:
    with robinhood() as server:
        with closing(connector_to(server)) as there:
            assert abs(there.server_time().ahead_s) < 2
        away = connector_to(server)
    with closing(away), pytest.raises(Unavailable) as caught:
        away.server_time()
    assert caught.value.code == "VENUE_UNAVAILABLE"
