"""Words of policy: what is asked, what is known, what was said. Plain values, no framework."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple


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
    ORDER_RATE = "order_rate"
    DUPLICATE = "duplicate"
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
    ORDER_RATE = "ORDER_RATE"
    DUPLICATES = "DUPLICATES"
    FX = "FX"


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
    """

    needed: int
    roles: tuple[str, ...]
    drift_bps: Decimal = Decimal(50)
    quote_age_s: int = 10


@dataclass(frozen=True, slots=True)
class Remedy:
    """What would pass instead: `field` (quantity or quote_quantity) set to `value`. Both None: no size would pass.

    `bound` is "at_most" when less must be asked and "at_least" when more must be; `sentence` says it to a person.
    """

    field: str | None
    value: Decimal | None
    bound: str
    sentence: str


@dataclass(frozen=True)
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

    @cached_property
    def lines(self) -> tuple[RuleLine, ...]:
        """One line per rule, ordered by rule key; the checks that always run come first."""
        return self.word_lines()


class ReasonCode(StrEnum):
    """Why a rule said what it said. Never renamed: people, tests and lessons group by it."""

    WITHIN_LIMIT = "WITHIN_LIMIT"
    OUT_OF_SCOPE = "OUT_OF_SCOPE"
    APPROVAL_REQUIRED = "APPROVAL_REQUIRED"
    APPROVAL_WAIVED = "APPROVAL_WAIVED"
    NO_ACTIVE_POLICY = "NO_ACTIVE_POLICY"
    NO_LIMIT_SET = "NO_LIMIT_SET"
    NO_APPROVAL_RULE = "NO_APPROVAL_RULE"
    APPROVAL_RULES_CONFLICT = "APPROVAL_RULES_CONFLICT"
    RULE_KIND_UNKNOWN = "RULE_KIND_UNKNOWN"
    RULE_PARAMS_INVALID = "RULE_PARAMS_INVALID"
    RULE_FAILED = "RULE_FAILED"
    FACT_MISSING = "FACT_MISSING"
    FACT_STALE = "FACT_STALE"
    FACT_FROM_FUTURE = "FACT_FROM_FUTURE"
    FACT_MALFORMED = "FACT_MALFORMED"
    AMOUNT_OVERFLOW = "AMOUNT_OVERFLOW"
    TERMS_MALFORMED = "TERMS_MALFORMED"
    TRADING_HALTED = "TRADING_HALTED"
    ONLY_REDUCING = "ONLY_REDUCING"
    INSTRUMENT_NOT_TRADABLE = "INSTRUMENT_NOT_TRADABLE"
    INSTRUMENT_CANCEL_ONLY = "INSTRUMENT_CANCEL_ONLY"
    INSTRUMENT_LIMIT_ONLY = "INSTRUMENT_LIMIT_ONLY"
    INSTRUMENT_POST_ONLY = "INSTRUMENT_POST_ONLY"
    INSTRUMENT_NOT_ALLOWED = "INSTRUMENT_NOT_ALLOWED"
    INSTRUMENT_RESTRICTED = "INSTRUMENT_RESTRICTED"
    ORDER_TYPE_NOT_ALLOWED = "ORDER_TYPE_NOT_ALLOWED"
    PRICE_OFF_INCREMENT = "PRICE_OFF_INCREMENT"
    QUANTITY_OFF_INCREMENT = "QUANTITY_OFF_INCREMENT"
    QUANTITY_BELOW_VENUE_MIN = "QUANTITY_BELOW_VENUE_MIN"
    QUANTITY_ABOVE_VENUE_MAX = "QUANTITY_ABOVE_VENUE_MAX"
    NOTIONAL_BELOW_VENUE_MIN = "NOTIONAL_BELOW_VENUE_MIN"
    NOTIONAL_ABOVE_VENUE_MAX = "NOTIONAL_ABOVE_VENUE_MAX"
    MAX_ORDER_QUANTITY = "MAX_ORDER_QUANTITY"
    MAX_ORDER_NOTIONAL = "MAX_ORDER_NOTIONAL"
    MIN_NOTIONAL = "MIN_NOTIONAL"
    NO_MARKET_BOUND = "NO_MARKET_BOUND"
    PRICE_TOO_AGGRESSIVE = "PRICE_TOO_AGGRESSIVE"
    PRICE_TOO_FAR = "PRICE_TOO_FAR"
    QUOTE_STALE = "QUOTE_STALE"
    QUOTE_CROSSED = "QUOTE_CROSSED"
    SPREAD_TOO_WIDE = "SPREAD_TOO_WIDE"
    FUNDS_INSUFFICIENT = "FUNDS_INSUFFICIENT"
    MAX_POSITION = "MAX_POSITION"
    MAX_GROSS_EXPOSURE = "MAX_GROSS_EXPOSURE"
    DAILY_NOTIONAL = "DAILY_NOTIONAL"
    DAILY_LOSS = "DAILY_LOSS"
    DAILY_LOSS_LATCHED = "DAILY_LOSS_LATCHED"
    ORDER_RATE = "ORDER_RATE"
    DUPLICATE = "DUPLICATE"

    @property
    def sentence(self) -> str:
        """What the code means, for a person who meets it for the first time."""
        return _SENTENCES[self]


