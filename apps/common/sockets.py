"""The sending half of a WebSocket, and what every socket of Aika says about errors. Bounds on all of it."""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from apps.common.errors import AikaError, Invalid

logger = logging.getLogger(__name__)

MESSAGE_CHARS_MAX: Final = 32_768
MESSAGES_PER_WINDOW_MAX: Final = 60
WINDOW_S: Final = 10.0
SLOW_S_MAX: Final = 5.0
"""How long one frame may be on its way before its reader is dropped."""
QUEUE_MAX: Final = 64
"""How many frames that must not be lost may wait behind one on its way."""

SIGNED_OUT: Final = 4401
ORIGIN: Final = 4403
SLOW: Final = 4408
TOO_MANY: Final = 4429

Frame = dict[str, Any]
Send = Callable[[Frame], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a socket is closed: its close code, and what it is told before, if it still reads."""

    code: int
    error: AikaError | None = None


TOO_SLOW: Final = Ending(SLOW)


def text_of(message: Frame) -> str:
    """A message as it is sent."""
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False)


def frame_of(text: str) -> Frame:
    """A text as the server takes it; the same one for every socket that gets the same text.

    `wire` are the bytes of it on every uncompressed socket (RFC 6455, 5.2: final, text, not masked). A server that
    knows them need not make them again for each; another one reads `text`.
    """
    body = text.encode()
    if len(body) < 126:
        head = bytes((0x81, len(body)))
    elif len(body) < 65_536:
        head = b"\x81\x7e" + len(body).to_bytes(2, "big")
    else:
        head = b"\x81\x7f" + len(body).to_bytes(8, "big")
    return {"type": "websocket.send", "text": text, "wire": head + body}


def error_text(error: AikaError) -> str:
    """`{"type": "error", "code", "detail", "fix"}`."""
    return text_of({"type": "error", "code": error.code, "detail": error.message, "fix": error.fix})


def read_message(text: str | None) -> Frame:
    """What a client said: a JSON object within the bound.

    Raises Invalid MESSAGE_TOO_LARGE or MESSAGE_MALFORMED (bytes, no JSON, nested beyond reason, no object).
    """
    if text is None:
        raise _malformed("A message is text, not bytes.")
    if len(text) > MESSAGE_CHARS_MAX:
        raise Invalid(
            "MESSAGE_TOO_LARGE",
            f"A message has at most {MESSAGE_CHARS_MAX} characters.",
            fix="Send several smaller ones.",
        )
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise _malformed("This is no JSON.") from None
    if not isinstance(found, dict):
        raise _malformed("A message is a JSON object.")
    return found


def _malformed(message: str) -> Invalid:
    return Invalid("MESSAGE_MALFORMED", message, fix='Send {"action": …}; docs/sockets.md has examples.')


class Rate:
    """How often a client may speak: MESSAGES_PER_WINDOW_MAX within WINDOW_S."""

    def __init__(self) -> None:
        self._said: deque[float] = deque(maxlen=MESSAGES_PER_WINDOW_MAX)

    def is_exceeded(self, at: float) -> bool:
        """Count one more at this second of the loop's clock; whether that was one too many."""
        exceeded = len(self._said) == MESSAGES_PER_WINDOW_MAX and at - self._said[0] < WINDOW_S
        self._said.append(at)
        return exceeded


class Outlet:
    """What one socket is sent. At most one frame is on its way: whoever would be a second waits here, or is replaced by
    what is newer when its turn comes.

    `is_free` says whether the next frame may go. `next_frame` gives, each time the way is free again, the text that is
    newest by then, or None. Nothing here ever waits for a reader: one that does not read costs the others nothing.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._queue: deque[str] = deque()
        self._rest: asyncio.Task[None] | None = None
        self._since = 0.0
        self.is_free = True
        self.ended: asyncio.Future[Ending] = self._loop.create_future()
        self.next_frame: Callable[[], str | None] = lambda: None

    def say(self, text: str) -> None:
        """Send this after what was said before. With too much waiting the reader is dropped."""
        if self.offer(frame_of(text)):
            return
        if len(self._queue) >= QUEUE_MAX:
            self.end(TOO_SLOW)
        elif not self.ended.done():
            self._queue.append(text)

    def offer(self, frame: Frame) -> bool:
        """Send this now, or not at all; whether the way was free.

        Run as far as it goes without waiting: a server takes a frame at once as long as its reader keeps up, and a task
        for each would cost more than the frame.
        """
        if not self.is_free:
            return False
        steps = self._send(frame)
        try:
            waits_for = steps.send(None)
        except StopIteration:
            return True
        except (OSError, RuntimeError):
            self._gone()
            return True
        self.is_free, self._since = False, self._loop.time()
        self._rest = self._loop.create_task(self._follow(Rest(steps, waits_for)))
        return True

    def drop_if_slow(self) -> None:
        """Drop the reader whose frame has been on its way for too long."""
        if self._rest is not None and self._loop.time() - self._since > SLOW_S_MAX:
            self.end(TOO_SLOW)

    def end(self, ending: Ending) -> None:
        """Have the socket closed; the first reason counts."""
        self.is_free = False
        if not self.ended.done():
            self.ended.set_result(ending)

    async def close(self, ending: Ending, within_s: float = 2.0) -> None:
        """Say why, and close, as far as the reader takes it within the time."""
        await self._stop()
        try:
            async with asyncio.timeout(within_s):
                if ending.error is not None:
                    await self._send(frame_of(error_text(ending.error)))
                await self._send({"type": "websocket.close", "code": ending.code, "reason": ""})
        except (OSError, RuntimeError, TimeoutError):
            return

    async def _stop(self) -> None:
        self.is_free = False
        self._queue.clear()
        if (rest := self._rest) is not None:
            rest.cancel()
            await asyncio.wait({rest})

    async def _follow(self, rest: "Rest") -> None:
        """Wait for the frame on its way, then send what waited, then what is newest."""
        try:
            await rest
            while not self.ended.done():
                text = self._queue.popleft() if self._queue else self.next_frame()
                if text is None:
                    break
                self._since = self._loop.time()
                await self._send(frame_of(text))
        except (OSError, RuntimeError):
            self._gone()
        finally:
            self._rest, self.is_free = None, not self.ended.done()

    def _gone(self) -> None:
        # 1006: nobody is there to be told anything.
        self.end(Ending(1006))


def must_go_on(task: "asyncio.Task[None]", outlets: Callable[[], Iterable[Outlet]]) -> "asyncio.Task[None]":
    """What serves these sockets. Should it fail, they are closed: one that hears nothing must not look alive."""

    def ended(done: "asyncio.Task[None]") -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            logger.critical("What serves sockets has failed; they are closed.", exc_info=error)
            for outlet in outlets():
                outlet.end(Ending(1011))

    task.add_done_callback(ended)
    return task


class Rest:
    """A coroutine that was begun outside of a task, to be awaited by one from where it stands."""

    def __init__(self, steps: Coroutine[Any, Any, None], waits_for: Any) -> None:
        self._steps = steps
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, None]:
        waits_for = self._waits_for
        while True:
            try:
                answer = yield waits_for
            except BaseException as error:  # noqa: BLE001  handed on to whom it is meant for, a cancellation above all
                step = partial(self._steps.throw, error)
            else:
                step = partial(self._steps.send, answer)
            try:
                waits_for = step()
            except StopIteration:
                return
