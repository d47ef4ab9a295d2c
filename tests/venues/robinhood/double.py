"""Robinhood as tests meet it: an HTTP server on a real socket that checks every signature with the public key.

It answers as coinbase.md section 8 says. No payload is captured: rows are put together from the fields named there.
"""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

API_KEY = "rh-api-6148effc-c0b1-486c-8940-a1d099456be6"
PREFIX = "/api/v1/crypto"
VALID_S = 30
PAGE = 2
ESTIMATES_MAX = 10

PAIRS = [
    {
        "symbol": f"{base}-USD",
        "asset_code": base,
        "quote_code": "USD",
        "quote_increment": "0.01",
        "asset_increment": step,
        "min_order_size": step,
        "max_order_size": most,
        "status": status,
    }
    for base, step, most, status in (
        ("BTC", "0.00000001", "20.0000000000000000", "tradable"),
        ("DOGE", "0.01", "2000000", "tradable"),
        ("ETH", "0.000001", "300", "untradable"),
    )
]
HOLDINGS = [
    # Numbers, not texts: both are met, by version.
    '{"account_number": "1234", "asset_code": "BTC", "total_quantity": 0.123456789012345678,'
    ' "quantity_available_for_trading": 0.100000000000000001}',
    '{"account_number": "1234", "asset_code": "DOGE", "total_quantity": "1000.50",'
    ' "quantity_available_for_trading": "1000.50"}',
    '{"account_number": "1234", "asset_code": "ETH", "total_quantity": 2, "quantity_available_for_trading": 2}',
]
FILLED, OPEN_PARTLY, FAILED, OF_DOGE = (
    "497f6eca-6276-4993-bfeb-53cbbbba6f08",
    "697f6eca-6276-4993-bfeb-53cbbbba6f09",
    "797f6eca-6276-4993-bfeb-53cbbbba6f10",
    "897f6eca-6276-4993-bfeb-53cbbbba6f11",
)


def order(identifier: str, state: str, created_at: str, **changes: object) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": identifier,
        "account_number": "1234",
        "symbol": "BTC-USD",
        "client_order_id": f"11299b2b-61e3-43e7-b9f7-dee77210bb{identifier[0]}9",
        "side": "buy",
        "type": "limit",
        "state": state,
        "average_price": None,
        "filled_asset_quantity": "0",
        "created_at": created_at,
        "updated_at": created_at,
        "executions": [],
        "limit_order_config": {"asset_quantity": "0.5", "limit_price": "60000.10", "time_in_force": "gtc"},
    }
    return row | changes


def executions(*rows: tuple[str, str, str]) -> list[dict[str, str]]:
    return [{"effective_price": price, "quantity": quantity, "timestamp": at} for price, quantity, at in rows]


ORDERS = [
    order(
        FILLED,
        "filled",
        "2026-11-20T10:00:00.123456Z",
        type="market",
        market_order_config={"asset_quantity": "0.3"},
        average_price="59999.90",
        filled_asset_quantity="0.3",
        executions=executions(
            ("59999.95", "0.1", "2026-11-20T10:00:01.500000Z"),
            ("59999.85", "0.1", "2026-11-20T10:00:01.500000Z"),
            ("59999.90", "0.1", "2026-11-20T10:00:01.100000Z"),
        ),
    ),
    order(
        OPEN_PARTLY,
        "partially_filled",
        "2026-01-02T10:00:00Z",
        average_price=60000,
        filled_asset_quantity="0.2",
        executions=executions(("60000", "0.2", "2026-11-21T08:00:00Z")),
    ),
    order(FAILED, "failed", "2026-11-21T11:00:00Z", side="sell"),
    order(OF_DOGE, "canceled", "2026-11-21T12:00:00Z", symbol="DOGE-USD"),
]


