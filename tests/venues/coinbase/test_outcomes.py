"""What a sent order's fate is called, for every way in which an exchange can end. Real sockets on both sides."""

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal as D

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from apps.common.errors import AikaError, Invalid, Misconfigured, OutcomeUnknown, Unavailable
from apps.connectors.errors import AlreadyExists, CredentialsRefused, Mismatch, RateLimited, Rejected
from apps.connectors.services import venue
from apps.connectors.types import OrderRequest, OrderType, Side, TimeInForce
from apps.connectors.venues import http
from apps.connectors.venues.coinbase.auth import Signer
from apps.connectors.venues.coinbase.client import CoinbaseClient
from apps.connectors.venues.coinbase.connector import CoinbaseConnector
from tests.venues.coinbase.payloads import raw
from tests.venues.socket_server import Behaviour, answer, saying, serving

REQUEST = OrderRequest("12345678", "BTC-USD", Side.BUY, OrderType.MARKET, TimeInForce.IOC, quote_quantity=D(1))
BODY = venue.order_body("coinbase", REQUEST)
SUCCESS = json.loads(raw("rest_create_order_success"))
DEADLINE_S = 0.6


def connector(url: str, *, deadline_s: float = DEADLINE_S, may_place: bool = True) -> CoinbaseConnector:
    signer = Signer(key_name="key", key=Ed25519PrivateKey.generate())
    return CoinbaseConnector(
        client=CoinbaseClient(api_base=url, signer=signer, deadline_s=deadline_s),
        now=lambda: datetime.now(UTC),
        may_place=may_place,
    )


@pytest.fixture(autouse=True)
def quick_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BACKOFF_S", 0.01)


def without(body: dict[str, object], *path: str) -> dict[str, object]:
    copy: dict[str, object] = json.loads(json.dumps(body))
    within: dict[str, object] = copy
    for name in path[:-1]:
        within = within[name]  # type: ignore[assignment]
    del within[path[-1]]
    return copy


def success(**changes: object) -> Behaviour:
    """A success with these fields of its success_response changed."""
    return saying(answer(200, SUCCESS | {"success_response": SUCCESS["success_response"] | changes}))


def configured(configuration: object) -> Behaviour:
    return saying(answer(200, SUCCESS | {"order_configuration": configuration}))


def failed(error: str) -> Behaviour:
    return saying(answer(200, {"success": False, "error_response": {"error": error}}))


def cut(*path: str) -> Behaviour:
    return saying(answer(200, without(SUCCESS, *path)))


