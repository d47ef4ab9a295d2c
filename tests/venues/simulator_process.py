"""The venue simulator as tests meet it: a process of its own, spoken to over HTTP."""

import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

START_S = 20.0
STOP_S = 5.0
READY = "simulator ready "


class SimulatorProcess:
    """Start and stop a simulator, and pull its strings. `url` is its address; `key_name` and `secret` its key."""

    def __init__(self, *, seed: int = 7, arguments: Sequence[str] = ()) -> None:
        self._seed = seed
        self._arguments = tuple(arguments)
        self._directory = tempfile.TemporaryDirectory(prefix="aika-simulator-")
        self._process: subprocess.Popen[str] | None = None
        self.key_file = Path(self._directory.name) / "key.json"
        self.url = ""
        self.key_name = ""
        self.secret = ""

    def start(self) -> "SimulatorProcess":
        """Start it on a free port and read its key. Raises RuntimeError where it does not come up."""
        key_file = self.key_file
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "apps.connectors.simulator", "--port", "0", "--seed", str(self._seed)),
                *("--key-file", str(key_file), "--parent-pid", str(os.getpid()), *self._arguments),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=Path(__file__).resolve().parents[2],
        )
        self.url = self._ready_url(self._process)
        key = json.loads(key_file.read_text())
        self.key_name, self.secret = key["name"], key["privateKey"]
        return self

    def _ready_url(self, process: "subprocess.Popen[str]") -> str:
        assert process.stdout is not None
        deadline = time.monotonic() + START_S
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while time.monotonic() < deadline and process.poll() is None:
                if selector.select(timeout=0.2):
                    line = process.stdout.readline().strip()
                    if line.startswith(READY):
                        return line.removeprefix(READY)
        self.stop()
        raise RuntimeError("the venue simulator did not start")

    def stop(self) -> None:
        """Stop it. Stopping twice is stopping once."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP_S)
            if process.stdout is not None:
                process.stdout.close()
        self._directory.cleanup()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def reset(self, **balances: str) -> None:
        """No orders, no faults, no pins, an empty log; opening balances, but for those named (`USD="5"`)."""
        self._post("reset", {"balances": balances} if balances else {})

    def pin_price(self, instrument: str, mid: Decimal | str | None) -> None:
        """Hold the mid price there; None lets it go."""
        self._post("price", {"product_id": instrument, "mid": None if mid is None else str(mid)})

    def freeze_clock(self, *, frozen: bool = True, step: int | None = None) -> None:
        """Stop the venue's clock (at this second of the epoch, where one is given), or let it go."""
        self._post("clock", {"frozen": frozen, **({} if step is None else {"step": step})})

    def skew_clock(self, seconds: int) -> None:
        """The venue's clock is so many seconds ahead of ours (negative: behind), until the next reset."""
        self._post("clock", {"skew_s": seconds})

    def replay(self, *, begin: bool = False) -> dict[str, Any]:
        """How far a recording has been played; `begin` starts one that waits."""
        return self._post("replay", {}) if begin else self._call("GET", "replay")

    def public(self, path: str) -> dict[str, Any]:
        """What everybody may read, such as `products/BTC-USD/ticker?limit=5`."""
        with urlopen(f"{self.url}/api/v3/brokerage/market/{path}", timeout=10) as answer:  # noqa: S310  our own child
            return dict(json.load(answer))

    def switch(self, instrument: str, **flags: bool) -> None:
        """Set flags of a product, such as `cancel_only=True`."""
        self._post("product", {"product_id": instrument, **flags})

    def add_fault(self, endpoint: str, kind: str, **numbers: Any) -> None:
        """Something to go wrong: `add_fault("create", "timeout-after", seconds="1", count=1)`."""
        self._post("faults", {"endpoint": endpoint, "kind": kind, **numbers})

    def add_socket_fault(self, kind: str, on: str = "any", **details: Any) -> None:
        """Something to go wrong on sockets: `add_socket_fault("gap", "user", count=1)`."""
        self._post("sockets", {"kind": kind, "on": on, **details})

    def clear_socket_faults(self) -> None:
        self._call("DELETE", "sockets")

    def sockets(self) -> dict[str, Any]:
        """Who is connected, how often somebody connected, what clients asked for, and the faults in force."""
        return self._call("GET", "sockets")

    def release(self) -> int:
        """Late requests arrive now, and lists know every order; how many of either."""
        return int(self._post("release", {})["released"])

    @property
    def socket_url(self) -> str:
        """The market's socket; the user's is at `/user` below it."""
        return f"{self.url.replace('http', 'ws', 1)}/ws"

    def options(self, **options: str | int) -> None:
        """Switch `duplicate_mode`, or numbers such as `visible_ms` and `heartbeat_ms`, until the next reset."""
        self._post("options", dict(options))

    def creates(self) -> list[dict[str, Any]]:
        """Per client_order_id: create requests that arrived, different bodies, and the order there is of it."""
        return list(self._call("GET", "creates")["creates"])

    def clear_faults(self) -> None:
        self._call("DELETE", "faults")

    def correct_fill(self, entry_id: str) -> dict[str, Any]:
        """Make the venue reverse a fill; the reversing row."""
        return dict(self._post("fills/correction", {"entry_id": entry_id})["fill"])

    def requests(self, path_end: str = "") -> list[dict[str, Any]]:
        """What reached the venue since the last reset, oldest first; with `path_end`, only of paths that end so."""
        return [item for item in self._call("GET", "requests")["requests"] if item["path"].endswith(path_end)]

    def orders(self) -> list[dict[str, Any]]:
        """Every order at the venue since the last reset, visible or not, oldest first."""
        return list(self._call("GET", "orders")["orders"])

    def _post(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._call("POST", name, body)

    def _call(self, method: str, name: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        content = None if body is None else json.dumps(body).encode()
        request = Request(  # noqa: S310  our own child on this machine
            f"{self.url}/simulator/{name}", data=content, method=method, headers={"content-type": "application/json"}
        )
        with urlopen(request, timeout=10) as answer:  # noqa: S310  as above
            return dict(json.load(answer))
