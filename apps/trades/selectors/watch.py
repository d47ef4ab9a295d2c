"""Which instruments somebody depends on right now."""

import time
from typing import TYPE_CHECKING, Final
from uuid import UUID

from django.core.cache import cache

from apps.connectors.selectors import held_currencies, instruments_of
from apps.trades.models import Order, Position, Proposal
from apps.trades.types import LIVE_ORDER_STATES, ProposalState

if TYPE_CHECKING:
    from apps.connectors.models import Connection


# As long as the poller's turn or two: it renews the list, and everybody else reads it.
KEPT_S: Final = 3


# How long a process goes by its own copy of what is kept.
HELD_S: Final = 1
_known: dict[UUID, tuple[frozenset[str], float]] = {}


def known_watched_codes(connection: "Connection") -> frozenset[str]:
    """`watched_codes` as of at most four seconds ago, without asking the database or the cache each time."""
    codes, until = _known.get(connection.pk, (frozenset(), 0.0))
    if time.monotonic() >= until:
        kept: set[str] | None = cache.get(_key(connection))
        codes = frozenset(watched_codes(connection) if kept is None else kept)
        _known[connection.pk] = codes, time.monotonic() + HELD_S
    return codes


def watched_codes(connection: "Connection") -> set[str]:
    """Instruments with something waiting, open or held: their prices are asked for every second.

    What the venue holds counts too, where it can be priced in the desk's reporting currency: exposure is judged on it.
    """
    waiting = Proposal.objects.filter(connection_id=connection.pk, state=ProposalState.AWAITING_APPROVAL)
    live = Order.objects.filter(connection_id=connection.pk, state__in=LIVE_ORDER_STATES)
    # Without the models' own order, which would make every row distinct.
    codes = set(waiting.order_by().values_list("instrument", flat=True).distinct())
    codes |= set(live.order_by().values_list("instrument", flat=True).distinct())
    codes |= {
        position.instrument for position in Position.objects.filter(connection_id=connection.pk) if position.quantity
    }
    reporting = connection.desk.reporting_currency
    held = held_currencies(connection.pk) - {reporting}
    priced = tuple(code for currency in held for code in (f"{currency}-{reporting}", f"{reporting}-{currency}"))
    if priced:
        codes |= set(instruments_of(connection.pk, codes=priced).values_list("code", flat=True))
    cache.set(_key(connection), codes, timeout=KEPT_S)
    return codes


def _key(connection: "Connection") -> str:
    return f"watched:{connection.pk}"
