"""Faults on demand: which request goes wrong, and how.

To add a kind: a member of `Kind`, its numbers in `Fault`, and its behaviour in `app.py` (`VenueApp._serve`).
"""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any

ENDPOINTS: tuple[tuple[str, str, str], ...] = (
    ("POST", r"orders", "create"),
    ("POST", r"orders/preview", "preview"),
    ("POST", r"orders/batch_cancel", "cancel"),
    ("GET", r"orders/historical/batch", "list"),
    ("GET", r"orders/historical/fills", "fills"),
    ("GET", r"orders/historical/[^/]+", "get"),
    ("GET", r"accounts", "accounts"),
    ("GET", r"accounts/[^/]+", "account"),
    ("GET", r"(market/)?products", "products"),
    ("GET", r"(market/)?products/[^/]+", "product"),
    ("GET", r"(market/)?products/[^/]+/candles", "candles"),
    ("GET", r"(market/)?products/[^/]+/ticker", "ticker"),
    ("GET", r"(market/)?product_book", "product_book"),
    ("GET", r"best_bid_ask", "best_bid_ask"),
    ("GET", r"key_permissions", "key_permissions"),
    ("GET", r"transaction_summary", "transaction_summary"),
    ("GET", r"portfolios", "portfolios"),
    ("GET", r"time", "time"),
)
NAMES = frozenset(name for _, _, name in ENDPOINTS) | {"any"}
PREFIX = "/api/v3/brokerage/"
_PATTERNS = [(method, re.compile(pattern), name) for method, pattern, name in ENDPOINTS]


def endpoint_of(method: str, path: str) -> str:
    """The short name of the endpoint, or "" for what is none of the venue's (the admin endpoints among it)."""
    if not path.startswith(PREFIX):
        return ""
    rest = path.removeprefix(PREFIX)
    return next((name for verb, pattern, name in _PATTERNS if verb == method and pattern.fullmatch(rest)), "")


class Kind(StrEnum):
    """What goes wrong."""

    LATENCY = "latency"
    """Wait `milliseconds`, then answer."""
    TIMEOUT_BEFORE = "timeout-before"
    """Hang `seconds`, then close the connection; nothing was done."""
    TIMEOUT_AFTER = "timeout-after"
    """Do it, hang `seconds`, then close the connection without an answer."""
    SERVER_ERROR_AFTER = "5xx-after"
    """Do it, then answer 502 with a page of HTML."""


class FaultError(ValueError):
    """A fault that cannot be understood; the text says why."""


@dataclass
class Fault:
    """One fault: where, what, and how often (`count` times, or each time with `probability`)."""

    endpoint: str
    kind: Kind
    count: int | None = 1
    probability: Fraction | None = None
    milliseconds: int = 1000
    seconds: Fraction = Fraction(30)
    hits: int = 0

    def as_json(self) -> dict[str, Any]:
        """As the admin endpoint shows it."""
        return {
            "endpoint": self.endpoint,
            "kind": self.kind.value,
            "count": self.count,
            "probability": None if self.probability is None else str(self.probability),
            "milliseconds": self.milliseconds,
            "seconds": str(self.seconds),
            "hits": self.hits,
        }


def parse(values: Mapping[str, Any]) -> Fault:
    """A fault from the admin's JSON or from the command line's words."""
    unknown = values.keys() - {"endpoint", "kind", "count", "probability", "milliseconds", "seconds"}
    if unknown:
        raise FaultError(f"unknown fields: {', '.join(sorted(unknown))}")
    endpoint, kind = str(values.get("endpoint", "any")), str(values.get("kind", ""))
    if endpoint not in NAMES:
        raise FaultError(f"unknown endpoint {endpoint!r}; one of {', '.join(sorted(NAMES))}")
    if kind not in set(Kind):
        raise FaultError(f"unknown kind {kind!r}; one of {', '.join(Kind)}")
    try:
        chance = None if values.get("probability") is None else Fraction(str(values["probability"]))
        count = values.get("count", None if chance is not None else 1)
        fault = Fault(
            endpoint=endpoint,
            kind=Kind(kind),
            count=None if count is None else int(count),
            probability=chance,
            milliseconds=int(values.get("milliseconds", 1000)),
            seconds=Fraction(str(values.get("seconds", "30"))),
        )
    except (ValueError, TypeError, ZeroDivisionError) as error:
        raise FaultError(f"not a number: {error}") from error
    if fault.milliseconds < 0 or fault.seconds < 0 or (fault.count or 0) < 0 or not 0 <= (chance or 0) <= 1:
        raise FaultError("numbers must not be negative, and a probability not above 1")
    return fault


def parse_words(text: str) -> Fault:
    """The command line's form, `create:timeout-after:count=1,seconds=5`."""
    endpoint, _, rest = text.partition(":")
    kind, _, options = rest.partition(":")
    pairs = [option.partition("=") for option in options.split(",") if option]
    return parse({"endpoint": endpoint, "kind": kind} | {name.strip(): value for name, _, value in pairs})


class Faults:
    """The faults in force, drawn from with the venue's seed so that a run repeats."""

    def __init__(self, seed: int, initial: list[Fault]) -> None:
        self._seed = seed
        self._dice = random.Random(seed)  # noqa: S311  chance, not secrecy
        self.active: list[Fault] = list(initial)

    def add(self, fault: Fault) -> None:
        """Put one in force."""
        self.active.append(fault)

    def clear(self) -> None:
        """Behave again, and start the dice anew."""
        self.active.clear()
        self._dice.seed(self._seed)

    def strike(self, endpoint: str) -> list[Fault]:
        """The faults that hit this request: every latency, and the first of the others."""
        struck: list[Fault] = []
        for fault in self.active:
            if not endpoint or fault.endpoint not in (endpoint, "any") or fault.count == 0:
                continue
            if fault.kind is not Kind.LATENCY and any(other.kind is not Kind.LATENCY for other in struck):
                continue
            if fault.probability is not None and self._dice.randrange(1_000_000) >= fault.probability * 1_000_000:
                continue
            fault.hits += 1
            if fault.count is not None:
                fault.count -= 1
            struck.append(fault)
        self.active = [fault for fault in self.active if fault.count != 0]
        return struck
