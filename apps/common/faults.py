"""Named places where a crash test may stop the process.

Every commit on the way of an order and every call of a venue stands between two of them, so that a test can end the
process, or raise, at each place where a machine may lose power. In production a point is one comparison. The places
are named in `fault_places`, each with the row of the crash matrix it belongs to.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import transaction

from apps.common.fault_places import Call, Commit

Hook = Callable[[str], None]

_hook: Hook | None = None


def point(label: str) -> None:
    """Tell the installed hook, if there is one, that this place was reached. The hook may raise or end the process."""
    if _hook is not None:
        _hook(label)


def install(hook: Hook | None) -> None:
    """Let `hook` hear of every point of this process; None takes it away. For tests and the soak only."""
    global _hook
    _hook = hook


@contextmanager
def commit(place: Commit) -> Iterator[None]:
    """A transaction with a point just before its commit and one just after, however the block is left but by an error.

    Inside another transaction it is a savepoint, commits nothing and has no points.
    """
    with transaction.atomic():
        yield
        if _hook is not None and _depth() == 1:
            point(place.before)
    if _hook is not None and _depth() == 0:
        point(place.after)


@contextmanager
def call(place: Call) -> Iterator[None]:
    """A call that leaves this machine, with a point just before it and one just after, also where it ended in an error:
    an error is an answer that can be lost like any other."""
    point(place.before)
    try:
        yield
    finally:
        point(place.after)


def _depth() -> int:
    """How many transaction blocks are open, but for those that Django's TestCase puts around a test."""
    blocks = transaction.get_connection().atomic_blocks
    return sum(not getattr(block, "_from_testcase", False) for block in blocks)
