"""A file played again: what the venue tells of it is the file, whichever way one asks."""

import csv
import gzip
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.connectors.simulator import recording, serve
from apps.connectors.simulator.history import Candle
from apps.connectors.simulator.playback import Playback, Speed
from apps.connectors.simulator.products import PRODUCTS
from tests.connectors.simulator.client import MakeClient
from tests.connectors.simulator.socket_client import SocketClient
from tests.venues.simulator_process import SimulatorProcess

START = datetime(2022, 1, 1, tzinfo=UTC)
HEADER = "start_at,open,high,low,close,volume_quote"
ROWS = (
    "2022-01-01T00:00:00Z,46319.0,46385.0,46300.5,46377.0,2300413.72951234567",
    "2022-01-01T00:01:00Z,46377.0,46377.0,46377.0,46377.0,0.00000000001",
    "2022-01-01T00:02:00Z,46377.0,46411.0,46100.0,46150.0,1829623.1938",
    # No trade in the fourth minute.
    "2022-01-01T00:04:00Z,46150.0,46425.0,46150.0,46425.0,466452.1722",
    # Finer than the price increment, as the real file has some.
    "2022-01-01T00:05:00Z,46425.0,46425.0,46420.0,46420.125,254964.2098",
)
TRADES = (
    "time,price,quantity,side",
    "2022-01-01T00:00:01.5Z,100.00,0.5,BUY",
    "2022-01-01T00:00:59.999999Z,101.25,0.25,SELL",
    "2022-01-01T00:02:00Z,99.5,3,SELL",
)


def file_of(folder: Path, *lines: str, name: str = "file.csv") -> Path:
    path = folder / name
    text = "\n".join(lines) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def told(candle: Candle) -> tuple[Any, ...]:
    return (candle.start, candle.open, candle.high, candle.low, candle.close, candle.volume)


