"""Who did something, and what a verification of the log said."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Self
from uuid import UUID


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
    `anchored` is how many anchors it compared: of an intact log these are checkpoints 1, 2, 3 up to that number.
    """

    verified_at: datetime
    result: Result
    events: int
    findings: int
    by: str
    anchored: int = 0

    @property
    def intact(self) -> bool:
        """Everything was looked at, and nothing was wrong."""
        return self.result is Result.INTACT


class Channel(StrEnum):
    """How an alarm gets to people, besides the console."""

    LOG = "LOG"
    WEBHOOK = "WEBHOOK"
    EMAIL = "EMAIL"


class NoticeState(StrEnum):
    """Where one telling of an alarm stands. SUPERSEDED: told anew before it got out. MOOT: of no use any more."""

    OWED = "OWED"
    DELIVERED = "DELIVERED"
    SUPERSEDED = "SUPERSEDED"
    MOOT = "MOOT"


class Says(StrEnum):
    """What a telling says of an alarm: that it is open, that somebody has acknowledged it, that it is over."""

    OPEN = "OPEN"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    OVER = "OVER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Something unresolved since `since`, which is an alarm once that is longer ago than `bound_s` seconds.

    `extent` is how many things it is about: twice as many is worse, and is told anew. `by_us` says that what should
    have happened is done by the desk itself, which could do nothing while it was switched off.
    """

    code: str
    subject: str
    message: str
    since: datetime
    bound_s: int
    extent: int = 1
    by_us: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAlarm:
    """What the rules need to know of an alarm that is not cleared."""

    id: int
    code: str
    subject: str
    extent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What a sweep is to do: open these, tell these anew because they grew, and clear these."""

    raised: tuple[Standing, ...]
    grown: tuple[tuple[OpenAlarm, Standing], ...]
    cleared: tuple[OpenAlarm, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """How far the telling of one alarm is: how often it was told, and when it may be told again (None: at once)."""

    told: int
    tell_at: datetime | None
    acknowledged: bool
    cleared: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What people are told of an alarm, for the `number`-th time. `key` names this telling by this channel.

    `at` is since when it is as it `says`; `by` is who acknowledged it, "" for what else it says.
    """

    key: UUID
    number: int
    code: str
    subject: str
    message: str
    means: str
    do: str
    extent: int
    since: datetime
    environment: str
    says: Says
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one attempt to tell: `text` is what the other side said, or why it could not be reached."""

    delivered: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsealed:
    """Events that no checkpoint covers yet."""

    events: int
    oldest_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FailingChannel:
    """A channel by which nothing gets out, since when, and what was last answered."""

    channel: Channel
    since: datetime
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmSummary:
    """The open alarms in three figures. `unseen` ones are those nobody has acknowledged."""

    open: int
    unseen: int
    oldest_unseen_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogHead:
    """The id of the newest event, how many are sealed, and when the newest checkpoint was made."""

    event_id: int
    sealed: int
    checkpoint_at: datetime | None


class Happened(NamedTuple):
    """That an event was recorded: not what it says."""

    id: int
    kind: str
    subject: str
    recorded_at: datetime
