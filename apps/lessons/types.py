"""Words of what is remembered: cases, what went wrong, what was recalled. Plain values, no framework."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final
from uuid import UUID


class CaseSource(StrEnum):
    """Where a closed trade comes from; with `source_id` it is known once."""

    OUTCOME = "OUTCOME"
    REPORTED = "REPORTED"
    IMPORTED = "IMPORTED"


class Result(StrEnum):
    """How a closed trade ended, after fees. UNKNOWN where the cost of what was sold is not known."""

    WON = "WON"
    LOST = "LOST"
    FLAT = "FLAT"
    UNKNOWN = "UNKNOWN"


class CaseVerdict(StrEnum):
    """Why it ended as it did: a rule of one's own was broken, the plan was followed and lost, the order went wrong, the
    data was wrong, or nobody knows."""

    PROCESS_ERROR = "PROCESS_ERROR"
    PLANNED_LOSS = "PLANNED_LOSS"
    EXECUTION = "EXECUTION"
    DATA = "DATA"
    UNKNOWN = "UNKNOWN"


class ReviewState(StrEnum):
    """What people made of a lesson. A disputed, superseded, merged or retired one is kept and no longer counts."""

    AUTO = "AUTO"
    REVIEWED = "REVIEWED"
    DISPUTED = "DISPUTED"
    SUPERSEDED = "SUPERSEDED"
    RETIRED = "RETIRED"


class TakeOut(StrEnum):
    """What takes a case, or what counts of it, out of the evidence: it needs two reviewers."""

    DISPUTED = "DISPUTED"
    RETIRED = "RETIRED"
    SUPERSEDED = "SUPERSEDED"
    MERGED = "MERGED"
    CORRECTED = "CORRECTED"

    @property
    def sentence(self) -> str:
        return {
            TakeOut.DISPUTED: "It was not so, and does not count.",
            TakeOut.RETIRED: "It teaches nothing any more, and does not count.",
            TakeOut.SUPERSEDED: "Another lesson says it better: this one does not count.",
            TakeOut.MERGED: "Another lesson stands for both: this one does not count.",
            TakeOut.CORRECTED: "Less of it counts.",
        }[self]


STANDING: Final = (ReviewState.AUTO, ReviewState.REVIEWED)
"""States in which a lesson teaches, and its case is evidence."""


class TagSource(StrEnum):
    """Who says a mistake was made: a rule over facts, sentences like it, the reporter, or a reviewer."""

    RULE = "RULE"
    PROTOTYPE = "PROTOTYPE"
    REPORTED = "REPORTED"
    HUMAN = "HUMAN"


class MistakeTag(StrEnum):
    """The closed list of mistakes."""

    AVERAGED_DOWN = "averaged_down"
    CARRY_COST = "carry_cost"
    CHASED_BREAKOUT = "chased_breakout"
    CHOP = "chop"
    CORRELATED = "correlated"
    CROWDED = "crowded"
    FALLING_KNIFE = "falling_knife"
    FAT_FINGER = "fat_finger"
    HELD_EVENT = "held_event"
    NO_CONFIRMATION = "no_confirmation"
    NO_STOP = "no_stop"
    OVERFIT = "overfit"
    OVERNIGHT_GAP = "overnight_gap"
    OVERSIZED = "oversized"
    REVENGE = "revenge"
    ROLL_EXPIRY = "roll_expiry"
    ROUND_TRIP = "round_trip"
    SHORT_SQUEEZE = "short_squeeze"
    SLIPPAGE = "slippage"
    STALE_DATA = "stale_data"
    STOP_TOO_TIGHT = "stop_too_tight"
    THESIS_BROKEN = "thesis_broken"
    VOL_CRUSH = "vol_crush"
    WEEKEND = "weekend"


class TextKind(StrEnum):
    """The two texts of a case that are embedded, each as a vector of its own."""

    THESIS = "thesis"
    NARRATIVE = "narrative"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing a detector measured at decision time: `value` in `unit` against `limit`.

    `value` is None where it could not be known; `violated` is None then too, and where the fact has no limit. `told` is
    one that nobody measured here: whoever proposed or reported the trade says so.
    """

    name: str
    value: Decimal | None
    unit: str
    limit: Decimal | None = None
    violated: bool | None = None
    told: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TagFound:
    """A mistake that somebody or something sees. `confidence` from 0 to 1; a rule over facts is sure."""

    tag: MistakeTag
    source: TagSource
    confidence: Decimal = Decimal(1)
    because: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What was meant before anything was done. Prices in quote currency, `risk` is the money at stake at the stop.
    `told` are facts that whoever planned it states, by the names of `rules.detectors.TOLD`."""

    thesis: str = ""
    setup: str = ""
    entry: Decimal | None = None
    stop: Decimal | None = None
    target: Decimal | None = None
    risk: Decimal | None = None
    told: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedTrade:
    """A closed trade as it is handed over to be remembered. Money in `quote_currency`, times aware UTC.

    `side` is the side of the entry (BUY for a long). `pnl` is after `fees`, None where the cost is unknown.
    `r_multiple`, `mfe_r` and `mae_r` are in multiples of the planned risk, None without a plan. `facts` were true when
    it was decided.
    """

    source: CaseSource
    source_id: str
    desk: UUID
    environment: str
    product: str
    asset_class: str
    side: str
    quantity: Decimal
    quote_currency: str
    entry_price: Decimal | None
    exit_price: Decimal
    fees: Decimal
    pnl: Decimal | None
    opened_at: datetime | None
    closed_at: datetime
    plan: Plan = Plan()
    pnl_pct: Decimal | None = None
    r_multiple: Decimal | None = None
    mfe_r: Decimal | None = None
    mae_r: Decimal | None = None
    exit_reason: str = ""
    regime: str = ""
    notes: str = ""
    proposal_id: UUID | None = None
    proposer_id: UUID | None = None
    approver_ids: Sequence[UUID] = ()
    facts: Sequence[Fact] = ()
    tags: Sequence[TagFound] = ()


class EntryKind(StrEnum):
    """What a point of the vector index stands for."""

    CASE = "CASE"
    CHUNK = "CHUNK"


class EntryState(StrEnum):
    """Where a text is on its way into the index."""

    PENDING = "PENDING"
    INDEXED = "INDEXED"
    FAILED = "FAILED"
    GONE = "GONE"


class SpaceState(StrEnum):
    """An embedding space is filled beside the active one, takes its place in one step, and is dropped after a while."""

    BUILDING = "BUILDING"
    ACTIVE = "ACTIVE"
    OLD = "OLD"


class RecallPurpose(StrEnum):
    """Who asked what is similar."""

    QUERY = "QUERY"
    PROPOSAL = "PROPOSAL"
    PAGE = "PAGE"
    POLICY = "POLICY"


class FeedbackVerdict(StrEnum):
    """What the reader of a recalled lesson said of it."""

    USEFUL = "USEFUL"
    NOT_SIMILAR = "NOT_SIMILAR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What a recall is limited to; empty means all."""

    product: str = ""
    asset_class: str = ""
    side: str = ""
    regime: str = ""
    setup: str = ""
    verdict: str = ""
    tags: Sequence[MistakeTag] = ()
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What comparable closed trades came to, counted in SQL. `p_above_base` is None with `n` 0: nothing is known.

    `case_ids` are the losses counted, the worst first. `base_rate` is the loss rate of the desk's other closed trades
    in the window, and leans to a prior where these are few; `p_above_base` is how probable it is that the comparable
    ones lose more often. `worst_r` is the worst loss that shares a mistake, in multiples of its planned risk.
    `supposing`: the same by the name of an unknown fact, as it would be if that were as bad as can be ("all": if all of
    them were), where it would speak more against the trade.
    """

    n: int
    losses: int
    wins: int
    base_rate: Decimal | None
    p_above_base: Decimal | None
    worst_r: Decimal | None
    window_days: int
    case_ids: Sequence[UUID] = ()
    tags: Sequence[str] = ()
    unknown_facts: Sequence[str] = ()
    supposing: Mapping[str, "Evidence"] = field(default_factory=dict)
    details: Mapping[str, object] = field(default_factory=dict)


class MediaType(StrEnum):
    """The kinds of document that are read."""

    TEXT = "text/plain"
    MARKDOWN = "text/markdown"
    HTML = "text/html"
    PDF = "application/pdf"


class IngestOutcome(StrEnum):
    """What became of a document that was handed over."""

    ADDED = "ADDED"
    CHANGED = "CHANGED"
    UNCHANGED = "UNCHANGED"
    REFUSED = "REFUSED"
