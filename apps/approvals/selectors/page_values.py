"""The decision page as frozen values: every word on it is decided before a template sees it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One of the four answers. `now` and `add` are percent of a bound as text; `kind` is "", "warn" or "stale"."""

    key: str
    question: str
    answer: str
    unit: str = ""
    note: str
    icon: str = ""
    tone: str = ""
    kind: str = ""
    now: str = "0"
    add: str = "0"
    bar_kind: str = ""
    bar_label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One limit before and after this order; `is_stale` where it was computed at a price that is old."""

    name: str
    sub: str
    before: str
    after: str
    extra: str = ""
    now: str
    add: str
    used: str
    left: str
    is_stale: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRow:
    """One rule with a number: what was measured, the limit, the room left, how much is used (percent as text)."""

    name: str
    key: str
    code: str
    observed: str
    operator: str
    limit: str
    room: str
    used: str
    bar_kind: str
    kind: str
    icon: str
    verdict: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Policy's answer, tightest first; `folded` are the passing rules without a number, in one sentence."""

    title: str
    note: str
    rows: tuple[RuleRow, ...]
    folded: str
    asks: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SumLine:
    """One line of a sum or of facts. `tone` is "", "gain" or "loss"."""

    label: str
    value: str
    tone: str = ""
    is_sum: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A list of facts with a title, an aside and a sentence below."""

    title: str
    aside: str
    lines: tuple[SumLine, ...]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteLine:
    """What one person said. `words` follows the name: "approved", "declined", "have not voted"."""

    who: str
    words: str
    icon: str
    ago: str = ""
    comment: str = ""
    difference: str = ""
    saw: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """The price of the market now. Texts are empty where none is known."""

    instrument: str
    bid: str = ""
    ask: str = ""
    spread: str = ""
    received_at: datetime | None = None
    age: str = ""
    is_stale: bool = True
    bound_s: int = 0
    signed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Off:
    """Why Approve is off: one sentence, what brings it back, and whether it comes back by itself."""

    code: str
    sentence: str
    help: str
    passes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Callout:
    """One sentence that changes what the reader does."""

    kind: str
    icon: str
    lead: str
    text: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Follow:
    """What became of it after the votes: the order at the venue, the price paid against the price seen."""

    state: str
    lead: str
    text: str
    is_moving: bool
    kind: str
    icon: str
    lines: tuple[SumLine, ...] = ()
    order_id: UUID | None = None
    may_cancel: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What the proposer wrote: foreign text, shown inert."""

    author: str
    text: str
    confidence: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LessonLine:
    """One trade that was recalled. `cost` is what it brought, in `currency`; `same` what is the same here; `said` what
    this person said of it (USEFUL, NOT_SIMILAR or nothing); `may_differ`: also that it is not similar; `is_counter`: it
    won."""

    item: UUID
    lesson: UUID | None
    case: UUID
    side: str
    what: str
    ended: str
    when: str
    cost: str
    tone: str
    currency: str
    in_r: str
    likeness: str
    same: str
    next_time: str
    said: str
    may_rate: bool
    may_differ: bool
    is_counter: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Lessons:
    """What the memory says: `lead` and `note` where it shows no loss, `foot` what is to be known of the answer, `tile`
    the count of comparable trades."""

    tile: Tile
    lead: str = ""
    note: str = ""
    lines: tuple[LessonLine, ...] = ()
    aside: str = ""
    foot: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The frozen bytes in full: the terms line by line, the venue's request as it is sent, and both digests."""

    terms: tuple[tuple[str, str], ...]
    digest: str
    request: str
    request_digest: str
    venue: str
    is_intact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """The opening: `Buy` `0.05 BTC` for at most `3,214.60 USD` on Coinbase (paper)."""

    side: str
    what: str
    bound: str
    worth: str
    where: str
    then: str
    short: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """The vote: who has said what, what is still needed, what this person's click would do.

    `waiver` says, where no person was asked, what waived that. `is_alone`: a desk of one decides what its own key asks.
    `why_different`: where each voter must write what is different this time, why. `second_factors`: where each voter
    must show one, those this person has (`totp`, `webauthn`).
    """

    have: int
    needed: int
    votes: tuple[VoteLine, ...]
    is_open: bool
    may_vote: bool
    off: Off | None
    why_no_vote: str = ""
    waiver: str = ""
    second_factors: frozenset[str] | None = None
    why_different: str = ""
    is_alone: bool = False
    may_revoke: bool = False
    consequence: str = ""
    consequence_lead: str = ""

    @property
    def has_app(self) -> bool:
        return "totp" in (self.second_factors or ())

    @property
    def has_key(self) -> bool:
        return "webauthn" in (self.second_factors or ())

    @property
    def may_approve(self) -> bool:
        return self.may_vote and self.off is None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionPage:
    """Everything on the decision page of one proposal, for one person, at one instant."""

    id: UUID
    label: str
    state: str
    environment: str
    now: datetime
    sentence: Sentence
    asked_by: str
    asked_for: str
    asked_at: datetime
    asked_ago: str
    expires_at: datetime
    seconds_left: int
    lasts_s: int
    left: str
    runs_out: str
    price: Price
    ballot: Ballot
    tiles: tuple[Tile, ...]
    changes: tuple[Change, ...]
    rules: Rules
    costs: Sheet | None
    record: Sheet | None
    sent: Sent
    statement: Statement
    version: str
    policy_version: str = ""
    tier: str = ""
    callout: Callout | None = None
    follow: Follow | None = None
    lessons: Lessons | None = None
    gobar: str = ""

    @property
    def left_percent(self) -> str:
        """How much of the time to decide is left, in percent as text."""
        return "0" if self.lasts_s <= 0 else str(max(0, min(100, 100 * self.seconds_left // self.lasts_s)))

    @property
    def is_urgent(self) -> bool:
        """Under a minute: the time left turns amber."""
        return self.seconds_left < 60
