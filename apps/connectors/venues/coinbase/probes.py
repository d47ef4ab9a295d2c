"""Read-only questions to a real key: what coinbase.md section 9 leaves open and reading can answer.

Nothing here creates, changes or cancels anything. Answers are plain values, fit for JSON; no balance and no id of the
account is kept in them.
"""

import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path

from apps.common.decimals import decimal_text
from apps.common.errors import AikaError
from apps.connectors.venues.coinbase import parse, wire
from apps.connectors.venues.coinbase.client import CoinbaseClient, Params
from apps.connectors.venues.coinbase.connector import CoinbaseConnector
from apps.connectors.venues.http import TRANSPORT_ERRORS, Reply

BODY_START = 160
SAMPLE_CODE = "BTC-USD"
LIMIT_HEADERS = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "retry-after")
NOT_BEFORE_S = (-60, -30, -10, -5, 0, 5, 30)
EXPIRED_BY_S = (1, 10, 30)

Answer = Mapping[str, object]

# (name, path, params, where the rows are: "" is the answer itself)
_READS: tuple[tuple[str, str, Params, str], ...] = (
    ("time", "/time", (), ""),
    ("key_permissions", "/key_permissions", (), ""),
    ("accounts", "/accounts", (("limit", "5"),), "accounts"),
    ("portfolios", "/portfolios", (), "portfolios"),
    ("transaction_summary", "/transaction_summary", (("product_type", "SPOT"),), ""),
    ("products", "/products", (("limit", "2"), ("product_type", "SPOT")), "products"),
    ("product", f"/products/{SAMPLE_CODE}", (), ""),
    ("product_book", "/product_book", (("product_id", SAMPLE_CODE), ("limit", "1")), ""),
    ("best_bid_ask", "/best_bid_ask", (("product_ids", SAMPLE_CODE),), "pricebooks"),
    ("orders", "/orders/historical/batch", (("limit", "5"),), "orders"),
    ("fills", "/orders/historical/fills", (("limit", "5"),), "fills"),
)
NEEDS_MORE_THAN_READING = (
    "duplicate client_order_id: the same order or DUPLICATE_CLIENT_ORDER_ID, and for how long",
    "which reason field names insufficient funds",
    "delay until a new order and its fills can be read",
    "life of a preview_id and what it binds",
    "OAuth scopes, and an OAuth token on the user WebSocket",
    "the maker's side in REST market trades",
)


@cache
def expected_keys() -> Mapping[str, tuple[str, ...]]:
    """By read endpoint, the keys of one row as recorded payloads have them."""
    told = json.loads((Path(__file__).parent / "expected_keys.json").read_text())
    return {name: tuple(keys) for name, keys in told.items()}


def run(client: CoinbaseClient, connector: CoinbaseConnector) -> dict[str, object]:
    """Ask everything; the answers by question. One question that breaks does not stop the others."""
    return {
        "reads": {name: _shape(client, name, path, params, rows) for name, path, params, rows in _READS},
        "clock": _try(lambda: _clock(connector)),
        "permissions": _try(lambda: _permissions(connector)),
        "fees": _try(lambda: _fees(connector)),
        "not_found": _not_found(client),
        "list_defaults": _try(lambda: _list_defaults(client)),
        "token": _token(client),
        "paging": _try(lambda: _paging(client)),
        "needs_more_than_reading": list(NEEDS_MORE_THAN_READING),
    }


def warnings_of(answers: Mapping[str, object]) -> list[str]:
    """What an operator should look at, in sentences."""
    found: list[str] = []
    reads = answers.get("reads")
    for name, answer in reads.items() if isinstance(reads, Mapping) else ():
        if answer.get("status") != 200:
            found.append(f"{name}: status {answer.get('status')} {answer.get('error', '')}".strip())
        if answer.get("missing"):
            found.append(f"{name}: keys of the recorded payload are missing: {', '.join(answer['missing'])}")
        if answer.get("unexpected"):
            found.append(f"{name}: keys the recorded payload does not have: {', '.join(answer['unexpected'])}")
    permissions = answers.get("permissions")
    if isinstance(permissions, Mapping) and permissions.get("can_transfer"):
        found.append("The key may transfer money: Aika refuses it. Make one with view and trade only.")
    clock = answers.get("clock")
    if isinstance(clock, Mapping) and clock.get("within_5_s") is False:
        found.append(f"This machine's clock is {clock.get('ahead_s')} s off the venue's: tokens live only 120 s.")
    return found


def _ask(
    client: CoinbaseClient, path: str, params: Params = (), *, early_s: int | None = None, signed: bool = True
) -> Reply:
    attempt = client.attempt()
    if early_s is None:
        return client.raw("GET", path, params, attempt=attempt, signed=signed)
    return client.raw("GET", path, params, attempt=attempt, early_s=early_s, signed=signed)


def _try(question: Callable[[], Answer]) -> Answer:
    try:
        return question()
    except TRANSPORT_ERRORS as error:
        return {"error": type(error).__name__}
    except (AikaError, wire.Malformed) as error:
        return {"error": str(error)[:BODY_START]}


