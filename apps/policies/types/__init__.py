"""Words of policy: what is asked, what is known, what was said. Plain values, no framework."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

from apps.policies.types.codes import ReasonCode as ReasonCode


class Verdict(StrEnum):
    """What policy says of an ask, mildest first."""

    ALLOW = "ALLOW"
    NEEDS_APPROVAL = "NEEDS_APPROVAL"
    DENY = "DENY"


SEVERITY: Mapping[Verdict, int] = {Verdict.ALLOW: 0, Verdict.NEEDS_APPROVAL: 1, Verdict.DENY: 2}


class LineVerdict(StrEnum):
    """What one rule says. FAIL and ERROR deny, REQUIRE asks for people, the others let pass."""

    PASS = "PASS"  # noqa: S105  a verdict, no password
    NOT_APPLICABLE = "NOT_APPLICABLE"
    REQUIRE = "REQUIRE"
    FAIL = "FAIL"
    ERROR = "ERROR"


class State(StrEnum):
    """Trading state of a connection or of everything; the worst one in force counts."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


class LatchKind(StrEnum):
    """What trips by itself, and stays tripped until two people reset it: no clock, no better price does."""

    DAILY_LOSS = "DAILY_LOSS"
    DRAWDOWN = "DRAWDOWN"
    REPEATED_REJECTS = "REPEATED_REJECTS"
    MISMATCH = "MISMATCH"
    QUOTES_DEAD = "QUOTES_DEAD"
    AUDIT_FAILURE = "AUDIT_FAILURE"

    @property
    def imposes(self) -> State:
        """The trading state it brings about: what may be wrong with orders halts, what may only grow risk reduces."""
        return State.REDUCING if self in _REDUCING else State.HALTED

    @property
    def sentence(self) -> str:
        """What it means, for a person who meets it for the first time."""
        return _LATCHED[self]

    @property
    def loosening(self) -> str:
        """What two people should have looked at before they reset it."""
        return _LOOSENED[self]


