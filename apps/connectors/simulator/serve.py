"""Starting and stopping: arguments, the port, the data directory's lock, the life of the parent."""

import argparse
import asyncio
import ctypes
import fcntl
import logging
import os
import signal
import socket
import sqlite3
import sys
import tempfile
import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import uvicorn

from apps.connectors.simulator import faults, recording, socket_faults
from apps.connectors.simulator.amounts import parse_plain
from apps.connectors.simulator.app import VenueApp
from apps.connectors.simulator.clock import Clock
from apps.connectors.simulator.errors import StartError
from apps.connectors.simulator.exchange import DUPLICATE_MODES, Exchange, Options
from apps.connectors.simulator.keys import load_or_create
from apps.connectors.simulator.market import Market
from apps.connectors.simulator.oauth import ACCESS_S, REFRESH_S, SCOPES, Client, OAuthServer
from apps.connectors.simulator.playback import Playback, Speed
from apps.connectors.simulator.products import FILLERS_MAX, OPENING_BALANCES, PRODUCTS, fillers
from apps.connectors.simulator.store import Store

PARENT_CHECK_S = 0.5
KEEP_ALIVE_S = 75
SPEED_MAX = 1_000_000
_PR_SET_PDEATHSIG = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line, shared by `python -m apps.connectors.simulator` and the management command."""
    parser.add_argument("--port", type=int, required=True, help="0 takes a free one")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same prices")
    parser.add_argument("--key-file", type=Path, help="CDP key file; made if missing (default: in --data)")
    parser.add_argument("--data", type=Path, help="keep balances, orders and fills here (default: in memory)")
    parser.add_argument("--cash", type=_cash, default=None, help="opening USD balance")
    parser.add_argument("--latency-ms", type=_milliseconds, default=0, help="delay of every answer")
    parser.add_argument("--pending-ms", type=_milliseconds, default=0, help="orders stay PENDING this long")
    parser.add_argument("--visible-ms", type=_milliseconds, default=0, help="get and list learn of orders this late")
    parser.add_argument("--cancel-ms", type=_milliseconds, default=0, help="orders stay CANCEL_QUEUED this long")
    parser.add_argument("--duplicate-mode", choices=DUPLICATE_MODES, default="replay")
    parser.add_argument(
        "--fault", action="append", type=_fault, default=[], metavar="ENDPOINT:KIND[:NAME=N,...]",
        help="e.g. create:timeout-after:count=1,seconds=5; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--socket-fault", action="append", type=_socket_fault, default=[], metavar="ON:KIND[:NAME=N,...]",
        help="ON is user, market or any; e.g. user:gap:count=2; may be repeated",
    )  # fmt: skip
    parser.add_argument("--products", type=_fillers, default=0, metavar="N", help="list N further products")
    parser.add_argument("--clock-skew", type=int, default=0, metavar="S", help="the venue's clock is S seconds off")
    _add_oauth(parser)
    _add_replay(parser)
    parser.add_argument("--parent-pid", type=int, help="stop when this process is gone")


def _add_oauth(parser: argparse.ArgumentParser) -> None:
    oauth = parser.add_argument_group("OAuth", "One application; without an id nobody can authorise anything.")
    oauth.add_argument("--oauth-client-id", default="", metavar="ID")
    oauth.add_argument("--oauth-client-secret-file", type=Path, metavar="FILE", help="arguments can be read by others")
    oauth.add_argument("--oauth-redirect-uri", default="", metavar="URI", help="compared letter by letter")
    oauth.add_argument("--oauth-access-s", type=_seconds, default=ACCESS_S, metavar="S", help="life of a bearer")
    oauth.add_argument(
        "--oauth-refresh-s", type=_seconds, default=REFRESH_S, metavar="S", help="life of a refresh token not used"
    )
    oauth.add_argument(
        "--oauth-withhold", action="append", choices=sorted(SCOPES), default=[], metavar="SCOPE",
        help="never granted, whatever is asked; may be repeated",
    )  # fmt: skip


def _oauth_of(options: argparse.Namespace) -> OAuthServer:
    client = None
    if options.oauth_client_id:
        if not (options.oauth_client_secret_file and options.oauth_redirect_uri):
            raise StartError("an OAuth application needs --oauth-client-secret-file and --oauth-redirect-uri too")
        secret = _secret_in(options.oauth_client_secret_file)
        client = Client(options.oauth_client_id, secret, options.oauth_redirect_uri)
    return OAuthServer(
        client,
        access_s=options.oauth_access_s,
        refresh_s=options.oauth_refresh_s,
        withheld=frozenset(options.oauth_withhold),
    )


def _secret_in(path: Path) -> str:
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"cannot read {path}: {error}; choose another --oauth-client-secret-file") from error
    if not secret:
        raise StartError(f"{path} is empty; write the secret of the OAuth application there")
    return secret


def _add_replay(parser: argparse.ArgumentParser) -> None:
    replay = parser.add_argument_group(
        "replay",
        "A CSV of one-minute candles (start_at,open,high,low,close,volume or volume_quote) or of trades "
        "(time,price,quantity[,side]) makes one product's prices. Its trades and candles carry the file's own times, "
        "on a clock that runs --speed times as fast as ours; tickers and books are dated now. After the last minute "
        "the last price stands.",
    )
    replay.add_argument("--replay", type=Path, metavar="FILE", help="the CSV; .gz is read too")
    replay.add_argument("--replay-product", default="BTC-USD", metavar="PRODUCT", help="default: BTC-USD")
    replay.add_argument("--speed", type=_speed, default=Fraction(1), metavar="N", help="60: a minute takes a second")
    replay.add_argument(
        "--replay-wait", action="store_true", help="begin when a socket first subscribes to the product's market_trades"
    )


def _speed(text: str) -> Fraction:
    value = parse_plain(text)
    if not value or value > SPEED_MAX:
        raise argparse.ArgumentTypeError(f"a number above 0 and at most {SPEED_MAX}, like 1 or 60")
    return Fraction(value)


def _fillers(text: str) -> int:
    if not text.isdigit() or int(text) > FILLERS_MAX:
        raise argparse.ArgumentTypeError(f"a whole number, {FILLERS_MAX} at most")
    return int(text)


def _cash(text: str) -> Decimal:
    value = parse_plain(text)
    if value is None:
        raise argparse.ArgumentTypeError("an amount like 100000 or 2500.50")
    return value


def _seconds(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError("a whole number of seconds, 1 or more")
    return int(text)


def _milliseconds(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError("a whole number of milliseconds")
    return int(text)


def _fault(text: str) -> faults.Fault:
    try:
        return faults.parse_words(text)
    except faults.FaultError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _socket_fault(text: str) -> socket_faults.SocketFault:
    try:
        return socket_faults.parse_words(text)
    except faults.FaultError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


@dataclass(frozen=True)
class Opened:
    """A venue put together, and what has to be given back in the end."""

    app: VenueApp
    sock: socket.socket
    held: ExitStack

    def close(self) -> None:
        """Give everything back."""
        self.held.close()


def build(options: argparse.Namespace) -> Opened:
    """Take the directory and the port, and put the venue together. `StartError` says what stands in the way."""
    with ExitStack() as held:
        if options.data is not None:
            held.callback(os.close, _lock(options.data))
        sock = _bind(options.host, options.port)
        held.callback(sock.close)
        key = load_or_create(_key_file(options, held))
        cash = {} if options.cash is None else {"USD": options.cash}
        venue_options = Options(
            duplicate_mode=options.duplicate_mode,
            pending_ms=options.pending_ms,
            visible_ms=options.visible_ms,
            cancel_ms=options.cancel_ms,
            balances=OPENING_BALANCES | cash,
        )
        try:
            store = Store(options.data)
        except sqlite3.Error as error:
            raise StartError(f"cannot open the store in {options.data}: {error}; choose another --data") from error
        held.callback(store.close)
        Clock.skew_s = options.clock_skew
        held.callback(setattr, Clock, "skew_s", 0)
        _list_fillers(options.products, held)
        exchange = Exchange(store, Market(options.seed, Clock(), _playback(options)), venue_options)
        app = VenueApp(
            exchange,
            key,
            faults.Faults(options.seed, options.fault),
            options.latency_ms,
            socket_faults.SocketFaults(options.socket_fault),
            _oauth_of(options),
        )
        return Opened(app, sock, held.pop_all())


def _list_fillers(count: int, held: ExitStack) -> None:
    more = fillers(count)
    PRODUCTS.update(more)
    held.callback(lambda: [PRODUCTS.pop(name, None) for name in more])


def _playback(options: argparse.Namespace) -> Playback | None:
    if options.replay is None:
        return None
    product = PRODUCTS.get(options.replay_product)
    if product is None:
        raise StartError(f"cannot replay {options.replay}: no product {options.replay_product}; choose another")
    return Playback(product.book_id, recording.read(options.replay), Speed(options.speed, options.replay_wait))


def _key_file(options: argparse.Namespace, held: ExitStack) -> Path:
    """Where the key is: as told, else with the data, else in a directory that goes when we go."""
    if options.key_file is not None:
        return Path(options.key_file)
    if options.data is not None:
        return Path(options.data) / "key.json"
    return Path(held.enter_context(tempfile.TemporaryDirectory(prefix="venue-simulator-"))) / "key.json"


def _lock(directory: Path) -> int:
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StartError(f"cannot use {directory}: {error.strerror}; choose another --data") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise StartError(f"{directory} is in use by another simulator; stop it or choose another --data") from error
    return handle


def _bind(host: str, port: int) -> socket.socket:
    # With the protocol named, asyncio sets TCP_NODELAY on what it accepts; without, each answer takes 40 ms.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(512)
    except (OSError, OverflowError) as error:
        sock.close()
        reason = getattr(error, "strerror", None) or str(error)
        message = f"cannot listen on {host}:{port} ({reason}); stop what uses it or choose another --port (0: any)"
        raise StartError(message) from error
    return sock


class _Server(uvicorn.Server):
    """Says when it is ready, and stops when its parent is gone."""

    def __init__(self, config: uvicorn.Config, port: int, parent_pid: int | None) -> None:
        super().__init__(config)
        self._port = port
        self._parent_pid = parent_pid
        self._born_of_parent = os.getppid() == parent_pid
        self._watching: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._parent_pid is not None:
            self._watching = asyncio.create_task(self._watch_parent(self._parent_pid))
        if self.started:
            # The reader may be gone already; that is the parent check's business.
            with suppress(OSError):
                sys.stdout.write(f"simulator ready http://localhost:{self._port}\n")
                sys.stdout.flush()

    async def _watch_parent(self, pid: int) -> None:
        while _is_alive(pid) and not (self._born_of_parent and os.getppid() != pid):
            await asyncio.sleep(PARENT_CHECK_S)
        self.should_exit = True


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _die_with(parent_pid: int) -> None:
    """Ask Linux for SIGTERM when the parent ends; polling covers every other system."""
    if sys.platform == "linux" and os.getppid() == parent_pid:
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def serve(options: argparse.Namespace) -> int:
    """Run until stopped; the exit code."""
    if options.parent_pid is not None:
        _die_with(options.parent_pid)
    try:
        opened = build(options)
    except StartError as error:
        sys.stderr.write(f"venue simulator: {error}\n")
        return 1
    config = uvicorn.Config(
        opened.app,
        loop="asyncio",
        ws="websockets-sansio",
        ws_ping_interval=None,
        lifespan="on",
        log_level="critical",
        access_log=False,
        # Left off so that the application is called by the server itself: a fault has to reach the connection.
        proxy_headers=False,
        server_header=False,
        # Longer than clients keep idle connections: a POST must not meet a socket that is being closed.
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=0,
    )
    if threading.current_thread() is threading.main_thread():
        # uvicorn raises the signal again when it has stopped; the default would end us before we have tidied up.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = _Server(config, opened.sock.getsockname()[1], options.parent_pid)
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    try:
        server.run(sockets=[opened.sock])
    except KeyboardInterrupt:
        pass
    finally:
        opened.close()
    return 0 if server.started else 1


def main(arguments: list[str] | None = None) -> int:
    """`python -m apps.connectors.simulator`."""
    parser = argparse.ArgumentParser(prog="venue_simulator", description="A trading venue to practise against.")
    add_arguments(parser)
    return serve(parser.parse_args(arguments))