def expected(rows: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """Worked out by the test: the base volume at the close, to sixteen places."""
    found = []
    for row in csv.DictReader([HEADER, *rows]):
        first, high, low, last = (Decimal(row[name]) for name in ("open", "high", "low", "close"))
        volume = (Decimal(row["volume_quote"]) / last).quantize(Decimal("1e-16"))
        found.append((int(datetime.fromisoformat(row["start_at"]).timestamp()), first, high, low, last, volume))
    return found


def assembled(trades: list[dict[str, Any]], seconds: int = 60) -> list[tuple[Any, ...]]:
    """Candles as a client makes them of the tape, by the test's own arithmetic."""
    found: dict[int, list[Any]] = {}
    for trade in sorted(trades, key=lambda trade: int(trade["trade_id"])):
        price, size = Decimal(trade["price"]), Decimal(trade["size"])
        start = int(datetime.fromisoformat(trade["time"]).timestamp()) // seconds * seconds
        row = found.setdefault(start, [price, price, price, price, Decimal(0)])
        row[1:] = [max(row[1], price), min(row[2], price), price, row[4] + size]
    return [(start, *row) for start, row in found.items()]


@pytest.mark.parametrize("name", ["file.csv", "file.csv.gz"])
def test_the_trades_of_a_candle_make_that_candle_again(tmp_path: Path, name: str) -> None:
    made = recording.read(file_of(tmp_path, HEADER, *ROWS, name=name))
    assert [told(candle) for candle in made.minutes] == expected(ROWS)
    assert [told(candle) for candle in recording._minutes(made.prints)] == expected(ROWS)
    assert [item.micros for item in made.prints] == list(made.times)


def test_a_quote_volume_comes_back_to_the_last_digit(tmp_path: Path) -> None:
    made = recording.read(file_of(tmp_path, HEADER, *ROWS))
    given = [Decimal(row.rpartition(",")[2]) for row in ROWS]
    again = [(candle.volume * candle.close).quantize(Decimal("1e-11")) for candle in made.minutes]
    assert again == given


prices = st.decimals(min_value="0.01", max_value="99999", places=2)


@given(
    corners=st.lists(prices, min_size=4, max_size=4).map(sorted),
    rising=st.booleans(),
    volume=st.decimals(min_value="0.0000000000000001", max_value="1000000", places=16),
)
def test_any_candle_survives_its_own_trades(corners: list[Decimal], rising: bool, volume: Decimal) -> None:
    low, first, last, high = corners
    first, last = (first, last) if rising else (last, first)
    candle = Candle(int(START.timestamp()), low, high, first, last, volume)
    trades = recording._Paths([candle])
    assert recording.candle_of(list(trades), candle.start) == candle


def test_trades_make_minutes_and_keep_their_sides(tmp_path: Path) -> None:
    made = recording.read(file_of(tmp_path, *TRADES))
    start = int(START.timestamp())
    assert [told(candle) for candle in made.minutes] == [
        (start, Decimal("100"), Decimal("101.25"), Decimal("100"), Decimal("101.25"), Decimal("0.75")),
        (start + 120, *[Decimal("99.5")] * 4, Decimal(3)),
    ]
    assert [item.side for item in made.prints] == ["BUY", "SELL", "SELL"]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ((), "its first line must name"),
        ((HEADER,), "it has no rows"),
        ((HEADER, ROWS[0], "2022-01-01T00:01:00Z,1,2"), "line 3: it has not as many fields"),
        ((HEADER, ROWS[1], ROWS[0]), "line 3: it is not after the line before"),
        ((HEADER, ROWS[0], ROWS[0]), "line 3: it is not after the line before"),
        ((HEADER, "2022-01-01T00:00:30Z,1,1,1,1,1"), "no whole minute"),
        ((HEADER, "2022-01-01T00:00:00,1,1,1,1,1"), "no ISO 8601 time with a zone"),
        ((HEADER, "2022-01-01T00:00:00Z,1,1,1.5,1,1"), "must lie between low and high"),
        ((HEADER, "2022-01-01T00:00:00Z,1,1,1,NaN,1"), "close 'NaN' is no positive decimal"),
        ((*TRADES, "2022-01-01T00:03:00Z,1,1,buy"), "line 5: side 'buy' is neither"),
    ],
)
def test_a_bad_file_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lines: tuple[str, ...], words: str
) -> None:
    path = file_of(tmp_path, *lines)
    assert serve.main(["--port", "0", "--replay", str(path)]) == 1
    line = capsys.readouterr().err
    assert line.startswith(f"venue simulator: cannot replay {path}: ") and words in line and line.count("\n") == 1


@pytest.mark.parametrize(("name", "words"), [("gone.csv", "No such file"), ("torn.csv.gz", "Not a gzipped file")])
def test_a_file_that_cannot_be_read_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, words: str
) -> None:
    (tmp_path / "torn.csv.gz").write_text("torn")
    assert serve.main(["--port", "0", "--replay", str(tmp_path / name)]) == 1
    assert words in capsys.readouterr().err


def test_nothing_has_happened_before_it_begins_and_all_of_it_in_the_end(tmp_path: Path) -> None:
    made = recording.read(file_of(tmp_path, HEADER, *ROWS))
    playback = Playback("BTC-USD", made, Speed(times=serve._speed("1000000"), waits=True))
    assert playback.played == 0 and playback.candles(60, 0, 2**33) == [] and playback.tape(0, 2**33, 9) == []
    assert playback.last == Decimal("46319")
    playback.begin()
    wait_for(lambda: playback.is_done)
    assert [told(candle) for candle in playback.candles(60, 0, 2**33)][::-1] == expected(ROWS)
    assert playback.last == Decimal("46420.125")
    five = playback.candles(300, 0, 2**33)
    assert [candle.start - int(START.timestamp()) for candle in five] == [300, 0]
    assert five[1].volume == sum((row[5] for row in expected(ROWS)[:4]), Decimal(0))


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_an_open_minute_is_what_was_traded_in_it_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    playback = Playback("BTC-USD", recording.read(file_of(tmp_path, HEADER, *ROWS)), Speed(waits=True))
    moment = START + timedelta(minutes=2, seconds=30)
    monkeypatch.setattr(Playback, "micros", property(lambda _: int(moment.timestamp()) * 1_000_000))
    newest = playback.candles(60, 0, 2**33)[0]
    quarter = (expected(ROWS)[2][5] / 4).quantize(Decimal("1e-16"), rounding="ROUND_FLOOR")
    assert told(newest)[1:] == (Decimal(46377), Decimal(46411), Decimal(46377), Decimal(46411), 2 * quarter)


