"""Past trades of a desk that never was, as a file for `manage.py backfill_lessons`: what docs/lessons.md publishes.

    python -m tests.lessons.helping.made_up trades.csv

Three in ten trades carry a mistake; four in five of these carry one of eight habits. Of trades with a mistake one in
four wins all the same, of the others two in five lose. One in five mistakes is seen by no fact (that no stop is planned
always is), and one in twenty of the other trades breaks a limit that meant nothing.
"""

import csv
import gzip
import json
import random
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

TRADES: Final = 1_500
SEED: Final = 11
BEGAN: Final = datetime(2025, 10, 1, tzinfo=UTC)
ENDED: Final = datetime(2026, 11, 1, tzinfo=UTC)
PRODUCTS: Final = ("BTC-USD", "ETH-USD", "SOL-USD", "LINK-USD")
QUERIES: Final = Path(__file__).parent.parent / "unseen" / "queries.jsonl.gz"
# Mistake -> the fact that shows it, within its limit and beyond it. Whether a stop is planned follows from the plan.
FACTS: Final[Mapping[str, tuple[str, str, str]]] = {
    "chased_breakout": ("chase", "0.1", "1.4"),
    "averaged_down": ("adds_to_loser", "0", "3.5"),
    "held_event": ("minutes_to_event", "900", "45"),
    "oversized": ("size_of_median", "1.1", "4"),
    "falling_knife": ("with_trend", "1", "-3"),
    "no_confirmation": ("bar_closed", "1", "0"),
    "stop_too_tight": ("stop_distance_atr", "1.5", "0.2"),
    "chop": ("breakout_in_noise", "0.5", "0.05"),
    "correlated": ("positions_alike", "1", "5"),
    "slippage": ("size_of_book", "0.5", "9"),
    "crowded": ("positioning_percentile", "0.5", "0.97"),
    "overfit": ("oos_sharpe", "1.2", "0.1"),
}
HABITS: Final = ("no_stop", *tuple(FACTS)[:7])
SOUND: Final = (
    ("Pullback to the average", "Higher low above support", "Range held again", "Breakout with a close", "Retest held"),
    ("on rising volume", "with the trend of the day", "after a quiet week", "as breadth improves"),
    ("stop below the low", "stop under the range", "stop at half a day's range", "stop where the idea is wrong"),
    ("target at the last high", "target twice the risk", "out by the close", "half out at the first target"),
)
COLUMNS: Final = (
    "id",
    "instrument",
    "side",
    "quantity",
    "entry_price",
    "exit_price",
    "opened_at",
    "closed_at",
    "planned_stop",
    "planned_target",
    "thesis",
    *(f"fact.{fact}" for fact, _, _ in FACTS.values()),
)


def rows() -> Iterator[dict[str, str]]:
    """The trades, oldest first; the same each time."""
    chosen = random.Random(SEED)
    said = _theses()
    step = (ENDED - BEGAN) / TRADES
    for number in range(TRADES):
        mistake = _mistake(chosen)
        lost = chosen.random() < (0.75 if mistake else 0.4)
        opened_at = BEGAN + step * number + timedelta(minutes=chosen.randrange(60))
        thesis = chosen.choice(said[mistake]) if mistake else ", ".join(chosen.choice(part) for part in SOUND) + "."
        moved = chosen.uniform(0.3, 1.5) if lost else -chosen.uniform(0.4, 2)
        yield {
            "id": f"made-up-{number}",
            "instrument": chosen.choice(PRODUCTS),
            "side": "buy",
            "quantity": "1",
            "entry_price": "100",
            "exit_price": f"{100 - 2 * moved:.2f}",
            "opened_at": opened_at.isoformat(timespec="seconds"),
            "closed_at": (opened_at + timedelta(minutes=chosen.choice((20, 90, 400, 1_500)))).isoformat("T", "seconds"),
            "planned_stop": "" if mistake == "no_stop" else "98",
            "planned_target": "104",
            "thesis": thesis,
            **_facts(mistake, chosen),
        }


def _mistake(chosen: random.Random) -> str:
    if chosen.random() >= 0.3:
        return ""
    return chosen.choice(HABITS if chosen.random() < 0.8 else tuple(FACTS)[7:])


def _facts(mistake: str, chosen: random.Random) -> dict[str, str]:
    """What facts say: of a mistake its own is beyond its limit, or nobody knew it; of the others some by accident."""
    beyond = mistake or (chosen.choice(tuple(FACTS)) if chosen.random() < 0.05 else "")
    unseen = bool(mistake) and chosen.random() < 0.2
    found = {f"fact.{fact}": over if tag == beyond else within for tag, (fact, within, over) in FACTS.items()}
    if unseen and mistake in FACTS:
        found[f"fact.{FACTS[mistake][0]}"] = ""
    return found


def _theses() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    with gzip.open(QUERIES, "rt", encoding="utf-8") as lines:
        for line in lines:
            one = json.loads(line)
            if one["thesis"] not in found.setdefault(one["mode"], []):
                found[one["mode"]].append(one["thesis"])
    return found


def write(path: Path) -> None:
    """The file, in place of any before it."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows(rows())


if __name__ == "__main__":
    write(Path(sys.argv[1]))
