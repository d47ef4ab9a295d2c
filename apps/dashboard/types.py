"""What the desk's pages show, ready to be written out. No Django here."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

STATE_ICONS: Final = {"ACTIVE": "ok", "REDUCING": "warn", "HALTED": "halt"}
_WORK: Final = {
    "trades.order": "watch",
    "trades.position": "watch",
    "policies.latch": "watch",
    "trades.equitymark": "watch",
    "trades.difference": "watch",
    "audit.alarm": "watch",
    "connectors.balancerecord": "watch",
    "policies.tradingstate": "watch",
    "policies.budget": "watch",
    "policies.reservation": "look_back",
    "policies.decision": "look_back",
    "trades.hook": "set_up",
    "lessons.knowledgedocument": "set_up",
    "lessons.knowledgesource": "set_up",
    "lessons.indexspace": "set_up",
    "lessons.indexentry": "watch",
    "accounts.idempotencyrecord": "look_back",
}
_SET_UP_APPS: Final = frozenset({"accounts", "auth", "connectors", "policies", "django_celery_beat"})


def kind_of_work(label: str) -> str:
    """Watch, set up or look back: where the pages of a model (`app.model`) stand."""
    return _WORK.get(label) or ("set_up" if label.partition(".")[0] in _SET_UP_APPS else "look_back")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedLine:
    """How alive the prices are that somebody waits for. `age` is empty where no price is needed."""

    words: str
    age: str = ""
    is_late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmLine:
    """What the bar says of alarms. `age` is empty where nothing waits to be acknowledged."""

    words: str
    age: str = ""
    is_unseen: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldRows:
    """Instruments and in words when each was last told of, `silent` of them not yet; `left_out` more are not shown."""

    rows: tuple[tuple[str, str], ...]
    silent: int
    left_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The bar at the head of every page, for one person at `now`.

    `is_known` is false for people who are not signed in: they see the environment and the time, nothing else. `state`
    is the mildest of the connections' states, `state_aside` counts those that are worse, `state_note` names them;
    `all_halted` says that the row for everything is HALTED: there is nothing left to halt. `desk_of_one`: a person may
    decide alone here, which every page says.
    """

    now: datetime
    environment: str
    paper_too: bool = False
    is_known: bool = False
    state: str = "HALTED"
    state_aside: str = ""
    state_note: str = ""
    all_halted: bool = False
    desk_of_one: bool = False
    feed: FeedLine = FeedLine(words="")
    alarms: AlarmLine = AlarmLine(words="")
    alarms_url: str = ""
    waiting: int = 0
    may_halt: bool = False

    @property
    def environment_word(self) -> str:
        return self.environment.upper()

    @property
    def state_icon(self) -> str:
        return STATE_ICONS.get(self.state, "halt")

    @property
    def state_words(self) -> str:
        """`ACTIVE`, or `ACTIVE, 1 HALTED` where one connection is worse off than the rest."""
        return f"{self.state}, {self.state_aside}" if self.state_aside else self.state


@dataclass(frozen=True, slots=True)
class Say:
    """What stands behind a link now. `kind` tints the words (a chip with its icon)."""

    words: str
    kind: str = ""
    icon: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One way from the desk to a page: what it is called and what stands there now."""

    name: str
    url: str
    says: tuple[Say, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkGroup:
    """Links that belong to one kind of work."""

    key: str
    name: str
    aside: str
    links: tuple[Link, ...]
