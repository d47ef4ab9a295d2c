"""How far a long command is: a bar with rate and time left on a terminal, a line every five seconds elsewhere.

It goes where errors go, so that what a command prints (`--json` most of all) can be read by a program.
"""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, TextIO

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

LINE_EVERY_S: Final = 5
DRAWN_EVERY_S: Final = 0.1


class Progress:
    """Call it with how much is done and, where known, of how much; `what` names the things counted.

    A context: a bar is cleared at its end, for what is said then.
    """

    def __init__(self, what: str, *, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._stream = stream
        self._clock = clock
        self._began = self._said = clock()
        self._bar = _bar(stream, clock) if stream.isatty() else None
        self._task = None if self._bar is None else self._bar.add_task(what, total=None, rate="")

    def __enter__(self) -> "Progress":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, done: int, total: int | None = None) -> None:
        now = self._clock()
        if now - self._said < (LINE_EVERY_S if self._bar is None else DRAWN_EVERY_S) and done != total:
            return
        first, self._said = self._said == self._began, now
        rate = done / (now - self._began) if now > self._began else 0
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total, rate=f"{rate:,.0f} a second", refresh=True)
        elif not (first and done == total):  # what is over before its first line needs none
            self._stream.write(line(self._what, done, total, rate) + "\n")
            self._stream.flush()


def _bar(stream: TextIO, clock: Callable[[], float]) -> Bar:
    return Bar(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TaskProgressColumn(),
        TextColumn("{task.completed:,.0f}"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(file=stream),
        auto_refresh=False,
        get_time=clock,
        transient=True,
    )


def line(what: str, done: int, total: int | None, rate: float) -> str:
    """`candles: 300 of 1,200 (25 %), 150 a second, 6 s left`, or what of it is known."""
    of = "" if total is None else f" of {total:,} ({100 * done // max(total, 1)} %)"
    left = f", {round((total - done) / rate):,} s left" if total is not None and rate > 0 else ""
    return f"{what}: {done:,}{of}, {rate:,.0f} a second{left}"
