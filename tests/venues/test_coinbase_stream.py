"""The stream against the real simulator process: snapshots, faults, reconnects, and what is never said or sent."""

import logging
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.utils import timezone
from websockets.sync.server import serve

from apps.common.errors import Misconfigured
from apps.connectors.stream_types import (
    Beat,
    Book,
    Candles,
    Live,
    LossReason,
    Lost,
    Orders,
    StreamChannel,
    StreamEvent,
    Tickers,
    Trades,
)
from apps.connectors.venues.coinbase import stream as streaming
from apps.connectors.venues.coinbase.auth import Signer
from apps.connectors.venues.coinbase.stream import Stream, Timing, socket_url
from tests.venues.simulator_process import SimulatorProcess

SOON = Timing(silence_s=0.4, ready_s=3.0, backoff_s=0.02, backoff_cap_s=0.1, settled_s=30.0)
EVENTS_MAX = 3_000


class Listener:
    """Events of one stream, read one by one."""

    def __init__(self, stream: Stream) -> None:
        self.stop = threading.Event()
        self.events: list[StreamEvent] = []
        self._listening = stream.listen(self.stop)

    def until(self, wanted: Callable[[StreamEvent], bool]) -> StreamEvent:
        """Read on to the first event that is wanted."""
        for event in self._listening:
            self.events.append(event)
            if wanted(event):
                return event
            assert len(self.events) < EVENTS_MAX, self.events[-5:]
        raise AssertionError("the stream ended")

    def live(self) -> Live:
        event = self.until(lambda event: isinstance(event, Live))
        assert isinstance(event, Live)
        return event

    def lost(self) -> Lost:
        event = self.until(lambda event: isinstance(event, Lost))
        assert isinstance(event, Lost)
        return event

    def end(self) -> None:
        self.stop.set()
        self._listening.close()  # type: ignore[attr-defined]  # a generator


Open = Callable[..., Listener]


def signer(simulator: SimulatorProcess) -> Signer:
    return Signer.of(key_name=simulator.key_name, secret=simulator.secret)


@pytest.fixture
def listen(simulator: SimulatorProcess) -> Iterator[Open]:
    """Open a stream of some channels at the simulator: the user's, unless told otherwise."""
    simulator.options(heartbeat_ms=50, connects_per_s=1000)
    opened: list[Listener] = []

    def begin(*channels: StreamChannel, instruments: tuple[str, ...] = (), timing: Timing = SOON) -> Listener:
        wanted = channels or (StreamChannel.ORDERS,)
        stream = Stream(
            url=socket_url(simulator.url, user=StreamChannel.ORDERS in wanted),
            token=signer(simulator).socket_token,
            channels=wanted,
            instruments=instruments,
            now=timezone.now,
            timing=timing,
        )
        opened.append(Listener(stream))
        return opened[-1]

    yield begin
    for listener in opened:
        listener.end()


def test_live_comes_once_everything_is_subscribed_and_told(listen: Open, simulator: SimulatorProcess) -> None:
    user = listen()
    user.live()
    assert [type(event) for event in user.events if not isinstance(event, Beat)] == [Orders, Live]
    asked = [(row["channel"], row["has_token"]) for row in simulator.sockets()["messages"]]
    assert asked == [("heartbeats", False), ("user", True)]


def test_the_market_has_all_its_channels(listen: Open) -> None:
    market = listen(
        *(StreamChannel.QUOTES, StreamChannel.TRADES, StreamChannel.CANDLES, StreamChannel.BOOK),
        instruments=("BTC-USD", "ETH-USD"),
    )
    market.live()
    kinds = {type(event) for event in market.events}
    assert {Tickers, Trades, Candles, Book} <= kinds
    books = [event for event in market.events if isinstance(event, Book)]
    assert {book.instrument for book in books if book.is_snapshot} == {"BTC-USD", "ETH-USD"}


def test_a_price_that_moves_is_told_with_the_venues_time(listen: Open, simulator: SimulatorProcess) -> None:
    market = listen(StreamChannel.QUOTES, instruments=("BTC-USD",))
    market.live()
    simulator.pin_price("BTC-USD", "50000")
    moved = market.until(lambda event: isinstance(event, Tickers) and event.tickers[0].last == 50_000)
    assert isinstance(moved, Tickers) and moved.tickers[0].quote is not None
    assert timezone.now() - moved.tickers[0].occurred_at < timedelta(seconds=30)


