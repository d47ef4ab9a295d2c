"""What happened under load, as every actor writes it down and the judge reads it. Times are seconds of one clock."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

MOMENT_S = 0.1


@dataclass(frozen=True)
class Answer:
    """An answer over HTTP, after `took_s` seconds. `status` 0 is none at all; `code` then says what kind of none."""

    at: float
    who: str
    what: str
    status: int
    code: str = ""
    took_s: float = 0.0


@dataclass(frozen=True)
class Mark:
    """Something else worth telling: a socket that was dropped, a process that ended by itself."""

    at: float
    kind: str
    what: str


@dataclass(frozen=True)
class Fault:
    """What was done to the installation, from when until it was over; what came back when is read off the diary."""

    name: str
    at: float
    over: float


@dataclass(frozen=True)
class Finding:
    """A promise that was not kept, and what was seen."""

    kind: str
    what: str


@dataclass
class Diary:
    """Everything that was seen. Written to by many threads."""

    answers: list[Answer] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    # Moments of success by stream: "accepted", "fresh".
    moments: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    # When something was due and when it was done, by stream: "sent", "booked".
    spans: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    # Every moment of what the report tells the pace of.
    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    counts: Counter[str] = field(default_factory=Counter)
    # proposal -> client_order_id, of each approval that was answered with yes.
    approved: dict[str, str] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    wall: float = field(default_factory=time.time)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def now(self) -> float:
        """Seconds since the diary began."""
        return time.monotonic() - self.started

    def mark(self, kind: str, what: str) -> None:
        """Write down what is told one by one."""
        self.marks.append(Mark(self.now(), kind, what))

    def success(self, stream: str) -> None:
        """It works, now. What works many times a second is kept a few times a second."""
        now, kept = self.now(), self.moments[stream]
        if not kept or now - kept[-1] > MOMENT_S:
            kept.append(now)

    def count(self, name: str, by: int = 1) -> None:
        """What is only counted."""
        with self.lock:
            self.counts[name] += by

    def send(
        self, client: httpx.Client, who: str, what: str, method: str, path: str, **request: Any
    ) -> httpx.Response | None:
        """One request, its answer written down; None where there was none."""
        began = self.now()
        try:
            answer = client.request(method, path, **request)
        except httpx.TransportError as error:
            at = self.now()
            self.answers.append(Answer(at, who, what, 0, type(error).__name__, at - began))
            return None
        at = self.now()
        self.answers.append(Answer(at, who, what, answer.status_code, code_of(answer), at - began))
        return answer

    @contextmanager
    def fault(self, name: str) -> Iterator[None]:
        """While it lasts."""
        began = self.now()
        yield
        self.faults.append(Fault(name, began, self.now()))


def code_of(answer: httpx.Response) -> str:
    """The `code` of a problem; empty where it has none, and for a success."""
    if answer.status_code < 400:
        return ""
    try:
        return str(answer.json().get("code", ""))
    except (ValueError, AttributeError):
        return ""
