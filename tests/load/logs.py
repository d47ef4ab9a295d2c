"""What the processes said that somebody should have looked at: errors, and tracebacks of any level."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

BAD = frozenset({"error", "critical"})
# It tells alarms to whoever reads the log. They are rows, and judged as such: what is still open, what came and went.
TOLD = "aika.alarms"
TRACEBACK = "Traceback (most recent call last)"
WORDS_MAX = 160


@dataclass(frozen=True)
class Said:
    """A line worth a look. `at` is None where the line does not say when."""

    at: float | None
    service: str
    level: str
    what: str


def found_in(service: str, text: str, *, began: float) -> list[Said]:
    """Errors and tracebacks of a log. `began` is the second of the epoch that times are counted from.

    A line that is no JSON has no time of its own; it came at about that of the line before.
    """
    found: list[Said] = []
    at: float | None = None
    for line in text.splitlines():
        told = _told(line)
        if told is None:
            if TRACEBACK in line:
                found.append(Said(at, service, "traceback", line[:WORDS_MAX]))
            continue
        at = datetime.fromisoformat(told["timestamp"]).timestamp() - began if "timestamp" in told else at
        trace = str(told.get("exception", ""))
        if (told.get("level") in BAD and told.get("logger") != TOLD) or TRACEBACK in trace:
            last = trace.strip().splitlines()[-1] if trace else ""
            words = f"{told.get('logger')}: {told.get('message')}"[:WORDS_MAX]
            found.append(Said(at, service, str(told.get("level")), f"{words} {last[:WORDS_MAX]}".strip()))
    return found


def _told(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        return dict(json.loads(line))
    except ValueError:
        return None


def counted(said: Iterable[Said]) -> list[tuple[str, int]]:
    """The same words once, with how often, the most frequent first."""
    return Counter(f"{line.service}: {line.what}" for line in said).most_common()