def reset(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def silent(peer: socket.socket) -> None:
    time.sleep(DEADLINE_S * 1.5)


def dripping(data: bytes) -> Behaviour:
    """A good answer, a byte before each read times out: only a total deadline keeps it from arriving."""

    def behave(peer: socket.socket) -> None:
        for byte in data:
            peer.sendall(bytes([byte]))
            time.sleep(0.03)

    return behave


GOOD = answer(200, SUCCESS)
REFUSED = {"success": False, "error_response": {"error": "INSUFFICIENT_FUND", "message": "no"}}

TABLE: list[tuple[str, Behaviour, type[Exception]]] = [
    ("refused by the venue", saying(answer(200, REFUSED)), Rejected),
    ("duplicate", failed("DUPLICATE_CLIENT_ORDER_ID"), AlreadyExists),
    ("duplicate with 400", saying(answer(400, {"error": "DUPLICATE_CLIENT_ORDER_ID", "message": "x"})), AlreadyExists),
    ("another order", success(side="SELL"), Mismatch),
    ("400 documented", saying(answer(400, raw("rest_error_400_invalid_argument"))), Rejected),
    ("400 success false", saying(answer(400, REFUSED)), Rejected),
    ("400 of the gateway", saying(answer(400, {"error": "invalid", "code": 3, "message": "x"})), Rejected),
    ("400 that is ambiguous", saying(answer(400, {"error": "INTERNAL", "message": "x"})), OutcomeUnknown),
    ("400 html", saying(answer(400, b"<html>bad</html>")), OutcomeUnknown),
    ("401 plain", saying(answer(401, b"Unauthorized")), CredentialsRefused),
    ("403 documented", saying(answer(403, raw("rest_error_403_missing_scopes"))), CredentialsRefused),
    ("403 html", saying(answer(403, b"<html>blocked</html>")), OutcomeUnknown),
    ("404 documented", saying(answer(404, raw("rest_error_404_order"))), OutcomeUnknown),
    ("404 html", saying(answer(404, b"<html>")), OutcomeUnknown),
    ("408", saying(answer(408, {"error": "x", "message": "x"})), OutcomeUnknown),
    ("409", saying(answer(409, {"error": "x", "message": "x"})), OutcomeUnknown),
    ("429 documented", saying(answer(429, raw("rest_error_429"))), RateLimited),
    ("429 html", saying(answer(429, b"<html>")), OutcomeUnknown),
    ("500", saying(answer(500, {"errors": [{"id": "internal_error", "message": "x"}]})), OutcomeUnknown),
    ("500 that says it failed", saying(answer(500, REFUSED)), OutcomeUnknown),
    ("502 html", saying(answer(502, b"<html>go/sg/1</html>")), OutcomeUnknown),
    ("503 empty", saying(answer(503, b"")), OutcomeUnknown),
    ("301", saying(answer(301, b"", headers="location: http://127.0.0.1:1/\r\n")), OutcomeUnknown),
    ("307", saying(answer(307, b"", headers="location: http://127.0.0.1:1/\r\n")), OutcomeUnknown),
    ("202 success", saying(answer(202, SUCCESS)), OutcomeUnknown),
    ("204", saying(b"HTTP/1.1 204 X\r\n\r\n"), OutcomeUnknown),
    ("200 empty", saying(answer(200, b"")), OutcomeUnknown),
    ("200 html", saying(answer(200, b"<html></html>")), OutcomeUnknown),
    ("200 null", saying(answer(200, b"null")), OutcomeUnknown),
    ("200 list", saying(answer(200, b"[]")), OutcomeUnknown),
    ("200 not utf-8", saying(answer(200, b"\xff\xfe{}")), OutcomeUnknown),
    ("200 truncated json", saying(answer(200, raw("rest_create_order_success")[:-40])), OutcomeUnknown),
    ("200 deep json", saying(answer(200, b"[" * 50_000)), OutcomeUnknown),
    ("200 huge integer", saying(answer(200, b'{"success":true,"n":' + b"9" * 5000 + b"}")), OutcomeUnknown),
    ("200 success twice", saying(answer(200, b'{"success":true,"success":false}')), OutcomeUnknown),
    ("no success field", cut("success"), OutcomeUnknown),
    ("success as text", saying(answer(200, SUCCESS | {"success": "true"})), OutcomeUnknown),
    ("success null", saying(answer(200, SUCCESS | {"success": None})), OutcomeUnknown),
    ("no success_response", cut("success_response"), OutcomeUnknown),
    ("no order id", cut("success_response", "order_id"), OutcomeUnknown),
    ("empty order id", success(order_id=""), OutcomeUnknown),
    ("no client order id", cut("success_response", "client_order_id"), OutcomeUnknown),
    ("no product", cut("success_response", "product_id"), OutcomeUnknown),
    ("unknown side", success(side="HOLD"), OutcomeUnknown),
    ("configuration of another type", configured("x"), OutcomeUnknown),
    ("terms of another type", configured({"market_market_ioc": 5}), OutcomeUnknown),
    ("false without reason", saying(answer(200, {"success": False})), OutcomeUnknown),
    ("false with nothing said", failed("UNKNOWN_FAILURE_REASON"), OutcomeUnknown),
    ("false that is ambiguous", failed("DEADLINE_EXCEEDED"), OutcomeUnknown),
    ("false with an order id", saying(answer(200, REFUSED | {"order_id": "o-1"})), OutcomeUnknown),
    ("closed without an answer", saying(b""), OutcomeUnknown),
    ("reset", reset, OutcomeUnknown),
    ("half a head", saying(b"HTTP/1.1 200 X\r\ncontent-le"), OutcomeUnknown),
    ("half a body", saying(GOOD[:-20]), OutcomeUnknown),
    ("not http", saying(b"SSH-2.0-OpenSSH\r\n"), OutcomeUnknown),
    ("bad chunks", saying(b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"), OutcomeUnknown),
    ("compressed unasked", saying(answer(200, b"\x1f\x8b\x08", headers="content-encoding: gzip\r\n")), OutcomeUnknown),
    ("endless head", saying(b"HTTP/1.1 200 X\r\n" + b"x-pad: y\r\n" * 60_000), OutcomeUnknown),
    ("silence", silent, OutcomeUnknown),
    ("a byte at a time", dripping(GOOD), OutcomeUnknown),
]  # fmt: skip


@pytest.mark.parametrize(("behave", "kind"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_place_order(behave: Behaviour, kind: type[Exception]) -> None:
    with serving(behave) as server, closing(connector(server.url)) as placing, pytest.raises(AikaError) as raised:
        placing.place_order(BODY)
    assert type(raised.value) is kind
    assert len(server.requests) == 1, "a create is sent once"
    assert server.requests[0].endswith(b"\r\n\r\n" + BODY), "and it is exactly these bytes"


def test_place_order_accepted_on_the_same_server() -> None:
    with serving(saying(GOOD)) as server, closing(connector(server.url)) as placing:
        placed = placing.place_order(BODY)
    assert placed.venue_order_id == SUCCESS["success_response"]["order_id"]
    assert server.requests[0].endswith(b"\r\n\r\n" + BODY)
    assert b"authorization: bearer " in server.requests[0].lower()


def test_too_long_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "RESPONSE_BYTES_MAX", 50)
    with serving(saying(GOOD)) as server, closing(connector(server.url)) as placing:
        with pytest.raises(OutcomeUnknown):
            placing.place_order(BODY)
        with pytest.raises(Unavailable):
            placing.permissions()


def test_an_error_of_our_own_after_sending_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("apps.connectors.venues.coinbase.answers.placement_of", broken)
    with serving(saying(GOOD)) as server, closing(connector(server.url)) as placing, pytest.raises(OutcomeUnknown):
        placing.place_order(BODY)


# --- before the first byte -------------------------------------------------------------------------------------------


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    yield port


def test_connection_refused_is_nothing_sent(closed_port: int) -> None:
    with closing(connector(f"http://127.0.0.1:{closed_port}")) as placing, pytest.raises(Unavailable) as raised:
        placing.place_order(BODY)
    assert type(raised.value) is Unavailable


def test_no_such_host_is_nothing_sent() -> None:
    with closing(connector("https://no-such-host.invalid")) as placing, pytest.raises(Unavailable) as raised:
        placing.place_order(BODY)
    assert type(raised.value) is Unavailable


def test_tls_that_fails_is_nothing_sent() -> None:
    def plain(peer: socket.socket) -> None:
        """Never reached with a request: the handshake is no HTTP."""

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def not_tls() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(1024)
                peer.sendall(b"HTTP/1.1 400 plain\r\n\r\n")

        thread = threading.Thread(target=not_tls, daemon=True)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with closing(connector(url)) as placing, pytest.raises(Unavailable) as raised:
            placing.place_order(BODY)
        thread.join(2)
    assert type(raised.value) is Unavailable


def test_a_deadline_that_is_over_before_writing_is_nothing_sent() -> None:
    with serving(saying(GOOD)) as server, closing(connector(server.url, deadline_s=0.0)) as placing:
        with pytest.raises(Unavailable):
            placing.place_order(BODY)
        assert server.requests == []


def test_a_signature_that_fails_is_nothing_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **kwargs: object) -> str:
        raise ValueError("no signature today")

    monkeypatch.setattr(Signer, "token", broken)
    with serving(saying(GOOD)) as server, closing(connector(server.url)) as placing:
        with pytest.raises(Unavailable):
            placing.place_order(BODY)
        assert server.requests == []


@pytest.mark.parametrize("body", [b"", b"{}", b"not json", b'{"client_order_id":"1","product_id":"X","side":"BUY"}'])
def test_bytes_that_are_no_order_are_not_sent(body: bytes) -> None:
    with serving(saying(GOOD)) as server, closing(connector(server.url)) as placing:
        with pytest.raises(Invalid):
            placing.place_order(body)
        assert server.requests == []


def test_an_inactive_connection_sends_no_order_but_reads() -> None:
    def behave(peer: socket.socket) -> None:
        peer.sendall(answer(200, raw("rest_key_permissions")))

    with serving(behave) as server, closing(connector(server.url, may_place=False)) as placing:
        with pytest.raises(Misconfigured, match="CONNECTION_INACTIVE"):
            placing.place_order(BODY)
        assert placing.permissions().can_view
    assert len(server.requests) == 1


# --- reads, cancels and previews -------------------------------------------------------------------------------------


def in_turn(*behaviours: Behaviour) -> Behaviour:
    left = list(behaviours)

    def behave(peer: socket.socket) -> None:
        left.pop(0)(peer)

    return behave


@pytest.mark.parametrize(
    "first", [saying(b""), saying(answer(502, b"<html>")), saying(answer(200, b"<html>")), saying(answer(500, b""))]
)
def test_a_read_is_tried_again(first: Behaviour) -> None:
    with serving(in_turn(first, saying(answer(200, raw("rest_key_permissions"))))) as server:
        with closing(connector(server.url, deadline_s=5)) as reading:
            assert reading.permissions().can_view
        assert len(server.requests) == 2


def test_reads_give_up_after_three_tries() -> None:
    with serving(saying(answer(503, b""))) as server, closing(connector(server.url, deadline_s=5)) as reading:
        with pytest.raises(Unavailable):
            reading.permissions()
        assert len(server.requests) == 3


def test_a_read_that_is_refused_is_not_tried_again() -> None:
    with serving(saying(answer(401, b"Unauthorized"))) as server, closing(connector(server.url)) as reading:
        with pytest.raises(CredentialsRefused):
            reading.permissions()
        assert len(server.requests) == 1


def test_a_dripping_read_ends_at_the_deadline() -> None:
    good = answer(200, raw("rest_key_permissions"))
    with serving(dripping(good)) as server, closing(connector(server.url)) as reading, pytest.raises(Unavailable):
        reading.permissions()


@pytest.mark.parametrize(
    ("behave", "kind"),
    [
        (saying(b""), OutcomeUnknown),
        (saying(answer(502, b"<html>")), OutcomeUnknown),
        (saying(answer(200, b"<html>")), OutcomeUnknown),
        (
            saying(answer(400, {"error": "InvalidArgument", "message": "Too many orderIDs entered, limit is 100"})),
            Rejected,
        ),
        (saying(answer(429, raw("rest_error_429"))), RateLimited),
    ],
)
def test_cancel(behave: Behaviour, kind: type[Exception]) -> None:
    with serving(behave) as server, closing(connector(server.url)) as placing:
        with pytest.raises(AikaError) as raised:
            placing.cancel_orders(["o-1", "", "o-1"])
        assert type(raised.value) is kind
        assert [json.loads(item.partition(b"\r\n\r\n")[2]) for item in server.requests] == [{"order_ids": ["o-1"]}]


def test_cancel_of_nothing_asks_nothing() -> None:
    with serving(saying(b"")) as server, closing(connector(server.url)) as placing:
        assert placing.cancel_orders(["", ""]) == ()
        assert server.requests == []


def test_a_preview_that_breaks_changed_nothing() -> None:
    with serving(saying(b"")) as server, closing(connector(server.url)) as placing, pytest.raises(Unavailable):
        placing.preview(REQUEST)


# --- lists -----------------------------------------------------------------------------------------------------------


def pages(*bodies: object) -> Behaviour:
    left = list(bodies)

    def behave(peer: socket.socket) -> None:
        peer.sendall(answer(200, left.pop(0) if len(left) > 1 else left[0]))

    return behave


def test_fills_follow_the_cursor_until_it_is_empty() -> None:
    rows = json.loads(raw("rest_list_fills"))["fills"]
    told = pages({"fills": rows[:1], "cursor": "a+b="}, {"fills": rows[1:] + rows[:1], "cursor": ""})
    with serving(told) as server, closing(connector(server.url)) as reading:
        fills = reading.fills(venue_order_id="0000-000000-000000")
    assert [fill.occurred_at for fill in fills] == sorted(fill.occurred_at for fill in fills)
    assert len(fills) == 2
    first, second = (item.split(b" ")[1] for item in server.requests)
    assert b"order_ids=0000" in first
    assert b"product_ids" not in first
    assert second.endswith(b"cursor=a%2Bb%3D")


def test_a_cursor_that_goes_round_is_no_answer() -> None:
    rows = json.loads(raw("rest_list_fills"))["fills"]
    round_trip = pages({"fills": rows, "cursor": "again"})
    with (
        serving(round_trip) as server,
        closing(connector(server.url)) as reading,
        pytest.raises(Unavailable, match="VENUE_LIST_INCOMPLETE"),
    ):
        reading.fills(codes=["BTC-USD"])


def test_orders_ask_for_every_state_and_both_sources() -> None:
    with serving(pages(json.loads(raw("rest_list_orders")))) as server, closing(connector(server.url)) as reading:
        since, until = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)
        orders = reading.orders(["BTC-USD", "ETH-USD"], since, until)
    assert [order.instrument for order in orders] == ["ETH-USD", "BTC-USD"], "newest first"
    targets = [item.split(b" ")[1] for item in server.requests]
    assert [b"RETAIL_ADVANCED" in targets[0], b"RETAIL_SIMPLE" in targets[1]] == [True, True]
    assert all(b"order_status" not in target for target in targets)
    assert all(b"product_ids=BTC-USD&product_ids=ETH-USD" in target for target in targets)


def test_a_withheld_list_is_no_empty_list() -> None:
    withheld = {"orders": [], "has_next": False, "cursor": "", "proof_token_required": True}
    with (
        serving(pages(withheld)) as server,
        closing(connector(server.url)) as reading,
        pytest.raises(Misconfigured, match="VENUE_PROOF_TOKEN"),
    ):
        reading.orders([], datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC))


def test_the_two_ways_to_ask_for_fills_are_not_mixed() -> None:
    with serving(saying(b"")) as server, closing(connector(server.url)) as reading:
        with pytest.raises(Invalid):
            reading.fills(venue_order_id="1", codes=["BTC-USD"])
        assert server.requests == []
