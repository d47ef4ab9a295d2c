"""What a desk hears of the audit log, whom it concerns, and how a reader of the log misses nothing. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from apps.audit.types import Happened
from apps.common.decimals import instant_text

MISSED_KEPT_S: Final = 120.0
"""How long a number that was given out and not seen is waited for: far longer than any transaction of ours lasts."""
MISSED_MAX: Final = 2_000
_FILL: Final = "order.fill"


class Told(NamedTuple):
    """What an event is about: the word a client reads, and the id."""

    subject: str
    subject_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One event as a desk hears it. `connection` is its short name, empty for what concerns everybody.

    `proposer` is whose proposal it belongs to, if it does.
    """

    id: int
    at: datetime
    kind: str
    told: Told
    state: str
    connection: str
    proposer: UUID | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "id": self.id,
            "at": instant_text(self.at),
            "kind": self.kind,
            "subject": self.told.subject,
            "subject_id": self.told.subject_id,
            "state": self.state,
            "connection": self.connection or None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What a caller may hear of: connections by short name, alarms, and of proposals only those of `proposer`, if set.

    `names` are the connections as people call them, by short name.
    """

    names: tuple[tuple[str, str], ...]
    alarms: bool
    proposer: UUID | None = None

    @property
    def connections(self) -> frozenset[str]:
        return frozenset(slug for slug, _ in self.names)

    def shows(self, news: News) -> bool:
        """Whether this caller hears of it."""
        if news.told.subject == "alarm":
            return self.alarms
        if news.connection and news.connection not in self.connections:
            return False
        return self.proposer is None or news.proposer in (None, self.proposer)


def told_of(event: Happened) -> Told | None:
    """What an event is about; None for what no desk watches: people, keys, policies, reservations, the log itself."""
    family, _, rest = event.subject.partition(":")
    about = event.kind.partition(".")[0]
    if about in ("proposal", "vote"):
        return Told("proposal", event.subject)
    if about == "order":
        return Told("fill" if event.kind == _FILL else "order", event.subject)
    if family in ("alarm", "difference", "connection"):
        return Told(family, rest)
    return Told("trading-state", rest) if family == "trading_state" else None


@dataclass(slots=True)
class Place:
    """How far the log was read.

    Numbers are given out before transactions commit: what was not seen among those that were may still come. Each is
    asked for again until it is seen, or MISSED_KEPT_S have passed and its transaction must have been undone.
    """

    last: int
    missed: dict[int, float] = field(default_factory=dict)

    @classmethod
    def at_end(cls, newest: Sequence[int], at: float) -> "Place":
        """After the newest of these ids (newest first), waiting for what is not among them."""
        place = cls(last=newest[0] if newest else 0)
        place._wait_for(range(newest[-1], newest[0]) if newest else (), set(newest), at)
        return place

    def take(self, ids: Iterable[int], at: float) -> None:
        """These were seen, at this second."""
        seen = set(ids)
        newest = max(seen, default=0)
        if newest > self.last:
            self._wait_for(range(self.last + 1, newest), seen, at)
            self.last = newest
        for number in seen:
            self.missed.pop(number, None)
        for number in [number for number, since in self.missed.items() if at - since > MISSED_KEPT_S]:
            del self.missed[number]

    def _wait_for(self, given_out: "range | tuple[int, ...]", seen: set[int], at: float) -> None:
        for number in given_out[-MISSED_MAX:]:
            if number not in seen:
                self.missed[number] = at
        while len(self.missed) > MISSED_MAX:
            del self.missed[next(iter(self.missed))]