_SENTENCES: Mapping[ReasonCode, str] = {
    ReasonCode.WITHIN_LIMIT: "The rule was consulted and lets the order pass.",
    ReasonCode.OUT_OF_SCOPE: "The rule is about another connection, instrument, side or proposer.",
    ReasonCode.APPROVAL_REQUIRED: "People must approve before the order may leave.",
    ReasonCode.APPROVAL_WAIVED: "The tier names no approver, and approvals are switched off for paper connections.",
    ReasonCode.NO_ACTIVE_POLICY: "No policy version is active for the connection, so nothing is allowed.",
    ReasonCode.NO_LIMIT_SET: "No rule limits what one order may be worth here, so no order is allowed.",
    ReasonCode.NO_APPROVAL_RULE: "No rule says who must approve an order of this worth, so none is allowed.",
    ReasonCode.APPROVAL_RULES_CONFLICT: "Two approval rules share no role, so nobody could approve.",
    ReasonCode.RULE_KIND_UNKNOWN: "The policy has a rule of a kind this release does not know.",
    ReasonCode.RULE_PARAMS_INVALID: "The parameters of a rule cannot be read.",
    ReasonCode.RULE_FAILED: "A rule broke down while it was consulted. Doubt denies.",
    ReasonCode.FACT_MISSING: "Something a rule must know could not be found out.",
    ReasonCode.FACT_STALE: "Something a rule must know is too old.",
    ReasonCode.FACT_FROM_FUTURE: "Something a rule must know carries a time that has not come yet: a clock is wrong.",
    ReasonCode.FACT_MALFORMED: "Something a rule must know is no readable number, flag or time.",
    ReasonCode.AMOUNT_OVERFLOW: "An amount is larger than can be compared.",
    ReasonCode.TERMS_MALFORMED: "The terms contradict themselves or lack what their order type needs.",
    ReasonCode.TRADING_HALTED: "Trading is halted.",
    ReasonCode.ONLY_REDUCING: "Only orders that shrink a position are allowed, and this one does not.",
    ReasonCode.INSTRUMENT_NOT_TRADABLE: "The venue does not trade the instrument now.",
    ReasonCode.INSTRUMENT_CANCEL_ONLY: "The venue takes only cancellations for the instrument now.",
    ReasonCode.INSTRUMENT_LIMIT_ONLY: "The venue takes only orders with a limit price for the instrument now.",
    ReasonCode.INSTRUMENT_POST_ONLY: "The venue takes only post-only orders for the instrument now.",
    ReasonCode.INSTRUMENT_NOT_ALLOWED: "The instrument is not on the list of allowed ones.",
    ReasonCode.INSTRUMENT_RESTRICTED: "The instrument is on the restricted list, which wins over every other list.",
    ReasonCode.ORDER_TYPE_NOT_ALLOWED: "The order type or its time in force is not allowed.",
    ReasonCode.PRICE_OFF_INCREMENT: "A price is not a multiple of the venue's price increment.",
    ReasonCode.QUANTITY_OFF_INCREMENT: "The quantity is not a multiple of the venue's increment.",
    ReasonCode.QUANTITY_BELOW_VENUE_MIN: "The quantity is below what the venue takes.",
    ReasonCode.QUANTITY_ABOVE_VENUE_MAX: "The quantity is above what the venue takes.",
    ReasonCode.NOTIONAL_BELOW_VENUE_MIN: "The order is worth less than the venue takes.",
    ReasonCode.NOTIONAL_ABOVE_VENUE_MAX: "The order is worth more than the venue takes.",
    ReasonCode.MAX_ORDER_QUANTITY: "The quantity is above what one order may have.",
    ReasonCode.MAX_ORDER_NOTIONAL: "The order is worth more, at its worst price, than one order may be.",
    ReasonCode.MIN_NOTIONAL: "The order is worth less than one order must be.",
    ReasonCode.NO_MARKET_BOUND: "No rule bounds the price of a market order here, so its worst price is unknown.",
    ReasonCode.PRICE_TOO_AGGRESSIVE: "The price gives away more against the market than is allowed.",
    ReasonCode.PRICE_TOO_FAR: "The price is too far from the market.",
    ReasonCode.QUOTE_STALE: "The price of the market is too old to decide on.",
    ReasonCode.QUOTE_CROSSED: "Bid and ask contradict each other.",
    ReasonCode.SPREAD_TOO_WIDE: "Bid and ask are too far apart to decide on.",
    ReasonCode.FUNDS_INSUFFICIENT: "The available balance does not cover the order with its fee.",
    ReasonCode.MAX_POSITION: "The position would grow beyond what is allowed, open orders counted as filled.",
    ReasonCode.MAX_GROSS_EXPOSURE: "All positions together would be worth more than is allowed.",
    ReasonCode.DAILY_NOTIONAL: "More would be traded today than is allowed.",
    ReasonCode.DAILY_LOSS: "More was lost today than is allowed.",
    ReasonCode.DAILY_LOSS_LATCHED: "The daily loss limit was hit; a person must reset it.",
    ReasonCode.ORDER_RATE: "More is asked per minute than is allowed.",
    ReasonCode.DUPLICATE: "The same was asked a moment ago.",
}
