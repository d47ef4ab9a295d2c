"""Faults on demand: which request goes wrong, and how.

To add a kind: a member of `Kind`, and its behaviour: in `app.py` for what happens to a request or its answer, in
`order_rest.py` for what a list shows.
"""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any

from apps.connectors.simulator.clock import Clock

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
OAUTH_ENDPOINTS = {
    ("GET", "/oauth2/auth"): "oauth-auth",
    ("POST", "/oauth2/auth"): "oauth-decide",
    ("POST", "/oauth2/token"): "oauth-token",
    ("POST", "/oauth2/revoke"): "oauth-revoke",
    ("GET", "/v2/user"): "user",
    ("GET", "/v2/user/auth"): "user-auth",
}
NAMES = frozenset(name for _, _, name in ENDPOINTS) | frozenset(OAUTH_ENDPOINTS.values()) | {"any"}
PREFIX = "/api/v3/brokerage/"
_PATTERNS = [(method, re.compile(pattern), name) for method, pattern, name in ENDPOINTS]


def endpoint_of(method: str, path: str) -> str:
    """The short name of the endpoint, or "" for what is none of the venue's (the admin endpoints among it)."""
    if not path.startswith(PREFIX):
        return OAUTH_ENDPOINTS.get((method, path), "")
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
    RESET_BEFORE = "reset-before"
    """Reset the connection (RST) at once; nothing was done."""
    RESET_AFTER = "reset-after"
    """Do it, then reset the connection at once."""
    SERVER_ERROR_BEFORE = "5xx-before"
    """Answer 503 with a page of HTML; nothing was done."""
    SERVER_ERROR_AFTER = "5xx-after"
    """Do it, then answer 502 with a page of HTML."""
    RATE_LIMITED = "429"
    """Answer 429; nothing was done."""
    GARBAGE = "garbage"
    """Do it, then answer 200 with text that is not JSON."""
    TRUNCATED = "truncated"
    """Do it, then answer 200 with the first half of the JSON, as if that were all."""
    CUT_SHORT = "cut-short"
    """Do it, then send the first half of the answer and reset the connection."""
    LATE_ARRIVAL = "late-arrival"
    """Reset the connection at once, and do it `seconds` later (or at `POST /simulator/release`)."""
    SLOW_LISTING = "slow-listing"
    """Get and list learn of the order `seconds` later (or at `POST /simulator/release`); the answer is as usual."""
    DUPLICATE_FILLS = "duplicate-fills"
    """The list of fills has every row twice, and a page begins with the row that ended the one before."""
    LOST_FILLS = "lost-fills"
    """The list of fills lacks its newest `rows` rows, while orders already count them."""


MODIFIERS = frozenset({Kind.LATENCY, Kind.SLOW_LISTING, Kind.DUPLICATE_FILLS, Kind.LOST_FILLS})
"""Kinds that go together with each other and with one of the rest."""

_HOMES = {
    Kind.LATE_ARRIVAL: ("create", "cancel"),
    Kind.SLOW_LISTING: ("create",),
    Kind.DUPLICATE_FILLS: ("fills",),
    Kind.LOST_FILLS: ("fills",),
}
"""Kinds that make sense at some endpoints only; the first is meant where none is named."""


class FaultError(ValueError):
    """A fault that cannot be understood; the text says why."""


@dataclass
class Fault:
    """One fault: where, what, and how often (`count` times, or each time with `probability`, until `until`)."""

    endpoint: str
    kind: Kind
    count: int | None = 1
    probability: Fraction | None = None
    milliseconds: int = 1000
    seconds: Fraction = Fraction(30)
    rows: int = 1
    until: int | None = None
    """When it ends by itself, in microseconds since 1970."""
    hits: int = 0

    @property
    def micros(self) -> int:
        """`seconds` in microseconds."""
        return int(self.seconds * 1_000_000)

    @property
    def is_spent(self) -> bool:
        """Whether it can strike no more."""
        return self.count == 0 or (self.until is not None and self.until <= Clock.micros())

    def as_json(self) -> dict[str, Any]:
        """As the admin endpoint shows it."""
        return {
            "endpoint": self.endpoint,
            "kind": self.kind.value,
            "count": self.count,
            "probability": None if self.probability is None else str(self.probability),
            "milliseconds": self.milliseconds,
            "seconds": str(self.seconds),
            "rows": self.rows,
            "until": self.until,
            "hits": self.hits,
        }


_FIELDS = frozenset({"endpoint", "kind", "count", "probability", "milliseconds", "seconds", "rows", "lasts"})


def parse(values: Mapping[str, Any]) -> Fault:
    """A fault from the admin's JSON or from the command line's words. `lasts` are seconds from now."""
    unknown = values.keys() - _FIELDS
    if unknown:
        raise FaultError(f"unknown fields: {', '.join(sorted(unknown))}")
    kind = str(values.get("kind", ""))
    if kind not in set(Kind):
        raise FaultError(f"unknown kind {kind!r}; one of {', '.join(Kind)}")
    endpoint = _endpoint(Kind(kind), values.get("endpoint"))
    try:
        chance = None if values.get("probability") is None else Fraction(str(values["probability"]))
        lasts = None if values.get("lasts") is None else Fraction(str(values["lasts"]))
        count = values.get("count", None if chance is not None or lasts is not None else 1)
        fault = Fault(
            endpoint=endpoint,
            kind=Kind(kind),
            count=None if count is None else int(count),
            probability=chance,
            milliseconds=int(values.get("milliseconds", 1000)),
            seconds=Fraction(str(values.get("seconds", "30"))),
            rows=int(values.get("rows", 1)),
            until=None if lasts is None else Clock.micros() + int(lasts * 1_000_000),
        )
    except (ValueError, TypeError, ZeroDivisionError) as error:
        raise FaultError(f"not a number: {error}") from error
    numbers = (fault.milliseconds, fault.seconds, fault.count or 0, fault.rows, lasts or 0)
    if min(numbers) < 0 or not 0 <= (chance or 0) <= 1:
        raise FaultError("numbers must not be negative, and a probability not above 1")
    return fault


def _endpoint(kind: Kind, wanted: object) -> str:
    homes = _HOMES.get(kind, tuple(sorted(NAMES)))
    endpoint = str(wanted) if wanted is not None else ("any" if kind not in _HOMES else homes[0])
    if endpoint not in NAMES:
        raise FaultError(f"unknown endpoint {endpoint!r}; one of {', '.join(sorted(NAMES))}")
    if endpoint not in homes:
        raise FaultError(f"{kind} strikes {' or '.join(homes)} only, not {endpoint}")
    return endpoint


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
        """The faults that hit this request: every modifier, and the first of the others."""
        self.active = [fault for fault in self.active if not fault.is_spent]
        struck: list[Fault] = []
        for fault in self.active:
            if not endpoint or fault.endpoint not in (endpoint, "any"):
                continue
            if fault.kind not in MODIFIERS and any(other.kind not in MODIFIERS for other in struck):
                continue
            if fault.probability is not None and self._dice.randrange(1_000_000) >= fault.probability * 1_000_000:
                continue
            fault.hits += 1
            if fault.count is not None:
                fault.count -= 1
            struck.append(fault)
        self.active = [fault for fault in self.active if not fault.is_spent]
        return struck
