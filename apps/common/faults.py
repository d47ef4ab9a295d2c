"""Named places where a crash test may stop the process.

Every commit on the way of an order and every call of a venue stands between two of them, so that a test can end the
process, or raise, at each place where a machine may lose power. In production a point is one comparison.
"""

from collections.abc import Callable

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
