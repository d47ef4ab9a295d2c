"""Read-only questions to a real key: whether the reads answer as coinbase.md 8 says, and how far its clock is off.

Answers are plain values, fit for JSON; no balance and no id of the account is kept in them.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from apps.common.decimals import decimal_text
from apps.common.errors import AikaError
from apps.connectors.types import Side, Venue
from apps.connectors.venues import rows
from apps.connectors.venues.http import TRANSPORT_ERRORS
from apps.connectors.venues.robinhood import connector as verbs
from apps.connectors.venues.robinhood import parse
from apps.connectors.venues.robinhood.client import Params, RobinhoodClient, said
from apps.connectors.venues.robinhood.connector import RobinhoodConnector

SAMPLE_CODE: Final = "BTC-USD"
SAMPLE_QUANTITY: Final = Decimal("0.01")
NEEDS_MORE_THAN_READING: Final = (
    "whether the key may also trade: the interface does not say, and Aika never tries",
    "fee rates and candles: the interface has none",
)
# By read, its path, its parameters, and the keys a row is known to have.
_READS: tuple[tuple[str, str, Params, tuple[str, ...]], ...] = (
    ("accounts", verbs.ACCOUNTS, (), ("account_number", "status", "buying_power", "buying_power_currency")),
    (
        "holdings",
        verbs.HOLDINGS,
        (),
        ("account_number", "asset_code", "total_quantity", "quantity_available_for_trading"),
    ),
    (
        "trading_pairs",
        verbs.PAIRS,
        (("symbol", SAMPLE_CODE),),
        (
            *("symbol", "asset_code", "quote_code", "quote_increment", "asset_increment"),
            *("min_order_size", "max_order_size", "status"),
        ),
    ),
    (
        "best_bid_ask",
        verbs.BEST_BID_ASK,
        (("symbol", SAMPLE_CODE),),
        ("symbol", "bid_inclusive_of_sell_spread", "ask_inclusive_of_buy_spread", "timestamp"),
    ),
    (
        "estimated_price",
        verbs.ESTIMATED_PRICE,
        (("symbol", SAMPLE_CODE), ("side", "both"), ("quantity", decimal_text(SAMPLE_QUANTITY))),
        ("symbol", "side", "quantity", "bid_inclusive_of_sell_spread", "ask_inclusive_of_buy_spread", "timestamp"),
    ),
    (
        "orders",
        verbs.ORDERS,
        (("limit", "5"),),
        ("id", "client_order_id", "symbol", "side", "type", "state", "filled_asset_quantity", "executions"),
    ),
)

Answer = Mapping[str, object]


def run(client: RobinhoodClient, connector: RobinhoodConnector) -> dict[str, object]:
    """Ask everything; the answers by question. One question that breaks does not stop the others."""
    return {
        "venue": Venue.ROBINHOOD.value,
        "trading": Venue.ROBINHOOD.trading_words,
        "reads": {name: _try(_shape(client, path, params, keys)) for name, path, params, keys in _READS},
        "cost": _try(lambda: _cost(connector)),
        "clock": _try(lambda: _clock(connector)),
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
            found.append(f"{name}: keys that are read are missing: {', '.join(answer['missing'])}")
    clock = answers.get("clock")
    if isinstance(clock, Mapping) and clock.get("within_5_s") is False:
        found.append(f"This machine's clock is {clock.get('ahead_s')} s off the venue's: a signature lives only 30 s.")
    return found


def _try(question: Callable[[], Answer]) -> Answer:
    try:
        return question()
    except TRANSPORT_ERRORS as error:
        return {"error": type(error).__name__}
    except (AikaError, rows.Malformed) as error:
        return {"error": str(error)[:160]}


def _shape(client: RobinhoodClient, path: str, params: Params, keys: tuple[str, ...]) -> Callable[[], Answer]:
    def ask() -> Answer:
        reply = client.raw(path, params, attempt=client.attempt())
        if reply.status != 200:
            return {"status": reply.status, "error": said(reply)}
        found = parse.accounts(rows.decode(reply.body))
        told = {str(key) for row in found for key in row}
        missing = sorted(set(keys) - told) if found else []
        return {"status": reply.status, "rows": len(found), "missing": missing}

    return ask


def _cost(connector: RobinhoodConnector) -> Answer:
    """What the venue's spread takes of a purchase that is sold at once: there are no other fees."""
    told = {item.side: item.price for item in connector.estimated_prices(SAMPLE_CODE, [SAMPLE_QUANTITY])}
    buy, sell = told.get(Side.BUY), told.get(Side.SELL)
    if buy is None or sell is None:
        return {"error": f"{SAMPLE_CODE}: the venue estimates no two sides"}
    return {
        "instrument": SAMPLE_CODE,
        "quantity": decimal_text(SAMPLE_QUANTITY),
        "buy_price": decimal_text(buy),
        "sell_price": decimal_text(sell),
        "there_and_back_bps": decimal_text(((buy - sell) * 10_000 / buy).quantize(Decimal("0.1"))),
    }


def _clock(connector: RobinhoodConnector) -> Answer:
    told = connector.server_time()
    return {
        "ahead_s": decimal_text(told.ahead_s),
        "round_trip_s": decimal_text(told.round_trip_s),
        "within_5_s": abs(told.ahead_s) <= 5,
    }
