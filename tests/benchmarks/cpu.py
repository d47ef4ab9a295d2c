"""Where the processor's time goes: of a server and its workers, and by part of what one process does."""

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
SAMPLE_S = 0.001
OTHER = "the rest"
# Whose time it is: the innermost frame whose file or function one of these names, so that the JSON of a decision counts
# as the decision's and a client's socket as the client's. The first match counts.
PARTS = (
    ("/redis/", "Redis and its client"),
    ("/django/core/cache/", "Redis and its client"),
    ("/psycopg", "PostgreSQL's driver"),
    ("/apps/common/statements.py", "statements written and read"),
    ("/django/db/", "Django's models and connections"),
    ("/apps/policies/rules/frozen.py", "decision worded and encoded"),
    ("/apps/policies/rules/wording.py", "decision worded and encoded"),
    ("/apps/policies/", "policy judged"),
    ("/apps/audit/", "event of the chain"),
    ("/apps/trades/selectors/records.py", "answer worded"),
    ("/apps/common/api/", "API's door"),
    ("/apps/accounts/", "API's door"),
    ("/rest_framework/", "REST framework"),
    ("/apps/trades/", "facts, terms and proposal"),
    ("/apps/connectors/", "facts, terms and proposal"),
    ("/apps/quotes/", "facts, terms and proposal"),
    ("/django/", "Django's handler and middleware"),
    ("/allauth/", "Django's handler and middleware"),
    ("/csp/", "Django's handler and middleware"),
)


def spent_s(root: int) -> float:
    """Seconds of processor that a process and those below it have used, in user and kernel mode. Linux only."""
    parents: dict[int, int] = {}
    spent: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has ended meanwhile
            parents[int(entry.name)] = int(fields[1])
            spent[int(entry.name)] = (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND
    return sum(seconds for pid, seconds in spent.items() if _is_below(pid, root, parents))


def _is_below(pid: int, root: int, parents: dict[int, int]) -> bool:
    while pid not in (0, root):
        pid = parents.get(pid, 0)
    return pid == root


@contextmanager
def sampled() -> Iterator[Counter[str]]:
    """How many samples of processor time fell into each part, of what this thread does in the block."""
    found: Counter[str] = Counter()

    def take(_: int, frame: FrameType | None) -> None:
        found[_part(frame)] += 1

    before = signal.signal(signal.SIGPROF, take)
    signal.setitimer(signal.ITIMER_PROF, SAMPLE_S, SAMPLE_S)
    try:
        yield found
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _part(frame: FrameType | None) -> str:
    while frame is not None:
        path = frame.f_code.co_filename
        for fragment, name in PARTS:
            if fragment in path:
                return name
        frame = frame.f_back
    return OTHER


def shares(call: Callable[[], None]) -> str:
    """Each part of a call's processor time in percent, the largest first, in words."""
    with sampled() as found:
        call()
    return ", ".join(f"{name} {round(100 * count / found.total())} %" for name, count in found.most_common())
