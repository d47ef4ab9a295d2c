"""`fan_out`: one tick from a thread of the server to every local socket, beside a raw broadcast and `group_send`.

The clients are processes of their own; what is compared is the server's processor time for each message delivered, how
late messages are, and how many of those sent arrived.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from websockets.asyncio.client import connect

from tests.benchmarks.report import Found, Row

ROOT = Path(__file__).resolve().parents[2]
SIDES = {"aika": "Aika", "raw": "raw ASGI broadcast", "layer": "`group_send` per tick"}
CODES = ("BTC-USD", "ETH-USD", "SOL-USD")


@dataclass(frozen=True, kw_only=True)
class Load:
    """So many sockets, and so many ticks a second of each of so many instruments."""

    clients: int
    ticks_per_s: int
    instruments: int = 1

    def __str__(self) -> str:
        of_each = f" of each of {self.instruments} instruments" if self.instruments > 1 else ""
        return f"{self.clients} clients, {self.ticks_per_s} ticks a second{of_each}"

    @property
    def subscribe(self) -> str:
        items = [{"connection": "paper", "instrument": code} for code in CODES[: self.instruments]]
        return json.dumps({"action": "subscribe", "items": items})

    @property
    def due_per_s(self) -> int:
        """Messages a second where every tick is one to every client."""
        return self.clients * self.ticks_per_s * self.instruments


# As often as the feed sends, and as often as a busy market moves.
AS_SENT = (Load(clients=100, ticks_per_s=8), Load(clients=500, ticks_per_s=8))
AS_TICKED = (
    Load(clients=100, ticks_per_s=50, instruments=3),
    Load(clients=100, ticks_per_s=100, instruments=3),
)
SECONDS = 8.0
RUNS = 3
QUICK = {"seconds": 3.0, "runs": 1}
WARM_UP_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One run of one side. `cpu_ms_per_s` is what a second of the market costs: where a side tells every tick, what all
    its messages would cost, told or not."""

    cpu_us: float
    cpu_ms_per_s: float
    p50_ms: float
    p99_ms: float
    per_s: float


def measure(*, quick: bool = False) -> Found:
    """Every load, each side after the other, several times."""
    seconds, runs = (QUICK["seconds"], int(QUICK["runs"])) if quick else (SECONDS, RUNS)
    rows: list[Row] = []
    floors: list[str] = []
    for load in (*AS_SENT, *AS_TICKED):
        found: dict[str, list[Measured]] = {side: [] for side in SIDES}
        for _ in range(runs):
            for side in SIDES:
                found[side].append(_run(side, load, seconds))
        if load in AS_TICKED:
            rows += _rows_of_a_market(load, found)
            continue
        rows += _rows(str(load), found)
        cost = {side: median(one.cpu_us for one in found[side]) for side in ("raw", "layer")}
        floors.append(f"{cost['layer'] / cost['raw']:.1f}x with {load.clients} clients")
    return Found(
        name="fan_out",
        work="Ticks from a thread of the server, every client on the same machine and subscribed to every instrument. "
        "Aika's side has everything on: keys, heartbeats, who may still read asked again every five seconds. All three "
        "are served by uvicorn with the same protocol class; deliveries are what the clients read.",
        rows=rows,
        notes=(
            "Server CPU is of the server's process alone, user and kernel, while it only delivers. Aika's heartbeats "
            "are deliveries too, one a second; the others have none. The other figures are of prices alone.",
            "Lag is from the tick in the server's thread to the text in the client's hand; clients and server share "
            "the machine.",
            "At 8 ticks a second nothing is conflated: all three send the same messages, and what is compared is what "
            "one costs. `group_send` goes through the in-memory layer, the cheapest there is; Redis's costs more. The "
            f"raw broadcast itself, which does nothing else, is better than it by {' and '.join(floors)}: more than "
            "that cannot be had at this rate.",
            "At 50 and 100 the difference is above all conflation: Aika is handed every tick as the others are, and "
            "sends a socket the newest of each instrument ten times a second, all instruments in one message; the "
            "others send every tick, as Channels' documentation shows and as a plain broadcast does. What it leaves "
            "out no client gets. Where a side cannot keep up (1,000 ms a second are one processor), its cost is that "
            "of the messages it did deliver, for all that were due; its lag then grows for as long as it runs, and is "
            "partly that of clients who read so much on the same machine.",
        ),
    )


def _rows_of_a_market(load: Load, found: dict[str, list[Measured]]) -> list[Row]:
    """What it costs to keep everybody current, and how current they are."""
    asked = (
        ("cpu_ms_per_s", "server CPU for a second of the market", {"raw": "", "layer": "10x"}),
        ("p50_ms", "lag, median", {"raw": "", "layer": ""}),
        ("p99_ms", "lag, 99 of 100", {"raw": "", "layer": ""}),
    )
    return [
        Row(
            what=f"{what}, {load}",
            unit="ms",
            aika=[getattr(one, name) for one in found["aika"]],
            other=f"{SIDES[side]}{', every tick' if side == 'raw' else ''}",
            others=[getattr(one, name) for one in found[side]],
            aim=aim,
            lower_is_better=True,
        )
        for name, what, aims in asked
        for side, aim in aims.items()
    ]


