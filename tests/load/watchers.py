"""Two hundred who watch: sockets of keys and of signed-in browsers, on prices and on news, all in one loop.

Each reads whatever it gets. One that is dropped connects again after a second, as a browser does.
"""

import asyncio
import json
import threading
from dataclasses import dataclass
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from tests.load.callers import CONNECTION, SIZES
from tests.load.diary import Diary

AT_ONCE: Final = 8
AGAIN_S: Final = 1.0
# A client shows its prices as old after two seconds without a heartbeat (docs/sockets.md); this is more than that.
GREY_S: Final = 2.0
SILENT_S: Final = 10.0
LOOK_S: Final = 0.5


@dataclass(frozen=True)
class Seat:
    """A socket to open: where, and with which headers."""

    path: str
    headers: dict[str, str]
    who: str
    instrument: str


def seats(count: int, keys: list[str], cookies: list[str], origin: str) -> list[Seat]:
    """So many, four of five by keys and the rest by sessions in turn, three of four on prices and the rest on news."""
    found, instruments = [], sorted(SIZES)
    for number in range(count):
        by_session = bool(cookies) and number % 5 == 4
        if by_session:
            headers = {"Cookie": f"sessionid={cookies[number // 5 % len(cookies)]}", "Origin": origin}
        else:
            headers = {"Authorization": f"Bearer {keys[(number - number // 5) % len(keys)]}"}
        path = "/ws/desk" if number % 4 == 3 else "/ws/quotes"
        found.append(Seat(path, headers, "session" if by_session else "key", instruments[number % len(instruments)]))
    return found


class Watchers:
    """A thread with a loop of its own, from `start` to `stop`."""

    def __init__(self, address: str, wanted: list[Seat], diary: Diary) -> None:
        self._address, self._wanted, self._diary = address, wanted, diary
        self._over = threading.Event()
        self._gate: asyncio.Semaphore
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()), name="watchers")
        self._heard: dict[int, float] = {}
        self.open = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Close every socket."""
        self._over.set()
        self._thread.join()

    @property
    def grey(self) -> int:
        """How many open sockets heard no heartbeat for longer than a page would wait."""
        now = self._diary.now()
        return sum(now - at > GREY_S for at in list(self._heard.values()))

    async def _all(self) -> None:
        self._gate = asyncio.Semaphore(AT_ONCE)
        tasks = [asyncio.create_task(self._sit(number, seat)) for number, seat in enumerate(self._wanted)]
        while not self._over.is_set():
            await asyncio.sleep(LOOK_S)
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if ended is not None and not isinstance(ended, asyncio.CancelledError):
                self._diary.mark("watcher broke", repr(ended))

    async def _sit(self, number: int, seat: Seat) -> None:
        while True:
            try:
                async with self._gate:
                    socket = await connect(
                        f"ws://{self._address}{seat.path}", additional_headers=seat.headers, proxy=None
                    )
                async with socket:
                    self.open += 1
                    try:
                        await self._read(number, seat, socket)
                    finally:
                        self.open -= 1
                        self._heard.pop(number, None)
            except ConnectionClosed as closed:
                code = closed.rcvd.code if closed.rcvd else 1006
                self._diary.mark("socket dropped", f"{seat.path} of a {seat.who}: {code}")
            except (OSError, WebSocketException) as error:
                self._diary.mark("socket refused", f"{seat.path} of a {seat.who}: {type(error).__name__}")
            await asyncio.sleep(AGAIN_S)

    async def _read(self, number: int, seat: Seat, socket: ClientConnection) -> None:
        if seat.path == "/ws/quotes":
            items = [{"connection": CONNECTION, "instrument": seat.instrument}]
            await socket.send(json.dumps({"action": "subscribe", "items": items}))
        async for text in socket:
            self._take(number, seat, json.loads(text))

    def _take(self, number: int, seat: Seat, told: dict[str, Any]) -> None:
        kind = told["type"]
        self._diary.count(f"{seat.path} {kind}")
        if kind == "heartbeat":
            now, before = self._diary.now(), self._heard.get(number)
            self._heard[number] = now
            if before is not None and now - before > SILENT_S:
                self._diary.mark("socket silent", f"{seat.path} heard nothing for {now - before:.1f} s")
        elif kind == "quotes":
            stale = sum(quote["stale"] for quote in told["quotes"])
            if stale:
                self._diary.count("prices told as stale", stale)
            if stale < len(told["quotes"]):
                self._diary.success("fresh")
        elif kind == "error":
            self._diary.mark("socket error", f"{seat.path} of a {seat.who}: {told['code']}")
