"""What goes wrong on sockets, on demand: messages lost, doubled, swapped or held back, prices that stand still."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any

from apps.connectors.simulator.clock import Clock
from apps.connectors.simulator.faults import FaultError

SIDES = ("user", "market", "any")
LEVELS_OF_FIVE_MB = 22_000


class SocketKind(StrEnum):
    """What goes wrong. `count` is a number of messages, of connects, or of subscribes."""

    GAP = "gap"
    """Lose messages: their sequence numbers are used up."""
    DUPLICATE = "duplicate"
    """Send messages twice, under one sequence number."""
    REPEAT = "repeat"
    """Send messages twice, each under its own sequence number."""
    REORDER = "reorder"
    """Hold a message back and send the next one first."""
    SILENCE = "silence"
    """Say nothing at all; what would have been said is lost, its sequence numbers used up."""
    HEARTBEATS_ONLY = "heartbeats-only"
    """Go on with heartbeats; nothing else is said, and no sequence number used up for it."""
    STALE_PRICES = "stale-prices"
    """Go on with the market's messages, their content and times those of the last one before."""
    LARGE_SNAPSHOT = "large-snapshot"
    """Level 2 snapshots have `levels` levels a side (5 MB in all)."""
    REFUSE = "refuse"
    """Refuse connects with 503."""
    DENY = "deny"
    """Answer subscribes with an authentication failure."""
    DROP = "drop"
    """Reset every connection now."""
    CLOSE = "close"
    """Close every connection now, properly, with `code`."""


IMMEDIATE = frozenset({SocketKind.DROP, SocketKind.CLOSE})
_FIELDS = frozenset({"kind", "on", "channel", "count", "lasts", "levels", "code"})


@dataclass
class SocketFault:
    """One fault: on which socket and channel ("" is every one), and how often or until when."""

    kind: SocketKind
    on: str
    channel: str = ""
    count: int | None = 1
    until: int | None = None
    levels: int = LEVELS_OF_FIVE_MB
    code: int = 1000
    hits: int = 0

    @property
    def is_spent(self) -> bool:
        """Whether it can strike no more."""
        return self.count == 0 or (self.until is not None and self.until <= Clock.micros())

    def as_json(self) -> dict[str, Any]:
        """As the admin endpoint shows it."""
        return {**vars(self), "kind": self.kind.value}


def parse(values: Mapping[str, Any]) -> SocketFault:
    """A fault from the admin's JSON or the command line's words. `lasts` are seconds from now.

    Faults that are a state of the line (silence and the like) last until they are taken back, unless told otherwise.
    """
    if unknown := values.keys() - _FIELDS:
        raise FaultError(f"unknown fields: {', '.join(sorted(unknown))}")
    kind, on = str(values.get("kind", "")), str(values.get("on", "any"))
    if kind not in set(SocketKind):
        raise FaultError(f"unknown kind {kind!r}; one of {', '.join(SocketKind)}")
    if on not in SIDES:
        raise FaultError(f"a fault is on one of {', '.join(SIDES)}")
    lasting = kind in {SocketKind.SILENCE, SocketKind.HEARTBEATS_ONLY, SocketKind.STALE_PRICES}
    try:
        lasts = None if values.get("lasts") is None else Fraction(str(values["lasts"]))
        count = values.get("count", None if lasting or lasts is not None else 1)
        fault = SocketFault(
            kind=SocketKind(kind),
            on=on,
            channel=str(values.get("channel", "")),
            count=None if count is None else int(count),
            until=None if lasts is None else Clock.micros() + int(lasts * 1_000_000),
            levels=int(values.get("levels", LEVELS_OF_FIVE_MB)),
            code=int(values.get("code", 1000)),
        )
    except (ValueError, TypeError, ZeroDivisionError) as error:
        raise FaultError(f"not a number: {error}") from error
    if min(fault.count or 0, lasts or 0, fault.levels) < 0 or not 1000 <= fault.code < 5000:
        raise FaultError("numbers must not be negative, and a code is between 1000 and 4999")
    return fault


def parse_words(text: str) -> SocketFault:
    """The command line's form, `user:gap:count=2,channel=user`."""
    on, _, rest = text.partition(":")
    kind, _, options = rest.partition(":")
    pairs = [option.partition("=") for option in options.split(",") if option]
    return parse({"on": on, "kind": kind} | {name.strip(): value for name, _, value in pairs})


class SocketFaults:
    """The socket faults in force."""

    def __init__(self, initial: list[SocketFault]) -> None:
        self.active = list(initial)

    def strike(self, kind: SocketKind, on: str, channel: str = "") -> SocketFault | None:
        """The fault of that kind that hits now, one of its times used up."""
        self.active = [fault for fault in self.active if not fault.is_spent]
        for fault in self.active:
            if fault.kind is kind and fault.on in (on, "any") and fault.channel in ("", channel):
                fault.hits += 1
                if fault.count is not None:
                    fault.count -= 1
                return fault
        return None