def _told(reply: Reply) -> dict[str, object]:
    """Status and form of an error, without more of the body than names the form."""
    error = wire.api_error(reply.body)
    return {
        "status": reply.status,
        "content_type": reply.headers.get("content-type", ""),
        "error_code": error.code if error else "",
        "body_start": reply.body[:BODY_START].decode(errors="replace") if reply.status >= 400 else "",
    }


def _shape(client: CoinbaseClient, name: str, path: str, params: Params, rows: str) -> Answer:
    def question() -> Answer:
        reply = _ask(client, path, params)
        answer = _told(reply)
        answer["rate_headers"] = {key: reply.headers[key] for key in LIMIT_HEADERS if key in reply.headers}
        if reply.status == 200:
            row = wire.decode(reply.body)
            answer |= _difference(name, wire.rows(row, rows) if rows else [row])
        return answer

    return _try(question)


def _difference(name: str, rows: Iterable[wire.Row]) -> dict[str, object]:
    keys = {str(key) for row in rows for key in row}
    if not keys:
        return {"rows": 0}
    expected = set(expected_keys()[name])
    return {"missing": sorted(expected - keys), "unexpected": sorted(keys - expected)}


def _clock(connector: CoinbaseConnector) -> Answer:
    told = connector.server_time()
    return {
        "ahead_s": decimal_text(told.ahead_s),
        "round_trip_s": decimal_text(told.round_trip_s),
        "within_5_s": abs(told.ahead_s) <= 5,
    }


def _permissions(connector: CoinbaseConnector) -> Answer:
    told = connector.permissions()
    return {"can_view": told.can_view, "can_trade": told.can_trade, "can_transfer": told.can_transfer}


def _fees(connector: CoinbaseConnector) -> Answer:
    rates = connector.fee_rates()
    return {"taker": decimal_text(rates.taker), "maker": decimal_text(rates.maker)}


def _not_found(client: CoinbaseClient) -> Answer:
    questions: Mapping[str, tuple[str, Params]] = {
        "unknown_order": (f"/orders/historical/{uuid.uuid4()}", ()),
        "malformed_order_id": ("/orders/historical/not-an-id", ()),
        "unknown_product": ("/products/NOPE-NOPE", ()),
        "unknown_product_quote": ("/best_bid_ask", (("product_ids", "NOPE-NOPE"),)),
        "unknown_path": ("/no-such-path", ()),
        "order_ids_with_other_filters": (
            "/orders/historical/fills",
            (("order_ids", str(uuid.uuid4())), ("product_ids", SAMPLE_CODE)),
        ),
        "too_many_candles": (
            f"/products/{SAMPLE_CODE}/candles",
            (("start", "1700000000"), ("end", "1700060000"), ("granularity", "ONE_MINUTE")),
        ),
    }
    answers: dict[str, object] = {
        name: _try(lambda path=path, params=params: _told(_ask(client, path, params)))  # type: ignore[misc]
        for name, (path, params) in questions.items()
    }
    answers["no_token"] = _try(lambda: _told(_ask(client, "/key_permissions", signed=False)))
    return answers


def _count(client: CoinbaseClient, params: Params) -> int:
    row = client.get("/orders/historical/batch", [("limit", "100"), *params])
    return len(wire.rows(row, "orders"))


def _list_defaults(client: CoinbaseClient) -> Answer:
    return {
        "first_page_default": _count(client, ()),
        "first_page_retail_advanced": _count(client, [("order_placement_source", "RETAIL_ADVANCED")]),
        "first_page_retail_simple": _count(client, [("order_placement_source", "RETAIL_SIMPLE")]),
        "first_page_open": _count(client, [("order_status", "OPEN")]),
        "first_page_plural_filter": _count(client, [("product_ids", SAMPLE_CODE)]),
        "first_page_singular_filter": _count(client, [("product_id", SAMPLE_CODE)]),
    }


def _token(client: CoinbaseClient) -> Answer:
    """How far off a token's times may be, and whether one token serves twice."""
    path = "/key_permissions"

    def status(early_s: int) -> Answer:
        return _try(lambda: {"status": _ask(client, path, early_s=early_s).status})

    def twice() -> Answer:
        token = client.token_for("GET", path)
        return {
            "first": client.raw("GET", path, attempt=client.attempt(), token=token).status,
            "second": client.raw("GET", path, attempt=client.attempt(), token=token).status,
        }

    return {
        "not_before_in_s": {str(-early): status(early) for early in NOT_BEFORE_S},
        "expired_since_s": {str(late): status(120 + late) for late in EXPIRED_BY_S},
        "same_token_twice": _try(twice),
    }


def _paging(client: CoinbaseClient) -> Answer:
    def codes(params: Params) -> list[str]:
        row = client.get("/products", [("product_type", "SPOT"), *params])
        return [wire.text_or_empty(item, "product_id") for item in wire.rows(row, "products") if parse.is_spot(item)]

    first = codes([("limit", "2")])
    second = codes([("limit", "2"), ("offset", "2")])
    return {"limit_honoured": len(first) <= 2, "offset_honoured": bool(second) and not set(first) & set(second)}