_REDUCING = frozenset({LatchKind.DAILY_LOSS, LatchKind.DRAWDOWN, LatchKind.QUOTES_DEAD})
_LATCHED: Mapping[LatchKind, str] = {
    LatchKind.DAILY_LOSS: "More was lost in one day than policy allows.",
    LatchKind.DRAWDOWN: "What is held is worth too much less than it once was.",
    LatchKind.REPEATED_REJECTS: "The venue rejects one order after the other.",
    LatchKind.MISMATCH: "The venue has another order than the one that was sent.",
    LatchKind.QUOTES_DEAD: "Orders rest at the venue, and no price comes.",
    LatchKind.AUDIT_FAILURE: "What happened cannot be put on record, or the record is not what was written.",
}
_LOOSENED: Mapping[LatchKind, str] = {
    LatchKind.DAILY_LOSS: "Say why the loss came about. While it is above the limit, the rule goes on denying.",
    LatchKind.DRAWDOWN: "Say why. A reset makes what is held now the mark that the next fall is measured from.",
    LatchKind.REPEATED_REJECTS: "Find out why the venue rejects; only rejects after the reset count anew.",
    LatchKind.MISMATCH: "Look at the order at the venue, cancel it there or book what it did.",
    LatchKind.QUOTES_DEAD: "Bring the prices back, or cancel what rests; else it trips again.",
    LatchKind.AUDIT_FAILURE: "Find out what changed the log, or why it takes no entry; else it trips again.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeEvidence:
    """What speaks for loosening a trading state: the venue agrees with our rows, and the audit log is intact.

    `reconciled_at` and `verified_at` are None where that has never been done. `differences` are sentences, one for each
    thing on which the venue and we disagree; `intact` is false where the log is tampered with or cannot be vouched for.
    """

    reconciled_at: datetime | None
    differences: tuple[str, ...]
    verified_at: datetime | None
    intact: bool

    @property
    def is_clean(self) -> bool:
        """Whether the last reconciliation found nothing."""
        return self.reconciled_at is not None and not self.differences


class Gate(StrEnum):
    """Where on its way an ask was judged: when proposed, when the quorum completes, when the order is claimed."""

    PROPOSAL = "PROPOSAL"
    APPROVAL = "APPROVAL"
    CLAIM = "CLAIM"


class VersionState(StrEnum):
    """Life of a policy version. Only a draft can be edited; only an active one judges."""

    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    RETIRED = "RETIRED"


class RuleKind(StrEnum):
    """The closed set of rules. A kind outside it denies."""

    ALLOWED_INSTRUMENT = "allowed_instrument"
    RESTRICTED_LIST = "restricted_list"
    ALLOWED_ORDER_TYPES = "allowed_order_types"
    MAX_ORDER_QUANTITY = "max_order_quantity"
    MAX_ORDER_NOTIONAL = "max_order_notional"
    MIN_NOTIONAL = "min_notional"
    PRICE_COLLAR = "price_collar"
    STALE_QUOTE = "stale_quote"
    FUNDS = "funds"
    MAX_POSITION = "max_position"
    MAX_GROSS_EXPOSURE = "max_gross_exposure"
    DAILY_NOTIONAL = "daily_notional"
    DAILY_LOSS = "daily_loss"
    DRAWDOWN = "drawdown"
    ORDER_RATE = "order_rate"
    DUPLICATE = "duplicate"
    SIMILAR_LOSSES = "similar_losses"
    TRADING_STATE = "trading_state"
    APPROVALS_REQUIRED = "approvals_required"


class FactKind(StrEnum):
    """What a fact is about. Which values of each are read, and how strictly, stands in rules/reading.py."""

    TRADING_STATE = "TRADING_STATE"
    INSTRUMENT = "INSTRUMENT"
    QUOTE = "QUOTE"
    BALANCES = "BALANCES"
    FEES = "FEES"
    POSITION = "POSITION"
    GROSS = "GROSS"
    DAY_NOTIONAL = "DAY_NOTIONAL"
    DAY_LOSS = "DAY_LOSS"
    EQUITY = "EQUITY"
    ORDER_RATE = "ORDER_RATE"
    DUPLICATES = "DUPLICATES"
    FX = "FX"
    SIMILAR_LOSSES = "SIMILAR_LOSSES"


@dataclass(frozen=True, slots=True)
class FactSpec:
    """A question to whoever gathers facts: of what kind, about what, over how many seconds back."""

    kind: FactKind
    scope: str
    window_s: int | None = None

    @property
    def key(self) -> str:
        """The name of the answer in `Facts`: KIND:scope:window, the window empty where there is none."""
        return f"{self.kind}:{self.scope}:{'' if self.window_s is None else self.window_s}"


@dataclass(frozen=True, slots=True)
class Fact:
    """One answer, as canonical texts (decimals in normal form, "true"/"false", instants) that were so at `as_of`.

    Texts on purpose: the rules read them strictly, so that "NaN" and junk deny instead of computing.
    """

    values: Mapping[str, str]
    as_of: datetime


Facts = Mapping[str, Fact]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """The terms as policy reads them. Exactly one of `quantity` (base) and `quote_quantity` (quote currency) is set.

    `connection` and `proposer` are UUID texts; the proposer is the human behind a key. Side, order type, time in
    force and environment carry the values of connectors.types.
    """

    connection: str
    environment: str
    instrument: str
    base_currency: str
    quote_currency: str
    reporting_currency: str
    side: str
    order_type: str
    time_in_force: str
    proposer: str
    quantity: Decimal | None = None
    quote_quantity: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    post_only: bool = False


@dataclass(frozen=True, slots=True)
class RuleRow:
    """One rule of a version. `params` are unparsed JSON values; a scope of None means any."""

    key: str
    kind: str
    params: Mapping[str, object]
    connection: str | None = None
    instrument: str | None = None
    side: str | None = None
    proposer: str | None = None


@dataclass(frozen=True, slots=True)
class VersionRules:
    """Every rule that judges a connection, and the digest that names exactly these rules."""

    version_id: str
    set_slug: str
    number: int
    digest: str
    rules: tuple[RuleRow, ...]


class RuleLine(NamedTuple):
    """What one rule saw and said. Numbers are texts; `used_fraction` is observed over limit where that means something,
    and `room_left` what is left up to the limit, in `unit`."""

    rule: str
    kind: str
    code: str
    observed: str
    operator: str
    limit: str
    unit: str
    verdict: LineVerdict
    message: str
    used_fraction: str | None
    room_left: str | None


@dataclass(frozen=True, slots=True)
class Tier:
    """How many people must approve, each holding at least one of `roles`, and how perishable their word is.

    `drift_bps`: the mid may move at most this far, in basis points, from the price the proposal was made at and from
    the price a vote carries. `quote_age_s`: the price a vote carries may be at most this many seconds old.
    `needed` is 0 in an ALLOW only, where policy waives; drift and age hold all the same. `second_factor`: each of them
    shows theirs for this very decision. `difference`: each of them writes what is different this time.
    """

    needed: int
    roles: tuple[str, ...]
    drift_bps: Decimal = Decimal(50)
    quote_age_s: int = 10
    second_factor: bool = False
    difference: bool = False


@dataclass(frozen=True, slots=True)
class Remedy:
    """What would pass instead: `field` (quantity or quote_quantity) set to `value`. Both None: no size would pass.

    `bound` is "at_most" when less must be asked and "at_least" when more must be; `sentence` says it to a person.
    """

    field: str | None
    value: Decimal | None
    bound: str
    sentence: str


@dataclass(frozen=True, init=False)
class Evaluation:
    """The whole answer. `notional` is in the reporting currency at `worst_price`, `quantity` the most base units that
    can change hands, `rate` the reporting currency per unit of quote currency: all None where no price is known.
    `approval_may_be_waived` repeats what was asked, for the record.

    The lines are worded when first read: a gate that only needs the outcome does not pay for the sentences.
    """

    outcome: Verdict
    tier: Tier | None
    remedy: Remedy | None
    codes: tuple[str, ...]
    notional: Decimal | None
    worst_price: Decimal | None
    quantity: Decimal | None
    rate: Decimal | None
    approval_may_be_waived: bool
    word_lines: Callable[[], tuple[RuleLine, ...]] = field(repr=False, compare=False)

    def __init__(
        self,
        *,
        outcome: Verdict,
        tier: Tier | None,
        remedy: Remedy | None,
        codes: tuple[str, ...],
        notional: Decimal | None,
        worst_price: Decimal | None,
        quantity: Decimal | None,
        rate: Decimal | None,
        approval_may_be_waived: bool,
        word_lines: Callable[[], tuple[RuleLine, ...]],
    ) -> None:
        # At once: filling a frozen row field by field took a twentieth of every decision.
        self.__dict__.update(
            outcome=outcome,
            tier=tier,
            remedy=remedy,
            codes=codes,
            notional=notional,
            worst_price=worst_price,
            quantity=quantity,
            rate=rate,
            approval_may_be_waived=approval_may_be_waived,
            word_lines=word_lines,
        )

    @cached_property
    def lines(self) -> tuple[RuleLine, ...]:
        """One line per rule, ordered by rule key; the checks that always run come first."""
        return self.word_lines()
