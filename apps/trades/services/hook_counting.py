"""Refused calls that are not kept one by one: those beyond a rate, and of those of names that no hook has, more than
a few. Anybody may call anything, and must not fill the disk; so these are counted, and the next one that is kept says
how many there were.
"""

from typing import Any, Final

from django.core.cache import cache

from apps.trades.selectors import hooks as selectors
from apps.trades.services.hook_intake import Call

STRAYS_A_DAY_MAX: Final = 200
"""So many calls at addresses that no hook has are kept in 24 hours, from wherever they come."""
STRAYS_OF_AN_ADDRESS_MAX: Final = 20
"""So many of one caller: the strays of another still find room."""
BEYOND_EVERY_S: Final = 60
STRAYS_BEYOND_EVERY_S: Final = 3600
_COUNTED: Final = "hook:counted"
_STRAYS: Final = "strays"


def is_kept(call: Call, *, is_beyond_rate: bool) -> bool:
    """Whether this refusal is kept by itself. One that is not is counted. Of those beyond their bound one a minute is
    kept, or one an hour where there is no such hook."""
    if _is_within(call, is_beyond_rate=is_beyond_rate):
        return True
    every_s = STRAYS_BEYOND_EVERY_S if call.hook is None else BEYOND_EVERY_S
    if cache.add(f"hook:over:{_of(call)}", "1", every_s):
        return True
    _shared().add_up(_COUNTED, {_of(call): 1})
    return False


def waiting(call: Call) -> int:
    """How many like this one were counted, and are not told by a call that is kept."""
    number: int = _shared().numbers(_COUNTED).get(_of(call), 0)
    return max(number, 0)


def told(call: Call, number: int) -> None:
    """So many of them are told now."""
    if number:
        _shared().add_up(_COUNTED, {_of(call): -number})


def _is_within(call: Call, *, is_beyond_rate: bool) -> bool:
    if call.hook is not None:
        return not is_beyond_rate
    kept = selectors.strays_kept(call.address, call.at)
    return kept.here < STRAYS_OF_AN_ADDRESS_MAX and kept.everywhere < STRAYS_A_DAY_MAX


def _of(call: Call) -> str:
    return _STRAYS if call.hook is None else str(call.hook.pk)


def _shared() -> Any:
    """The cache, with what Aika's own adds to Django's (apps/common/cache.py) and its stubs do not know."""
    return cache