@dataclass
class Double:
    """The server's strings: what it heard in `requests`, and `answers` to give instead, by the end of a path."""

    url: str = ""
    secret: str = field(default="", repr=False)
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate, repr=False)
    requests: list[dict[str, Any]] = field(default_factory=list)
    answers: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    mid: str = "60000"

    def __post_init__(self) -> None:
        raw = self.key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        self.secret = base64.b64encode(raw).decode()

    def pin_price(self, instrument: str, mid: object) -> None:
        self.mid = str(mid)

    def refusal(self, headers: Any, target: str, method: str, body: str) -> tuple[int, str] | None:
        """What section 8 says of a request that is not signed as it must be."""
        named = [headers.get(name) for name in ("x-api-key", "x-timestamp", "x-signature")]
        if any(value is None for value in named):
            return 400, "Missing required headers"
        api_key, timestamp, signature = named
        if api_key != API_KEY or abs(time.time() - int(timestamp)) > VALID_S:
            return 401, "Unauthorized"
        try:
            message = f"{api_key}{timestamp}{target}{method}{body}".encode()
            self.key.public_key().verify(base64.b64decode(signature), message)
        except InvalidSignature:
            return 401, "Unauthorized"
        return None

    def answer(self, target: str) -> tuple[int, str]:
        parts = urlsplit(target)
        path, query = parts.path.removeprefix(PREFIX), parse_qs(parts.query)
        planned = next((told for end, told in self.answers.items() if path.endswith(end) and told), None)
        if planned:
            return planned.pop(0)
        if path == "/trading/accounts/":
            account = {
                "account_number": "1234",
                "status": "active",
                "buying_power": "5000.01",
                "buying_power_currency": "USD",
            }
            return 200, json.dumps(account)
        if path == "/trading/holdings/":
            return self.page(target, HOLDINGS, query)
        if path == "/trading/trading_pairs/":
            return self.page(target, [json.dumps(row) for row in PAIRS], query)
        if path == "/marketdata/best_bid_ask/":
            return self.quotes(query["symbol"])
        if path == "/marketdata/estimated_price/":
            return self.estimates(query["symbol"][0], query["side"][0], query["quantity"][0].split(","))
        if path == "/trading/orders/":
            return self.page(target, [json.dumps(row) for row in ORDERS if _wanted(row, query)], query)
        found = [row for row in ORDERS if path == f"/trading/orders/{row['id']}/"]
        return (200, json.dumps(found[0])) if found else (404, "Not Found")

    def quotes(self, symbols: list[str]) -> tuple[int, str]:
        if set(symbols) - {"BTC-USD", "DOGE-USD"}:
            return 400, "Invalid symbol"
        now, mid = datetime.now(UTC), float(self.mid)
        found = [
            {
                "symbol": symbol,
                "price": mid,
                "bid_inclusive_of_sell_spread": mid - 25.5,
                "sell_spread": "0.0085",
                "ask_inclusive_of_buy_spread": mid + 25.5,
                "buy_spread": "0.0085",
                "timestamp": f"{now:%Y-%m-%dT%H:%M:%S.%f}000Z",
            }
            for symbol in symbols
        ]
        return 200, json.dumps({"results": found})

    def estimates(self, symbol: str, side: str, quantities: list[str]) -> tuple[int, str]:
        """The more is traded, the further the price from the middle."""
        if symbol not in {"BTC-USD", "DOGE-USD"}:
            return 400, "Invalid symbol"
        if len(quantities) > ESTIMATES_MAX:
            return 400, "Too many quantities"
        found = [
            {
                "symbol": symbol,
                "side": one,
                "price": float(self.mid),
                "quantity": quantity,
                "bid_inclusive_of_sell_spread": float(self.mid) - 25.5 - float(quantity),
                "sell_spread": "0.0085",
                "ask_inclusive_of_buy_spread": float(self.mid) + 25.5 + float(quantity),
                "buy_spread": "0.0085",
                "timestamp": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}000Z",
            }
            for one in (("bid", "ask") if side == "both" else (side,))
            for quantity in quantities
        ]
        return 200, json.dumps({"results": found})

    @staticmethod
    def page(target: str, rows: list[str], query: dict[str, list[str]]) -> tuple[int, str]:
        begin = int(query.get("cursor", ["0"])[0])
        path = target.partition("?")[0]
        link = f'"https://elsewhere.example{path}?cursor={begin + PAGE}"' if begin + PAGE < len(rows) else "null"
        return 200, f'{{"next": {link}, "previous": null, "results": [{", ".join(rows[begin : begin + PAGE])}]}}'


def _wanted(row: dict[str, Any], query: dict[str, list[str]]) -> bool:
    created = row["created_at"]
    return (
        row["symbol"] == query.get("symbol", [row["symbol"]])[-1]  # a filter by one: of several the last counts
        and row["state"] in query.get("state", [row["state"]])
        and query.get("created_at_start", [""])[0] <= created < query.get("created_at_end", ["9"])[0]
    )


@contextmanager
def robinhood() -> Iterator[Double]:
    """The double on a free port of this machine, until the block ends."""
    double = Double()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
            double.requests.append({"method": self.command, "target": self.path, "body": body})
            status, text = double.refusal(self.headers, self.path, self.command, body) or double.answer(self.path)
            self.send_response(status)
            self.send_header("content-length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        double.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield double
        finally:
            server.shutdown()
