"""Who did something, and what a verification of the log said."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Self


class ActorKind(StrEnum):
    USER = "user"
    API_KEY = "api_key"
    SYSTEM = "system"


@dataclass(frozen=True)
class Actor:
    """A person, a key or a part of Aika. `id` is a UUID as text, or the part's name.

    `name` is what people read and is frozen into the event. `on_behalf_of` is the id of the person a key works for.
    """

    kind: ActorKind
    id: str
    name: str
    on_behalf_of: str | None = None

    @classmethod
    def system(cls, part: str) -> Self:
        """A part of Aika itself, such as "execution"."""
        return cls(ActorKind.SYSTEM, part, part)


class Result(StrEnum):
    """What a verification says of the whole log."""

    INTACT = "intact"
    TAMPERED = "tampered"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True)
class Verification:
    """A verification of the whole log, as the log itself remembers it.

    `verified_at` is when it began: nothing recorded later is vouched for. `by` is who asked for it, as people read it.
    """

    verified_at: datetime
    result: Result
    events: int
    findings: int
    by: str

    @property
    def intact(self) -> bool:
        """Everything was looked at, and nothing was wrong."""
        return self.result is Result.INTACT