@pytest.mark.parametrize(
    ("kind", "details", "reason"),
    [
        ("gap", {}, LossReason.GAP),
        ("drop", {}, LossReason.CLOSED),
        ("close", {"code": 1000}, LossReason.CLOSED),
        ("close", {"code": 1012}, LossReason.CLOSED),
        ("silence", {"lasts": "1"}, LossReason.SILENT),
        ("reorder", {}, LossReason.GAP),
    ],
)
def test_a_loss_is_told_and_the_stream_comes_back_with_a_new_snapshot(
    listen: Open, simulator: SimulatorProcess, kind: str, details: dict[str, object], reason: LossReason
) -> None:
    user = listen()
    user.live()
    simulator.add_socket_fault(kind, "user", **details)
    assert user.lost().reason is reason
    user.live()
    assert sum(isinstance(event, Orders) and event.is_snapshot for event in user.events) >= 2
    assert simulator.sockets()["connects"]["user"] >= 2
    tokens = [row for row in simulator.sockets()["messages"] if row["channel"] == "user"]
    assert all(row["has_token"] for row in tokens)


@pytest.mark.parametrize("kind", ["duplicate", "repeat"])
def test_what_is_said_twice_is_no_loss(listen: Open, simulator: SimulatorProcess, kind: str) -> None:
    user = listen()
    user.live()
    simulator.add_socket_fault(kind, "user", count=3)
    beats = len(user.events) + 6
    user.until(lambda event: len(user.events) >= beats)
    assert not [event for event in user.events if isinstance(event, Lost)]
    assert simulator.sockets()["connects"]["user"] == 1


def test_refused_connects_are_tried_again(listen: Open, simulator: SimulatorProcess) -> None:
    simulator.add_socket_fault("refuse", "user", count=2)
    user = listen()
    user.live()
    losses = [event for event in user.events if isinstance(event, Lost)]
    assert [(loss.reason, loss.detail) for loss in losses] == [(LossReason.REFUSED, "status 503")] * 2


def test_a_refused_token_is_told_and_a_fresh_one_is_tried(listen: Open, simulator: SimulatorProcess) -> None:
    simulator.add_socket_fault("deny", "user", channel="", count=2)
    user = listen()
    assert user.lost() == user.events[-1]
    assert user.events[-1].detail == "authentication failure"  # type: ignore[union-attr]
    user.live()


def test_waits_grow_and_never_pass_their_bound(listen: Open, simulator: SimulatorProcess) -> None:
    simulator.add_socket_fault("refuse", "user", count=5)
    user = listen()
    user.live()
    pauses = [event.retry_in_s for event in user.events if isinstance(event, Lost)]
    assert len(pauses) == 5 and all(0 <= pause <= SOON.backoff_cap_s for pause in pauses)
    bounds = [min(SOON.backoff_cap_s, SOON.backoff_s * 2**number) for number in range(5)]
    assert all(pause <= bound for pause, bound in zip(pauses, bounds, strict=True))
    # Drawn anew each time: many that were cut off together do not come back together.
    assert all(pause != bound for pause, bound in zip(pauses, bounds, strict=True))
    assert len(set(pauses)) == len(pauses)


