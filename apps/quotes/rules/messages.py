"""Ticks as one process tells them to another through the channel layer: texts."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from apps.common.decimals import decimal_text, instant_text
from apps.quotes.types import Tick

TYPE: Final = "quotes.ticks"

Message = dict[str, Any]


def message_of(ticks: Iterable[Tick]) -> Message:
    """Ticks as the channel layer carries them."""
    return {"type": TYPE, "ticks": [_packed(tick) for tick in ticks]}


def ticks_in(message: Mapping[str, Any]) -> list[Tick]:
    """The ticks of a message of `message_of`."""
    return [_unpacked(row) for row in message["ticks"]]


def _packed(tick: Tick) -> list[str | None]:
    numbers = (tick.bid, tick.ask, tick.bid_quantity, tick.ask_quantity, tick.last, tick.change_24h)
    return [
        tick.market,
        tick.instrument,
        *(None if number is None else decimal_text(number) for number in numbers),
        instant_text(tick.occurred_at),
        instant_text(tick.received_at),
    ]


def _unpacked(row: Sequence[str | None]) -> Tick:
    market, instrument, bid, ask, bid_quantity, ask_quantity, last, change, occurred_at, received_at = row
    return Tick(
        market=str(market),
        instrument=str(instrument),
        bid=Decimal(str(bid)),
        ask=Decimal(str(ask)),
        bid_quantity=Decimal(str(bid_quantity)),
        ask_quantity=Decimal(str(ask_quantity)),
        last=None if last is None else Decimal(last),
        change_24h=None if change is None else Decimal(change),
        occurred_at=datetime.fromisoformat(str(occurred_at)),
        received_at=datetime.fromisoformat(str(received_at)),
    )
