"""Streams of closed trades of one desk, made of a seed: some carry a mistake, and lose more often by it."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from apps.lessons.rules.walkforward import Held, Past
from apps.lessons.types import Result

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
DESK = UUID(int=1)
ALL = BEGAN + timedelta(days=4_000)
TAGS = ("no_stop", "revenge", "chop", "oversized")


def past(number: int, **changes: Any) -> Past:
    """A trade decided `number` hours after the beginning, closed half an hour later; it won, unless told otherwise."""
    decided_at = changes.pop("decided_at", BEGAN + timedelta(hours=number))
    values: dict[str, Any] = {
        "id": UUID(int=1_000 + number),
        "trade": UUID(int=1_000 + number),
        "desk": DESK,
        "product": "ETH-USD",
        "side": "BUY",
        "result": Result.WON,
        "decided_at": decided_at,
        "closed_at": decided_at + timedelta(minutes=30),
    }
    return Past(**(values | changes))


def with_mistake(trade: Past, tag: str, *, result: Result = Result.LOST) -> Past:
    """The same trade with a mistake that rules saw when it was decided, and counted once it had closed."""
    return replace(
        trade,
        result=result,
        seen=frozenset({tag}),
        mistakes=(Held(tag=tag, since=trade.closed_at),),
        verdict="PROCESS_ERROR",
    )


def stream(number: int, *, seed: int) -> list[Past]:
    """So many trades, a third of them with a mistake; these lose three times in four, the others twice in five."""
    chosen = random.Random(seed)
    found = []
    for at in range(number):
        product = chosen.choice(("ETH-USD", "BTC-USD", "SOL-USD"))
        one = past(at, product=product, closed_at=BEGAN + timedelta(hours=at + chosen.choice((1, 5, 40))))
        if chosen.random() < 1 / 3:
            lost = chosen.random() < 0.75
            one = with_mistake(one, chosen.choice(TAGS), result=Result.LOST if lost else Result.WON)
        elif chosen.random() < 0.4:
            one = replace(one, result=Result.LOST, verdict="PLANNED_LOSS")
        found.append(one)
    return found