@pytest.fixture
def replayed(tmp_path: Path) -> Any:
    path = file_of(tmp_path, HEADER, *ROWS)
    process = SimulatorProcess(arguments=("--replay", str(path), "--speed", "600", "--replay-wait")).start()
    yield process
    process.stop()


@pytest.mark.slow
def test_tape_candles_and_ticker_of_a_real_process_are_the_file(replayed: SimulatorProcess) -> None:
    with SocketClient(replayed) as socket:
        for channel in ("heartbeats", "candles", "ticker", "market_trades"):
            socket.subscribe(channel, *(() if channel == "heartbeats" else ("BTC-USD",)))
        socket.until(lambda _: replayed.replay()["done"] and len(rows_of(socket, "market_trades", "trades")) == 20)
        socket.until(lambda message: message["channel"] == "heartbeats")
        assert rows_of(socket, "ticker", "tickers")[-1]["price"] == "46420.12"
        trades = rows_of(socket, "market_trades", "trades")
        ours = [row for row in trades if row["product_id"] == "BTC-USD"]
        assert len(ours) == len({row["trade_id"] for row in ours}) == 4 * len(ROWS)
        assert assembled(ours) == expected(ROWS)
        last_of = {row["start"]: row for row in rows_of(socket, "candles", "candles")}
        assert [candle_of(row) for _, row in sorted(last_of.items())] == assembled(ours, 300)
    start, end = int(START.timestamp()), int(START.timestamp()) + 600
    query = f"products/BTC-USD/candles?start={start}&end={end}&granularity=ONE_MINUTE"
    candles = replayed.public(query)["candles"]
    assert [candle_of(row) for row in reversed(candles)] == expected(ROWS)
    tape = replayed.public("products/BTC-USD/ticker?limit=1000")["trades"]
    assert assembled(tape) == expected(ROWS)


def rows_of(socket: SocketClient, channel: str, name: str) -> list[dict[str, Any]]:
    frames = [message for message in socket.messages if message.get("channel") == channel]
    return [row for frame in frames for event in frame["events"] for row in event[name]]


def candle_of(row: dict[str, str]) -> tuple[Any, ...]:
    return (int(row["start"]), *(Decimal(row[name]) for name in ("open", "high", "low", "close", "volume")))


def test_a_thousand_products_are_listed(make_venue: MakeClient) -> None:
    assert "X0001-USD" not in PRODUCTS
    venue = make_venue("--products", "1000")
    listed = [row for at in (0, 1000) for row in venue.get("/market/products", offset=at)["products"]]
    assert len(listed) == 1000 + 7 and all(row["price"] for row in listed if not row["is_disabled"])
    bought = venue.place({"market_market_ioc": {"quote_size": "20"}}, product_id="X1000-USD")
    assert venue.order(bought)["status"] == "FILLED"


def test_a_wrong_clock_dates_everything_wrongly_until_the_next_reset(make_venue: MakeClient) -> None:
    venue = make_venue("--clock-skew", "40")
    before = int(venue.get("/time")["epochSeconds"])
    assert before - time.time() > 38
    assert venue.admin("POST", "/clock", {"skew_s": -20})["skew_s"] == -20
    assert int(venue.get("/time")["epochSeconds"]) < time.time() - 18
    venue.admin("POST", "/reset", {})
    assert abs(int(venue.get("/time")["epochSeconds"]) - time.time()) < 3
