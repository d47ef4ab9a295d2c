"""Ticks on their way to the sockets that show them. Nothing is kept here: `quotes` keeps the newest of each."""

from collections.abc import Callable, Sequence
from functools import lru_cache

from django.conf import settings
from django.utils.module_loading import import_string

from apps.quotes.types import Tick

Publish = Callable[[Sequence[Tick]], None]


@lru_cache(maxsize=1)
def _publish() -> Publish:
    """The hub's door, by name: a service knows no Channels."""
    found: Publish = import_string(settings.QUOTE_HUB)
    return found


def send(ticks: Sequence[Tick]) -> None:
    """Hand the newest tick of each instrument that changed to every process with sockets, at most ten times a second.

    Called from any thread. Returns at once and never raises for want of listeners, nor for a Redis that is away: a tick
    that nobody took is followed by a newer one.
    """
    if ticks:
        _publish()(ticks)