def test_a_process_spaces_its_connects_over_all_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """The venue refuses more than eight a second from one address."""
    clock, waited = [100.0], []
    stop = threading.Event()
    monkeypatch.setattr(streaming.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(stop, "wait", waited.append)
    gate = streaming._Gate()
    for _ in range(4):
        gate.wait(stop)
    clock[0] += 10
    gate.wait(stop)

    assert waited == pytest.approx([0, 0.25, 0.5, 0.75, 0])


def test_every_subscribe_is_sent_with_a_token_of_its_own(simulator: SimulatorProcess) -> None:
    """A token lives two minutes: one that was kept from the first connect would be refused at the next."""
    simulator.options(heartbeat_ms=50, connects_per_s=1000)
    sign, made = signer(simulator), []

    def token() -> str:
        made.append(sign.socket_token())
        return made[-1]

    stream = Stream(
        url=socket_url(simulator.url, user=False),
        token=token,
        channels=(StreamChannel.QUOTES, StreamChannel.TRADES),
        instruments=("BTC-USD",),
        now=timezone.now,
        timing=SOON,
    )
    market = Listener(stream)
    try:
        market.live()
        assert len(set(made)) == 2
        simulator.add_socket_fault("drop", "market")
        market.lost()
        market.live()
    finally:
        market.end()
    assert len(set(made)) == len(made) == 4
    asked = [row for row in simulator.sockets()["messages"] if row["channel"] != "heartbeats"]
    assert [row["has_token"] for row in asked] == [True] * 4


@pytest.mark.slow
def test_a_five_megabyte_snapshot_is_read(listen: Open, simulator: SimulatorProcess) -> None:
    simulator.add_socket_fault("large-snapshot", "market")
    market = listen(StreamChannel.BOOK, instruments=("BTC-USD",), timing=Timing())
    market.live()
    book = next(event for event in market.events if isinstance(event, Book) and event.is_snapshot)
    assert len(book.levels) > 40_000


def test_heartbeats_alone_keep_it_live(listen: Open, simulator: SimulatorProcess) -> None:
    """The socket cannot tell a quiet market from a dead one; the age of the newest price can."""
    market = listen(StreamChannel.QUOTES, instruments=("BTC-USD",))
    market.live()
    simulator.add_socket_fault("heartbeats-only", "market")
    market.until(lambda event: isinstance(event, Beat) and event.heard)
    mark = len(market.events)
    market.until(lambda event: len(market.events) > mark + 12)
    assert {type(event) for event in market.events[mark:]} == {Beat}


def test_the_end_is_prompt_and_closes_the_connection(listen: Open, simulator: SimulatorProcess) -> None:
    user = listen()
    user.live()
    user.end()
    other = listen()
    other.live()
    assert len(simulator.sockets()["connections"]) == 1


def test_neither_key_nor_token_is_ever_logged(
    listen: Open, simulator: SimulatorProcess, caplog: pytest.LogCaptureFixture
) -> None:
    made: list[str] = []
    sign = signer(simulator)

    def token() -> str:
        made.append(sign.socket_token())
        return made[-1]

    caplog.set_level(logging.DEBUG)
    logging.getLogger("websockets").setLevel(logging.DEBUG)
    simulator.add_socket_fault("deny", "user")
    stream = Stream(
        url=socket_url(simulator.url, user=True),
        token=token,
        channels=[StreamChannel.ORDERS],
        now=timezone.now,
        timing=SOON,
    )
    user = Listener(stream)
    user.live()
    user.end()
    told = caplog.text + repr(user.events) + repr(stream.__dict__.get("_url"))
    assert made and not any(token in told or token.rpartition(".")[2] in told for token in made)
    assert simulator.secret not in told


def self_signed(directory: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    begin = datetime(2020, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), begin, datetime(2049, 1, 1, tzinfo=UTC)
        )
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain, secret = directory / "chain.pem", directory / "key.pem"
    chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, secret)
    return context


def test_a_certificate_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    reached: list[object] = []
    with serve(reached.append, "127.0.0.1", 0, ssl=self_signed(tmp_path)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.socket.getsockname()[1]
        url = f"wss://localhost:{port}/ws/user"
        listener = Listener(Stream(url=url, token=str, channels=[StreamChannel.ORDERS], now=timezone.now, timing=SOON))
        loss = listener.lost()
        listener.end()
        server.shutdown()
        thread.join()
    assert (loss.reason, loss.detail, reached) == (LossReason.REFUSED, "SSLCertVerificationError", [])


@pytest.mark.parametrize(
    ("api_base", "user", "url"),
    [
        ("https://api.coinbase.com", True, "wss://advanced-trade-ws-user.coinbase.com"),
        ("https://api.coinbase.com", False, "wss://advanced-trade-ws.coinbase.com"),
        ("http://localhost:21000", True, "ws://localhost:21000/ws/user"),
        ("http://127.0.0.1:21000", False, "ws://127.0.0.1:21000/ws"),
        ("https://simulator.internal", True, "wss://simulator.internal/ws/user"),
    ],
)
def test_where_the_sockets_are(api_base: str, user: bool, url: str) -> None:
    assert socket_url(api_base, user=user) == url


@pytest.mark.parametrize(
    ("api_base", "code"),
    [
        ("http://simulator.internal", "VENUE_ADDRESS_UNUSABLE"),
        ("https://api-sandbox.coinbase.com", "VENUE_HAS_NO_SOCKET"),
    ],
)
def test_where_there_are_none(api_base: str, code: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        socket_url(api_base, user=True)
    assert refused.value.code == code