def _rows(load: str, found: dict[str, list[Measured]]) -> list[Row]:
    aika = found["aika"]
    rows = []
    for side, aim in (("raw", "0.8x"), ("layer", "10x")):
        rows.append(
            Row(
                what=f"server CPU for a delivery, {load}",
                unit="µs",
                aika=[one.cpu_us for one in aika],
                other=SIDES[side],
                others=[one.cpu_us for one in found[side]],
                aim=aim,
                lower_is_better=True,
            )
        )
    for what, unit, lower in (("p50_ms", "ms", True), ("p99_ms", "ms", True), ("per_s", "a second", False)):
        name = {"p50_ms": "lag, median", "p99_ms": "lag, 99 of 100", "per_s": "deliveries"}[what]
        for side in ("raw", "layer"):
            rows.append(
                Row(
                    what=f"{name}, {load}",
                    unit=unit,
                    aika=[getattr(one, what) for one in aika],
                    other=SIDES[side],
                    others=[getattr(one, what) for one in found[side]],
                    lower_is_better=lower,
                )
            )
    return rows


def _run(side: str, load: Load, seconds: float) -> Measured:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory(prefix="aika-fan-out-") as home:
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.sockets_server", side, str(port)],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"], "HOME": home, "AIKA_DATA_DIR": home,
                "DJANGO_SETTINGS_MODULE": "tests.sockets.settings", "FAN_OUT_TICKS_PER_S": str(load.ticks_per_s),
                "FAN_OUT_INSTRUMENTS": str(load.instruments),
            },
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert server.stdout is not None
            headers = []
            while (line := server.stdout.readline().strip()) != "ready":
                assert line, "the server did not start"
                headers.append(line)
            return asyncio.run(_listen(port, headers, load, seconds, server.pid))
        finally:
            server.terminate()
            server.wait(20)
            if server.stdout is not None:
                server.stdout.close()


def _on_cpu_s(process: int) -> float:
    """Seconds that the threads of a process were on a processor, to the nanosecond: a hundred readers cost less than a
    clock tick of /proc/PID/stat between two looks. Linux only."""
    threads = Path(f"/proc/{process}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


async def _listen(port: int, headers: Sequence[str], load: Load, seconds: float, server: int) -> Measured:
    """Connect everybody, wait until they are served, then count for so long."""
    lags: list[float] = []
    delivered = [0]
    counting = asyncio.Event()

    async def client(number: int) -> None:
        own = {"Authorization": headers[number % len(headers)]} if headers else {}
        async with connect(
            f"ws://127.0.0.1:{port}/ws/quotes", additional_headers=own, proxy=None, compression=None,
            ping_interval=None, open_timeout=60,
        ) as one:  # fmt: skip
            if headers:
                await one.send(load.subscribe)
                while '"subscribed"' not in str(await one.recv()):
                    pass
            connected.release()
            async for message in one:
                if not counting.is_set():
                    continue
                delivered[0] += 1
                if '"quotes"' in str(message)[:20]:
                    # Only as much of it is read as is needed: the clients must not be what is measured.
                    sent = str(message).partition('"last":')[2].lstrip()[1:].partition('"')[0]
                    lags.append((time.time() - float(sent)) * 1000)

    connected = asyncio.Semaphore(0)
    tasks = []
    for number in range(load.clients):
        tasks.append(asyncio.create_task(client(number)))
        if number % 20 == 19:
            await asyncio.sleep(0.05)
    for _ in range(load.clients):
        await asyncio.wait_for(connected.acquire(), 60)
    await asyncio.sleep(WARM_UP_S)
    before, begun = _on_cpu_s(server), time.monotonic()
    counting.set()
    await asyncio.sleep(seconds)
    counting.clear()
    spent, took = _on_cpu_s(server) - before, time.monotonic() - begun
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    # A server that delivers nothing at all within the time is as late as that.
    cuts = quantiles(lags, n=100) if len(lags) > 1 else [took * 1000] * 99
    each_s = spent / max(delivered[0], 1)
    # Only Aika leaves ticks out; it is the one that asks for a key.
    per_s_s = spent / took if headers else each_s * load.due_per_s
    return Measured(
        cpu_us=each_s * 1e6,
        cpu_ms_per_s=per_s_s * 1e3,
        p50_ms=cuts[49],
        p99_ms=cuts[98],
        per_s=len(lags) / took,
    )
