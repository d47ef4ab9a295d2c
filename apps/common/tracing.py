"""The ids that every line of the log bears while one piece of work goes on: of its request, proposal, order and task.

The id of a request goes from the call of the API into the tasks it causes, and so to the line of each call at a venue.
What belongs to one proposal has its id too, whichever request or sweep it came of.
"""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars

REQUEST: Final = "request_id"
"""Also the name of the header that takes it into a task."""
ID_CHARS_MAX: Final = 64


def begin(**ids: Any) -> None:
    """A piece of work begins in this thread: these ids are its own, and none of an earlier one."""
    clear_contextvars()
    bind(**ids)


def bind(**ids: Any) -> None:
    """From here on the work has these ids too. One that is nothing is left out."""
    bind_contextvars(**{name: str(value)[:ID_CHARS_MAX] for name, value in ids.items() if value})


def end() -> None:
    """It is over: nothing else of this thread belongs to it."""
    clear_contextvars()


def bound() -> dict[str, str]:
    """The ids of what goes on here."""
    return dict(get_contextvars())


def carried() -> dict[str, str]:
    """What a task takes along of the work that publishes it: the id of the request, where one stands behind it."""
    known = get_contextvars().get(REQUEST)
    return {REQUEST: known} if known else {}


def ids_in(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a task's or a view's arguments that say what it is about."""
    return {name: value for name, value in arguments.items() if name.endswith("_id") and isinstance(value, str | UUID)}
