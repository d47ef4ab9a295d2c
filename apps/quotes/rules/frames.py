"""What a socket of ws/quotes is sent, as texts. Pure."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from apps.common.decimals import decimal_text, instant_text
from apps.quotes.types import Item, Tick


def body_of(tick: Tick) -> str:
    """The part of a quote that is the same for whoever reads it, whenever: members of a JSON object, no braces."""
    return (
        f'"bid":{_number(tick.bid)},"ask":{_number(tick.ask)},"bid_quantity":{_number(tick.bid_quantity)},'
        f'"ask_quantity":{_number(tick.ask_quantity)},"last":{_number(tick.last)},'
        f'"change_24h":{_number(tick.change_24h)},"occurred_at":"{instant_text(tick.occurred_at)}",'
        f'"received_at":"{instant_text(tick.received_at)}"'
    )


def quote_of(item: Item, body: str, tick: Tick, now: datetime) -> str:
    """One quote: whose it is, the body, and how old that is by now."""
    age_ms = max(int((now - tick.received_at).total_seconds() * 1000), 0)
    stale = "true" if tick.is_stale(now) else "false"
    return (
        f'{{"connection":{json.dumps(item.connection)},"instrument":{json.dumps(item.instrument)},{body},'
        f'"age_ms":{age_ms},"stale":{stale}}}'
    )


def quotes_text(quotes: Iterable[str], now: datetime) -> str:
    """`{"type": "quotes", ...}` of what `quote_of` made."""
    return f'{{"type":"quotes","at":"{instant_text(now)}","quotes":[{",".join(quotes)}]}}'


def subscribed_text(items: Iterable[Item]) -> str:
    """`{"type": "subscribed", ...}`: everything in force, in order of names."""
    listed = [{"connection": item.connection, "instrument": item.instrument} for item in sorted(items)]
    return json.dumps({"type": "subscribed", "items": listed}, separators=(",", ":"))


def heartbeat_text(feeds: Sequence[Mapping[str, Any]] | None, now: datetime) -> str:
    """`{"type": "heartbeat", ...}`; feeds that are not known are null."""
    return json.dumps({"type": "heartbeat", "at": instant_text(now), "feeds": feeds}, separators=(",", ":"))


def _number(value: Decimal | None) -> str:
    return "null" if value is None else f'"{decimal_text(value)}"'
