"""Who did something."""

from dataclasses import dataclass
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
