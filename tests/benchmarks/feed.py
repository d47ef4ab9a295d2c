"""`feed`: market messages from their text to the price cache, beside orjson parsing the same texts and nothing else."""

import gc
import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson

from apps.connectors.stream_types import Live
from apps.connectors.venues.coinbase import messages
from apps.connectors.venues.coinbase.unread import Skim
from apps.quotes.services import quotes
from apps.quotes.services.feed_board import Board, Ear
from tests.benchmarks.report import Found, Row

RUNS = 7
MESSAGES = 40_000
CONNECTION = UUID("7f0c2f4e-7a55-4f52-9f0d-0a6a5b0f1c11")
MARKET = "coinbase|http://localhost:1"


def texts(count: int, instruments: int) -> list[str]:
    """Tickers as the venue sends them, one a message, of each instrument in turn, and a heartbeat now and then."""
    found = []
    # By a clock ahead of ours: on a busy machine none must be late, and so not be taken.
    now = datetime.now(UTC) + timedelta(minutes=1)
    for number in range(count):
        head = {
            "channel": "ticker",
            "client_id": "",
            "timestamp": f"{now + timedelta(microseconds=number):%Y-%m-%dT%H:%M:%S.%f}090Z",
            "sequence_num": number,
        }
        if number % 500 == 499:
            events = [{"current_time": "2026-11-29 01:00:00 +0000 UTC m=+1", "heartbeat_counter": number}]
            found.append(json.dumps(head | {"channel": "heartbeats", "events": events}))
            continue
        price = 64_000 + number % 977
        row = {
            "type": "ticker",
            "product_id": f"X{number * 7919 % instruments:04}-USD",
            "price": f"{price}.98",
            "volume_24_h": "16038.28770938",
            "low_24_h": "61835.29",
            "high_24_h": "65011.18",
            "low_52_w": "15460",
            "high_52_w": "73577.21",
            "price_percent_chg_24_h": "-4.15775596190603",
            "best_bid": f"{price}.97",
            "best_bid_quantity": "0.38770938",
            "best_ask": f"{price}.99",
            "best_ask_quantity": "8.07770938",
        }
        found.append(json.dumps(head | {"events": [{"type": "update", "tickers": [row]}]}))
    return found


def through(told: Sequence[str], per_flush: int) -> Callable[[], int]:
    """What the feed does with each message: read, counted, heard; and passed on after every `per_flush` of them."""
    board = Board(MARKET, [CONNECTION], holder="benchmark", now=datetime.now(UTC))
    ear = Ear("benchmark")
    ear.hear(Live(datetime.now(UTC)))
    board.listen_to([ear])

    def work() -> int:
        numbers = messages.Numbers()
        skim = Skim(numbers)
        for count, text in enumerate(told, 1):
            tickers = skim.ticker(text, datetime.now(UTC))
            if tickers is not None:
                ear.hear(tickers)
            else:
                frame = messages.frame(text)
                assert isinstance(frame, messages.Frame)
                assert numbers.missing(frame.sequence) == 0
                for event in messages.events_of(frame, datetime.now(UTC)):
                    ear.hear(event)
            if count % per_flush == 0:
                board.flush(now=datetime.now(UTC))
        board.flush(now=datetime.now(UTC))
        return len(told)

    return work


def alone(told: Sequence[str]) -> Callable[[], int]:
    """orjson, and nothing else."""

    def work() -> int:
        loads = orjson.loads
        for text in told:
            loads(text)
        return len(told)

    return work


def rate(work: Callable[[], int]) -> float:
    """How many a second of processor time."""
    start = time.process_time()
    done = work()
    return done / (time.process_time() - start)


def measure() -> Found:
    """Both sides in turn, on the same texts in this process."""
    # As the feed's own process does: what was imported stays, and is not looked at again and again.
    gc.collect()
    gc.freeze()
    ours: dict[tuple[int, int], list[float]] = {(20, 1_000): [], (100, 1_000): [], (100, 100): []}
    parsed: list[float] = []
    for _ in range(RUNS):
        parsed.append(rate(alone(texts(MESSAGES, 100))))
        for (instruments, per_flush), found in ours.items():
            # Fresh texts each time: their instants are news, and young enough to be taken.
            found.append(rate(through(texts(MESSAGES, instruments), per_flush)))
    assert quotes.latest(CONNECTION, "X0001-USD") is not None
    other = "orjson.loads of the same texts"
    return Found(
        name="feed",
        work=f"{MESSAGES:,} ticker messages from text to the price cache: each one's number checked for gaps and its "
        "instrument looked up; ten times a second the newest of each instrument parsed, read as decimals, compared "
        "with what is kept, kept, and handed to the fan-out. How much is left to do so rarely depends on how often the "
        "messages of one instrument follow each other.",
        rows=tuple(
            Row(
                what=f"{instruments} instruments, {per_flush * 10:,} messages a second", unit="a CPU second",
                aika=found, other=other, others=parsed, aim="0.4x" if instruments == 20 else "",
            )
            for (instruments, per_flush), found in ours.items()
        ),
        notes=(
            "Without the socket itself: receiving a frame costs every client the same. Prices are kept in memory, as "
            "`make run` keeps them; Redis adds its own time ten times a second.",
        ),
    )  # fmt: skip
