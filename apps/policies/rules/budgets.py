"""What an ask takes of the limits that are counted: which budgets, how much of each, and up to where. All pure.

A rule judges one moment; a budget holds between moments. Where a rule limits a sum that several orders share, the sum
is kept in a row of integers, and an order takes its part before it leaves.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple

from apps.common.money import minor_down, minor_up
from apps.policies.rules.compiled import Rule, compiled
from apps.policies.rules.params import Params
from apps.policies.types import Ask, ReasonCode, RuleKind, VersionRules


class Dimension(StrEnum):
    """What a budget counts.

    DAILY_NOTIONAL: worth traded on a UTC day, by buys and sells. GROSS_EXPOSURE: what was bought on the connection and
    is still held, at cost. POSITION: the same of one instrument. POSITION_QUANTITY: the same in base units.
    """

    DAILY_NOTIONAL = "DAILY_NOTIONAL"
    GROSS_EXPOSURE = "GROSS_EXPOSURE"
    POSITION = "POSITION"
    POSITION_QUANTITY = "POSITION_QUANTITY"

    @property
    def is_level(self) -> bool:
        """Goes down again when something is sold; otherwise it counts up until its day is over."""
        return self is not Dimension.DAILY_NOTIONAL

    @property
    def is_of_an_instrument(self) -> bool:
        return self in (Dimension.POSITION, Dimension.POSITION_QUANTITY)

    @property
    def in_words(self) -> str:
        """What it counts, for people."""
        return _WORDS[self]

    @property
    def explained(self) -> str:
        """What it counts and when it goes down, in a sentence for people."""
        return _EXPLAINED[self]

    @property
    def code(self) -> ReasonCode:
        """The code of the rule that sets the limit."""
        return _CODES[self]


class ReservationState(StrEnum):
    """HELD counts against the limits. It ends once: CONSUMED where fills used any of it, else RELEASED."""

    HELD = "HELD"
    CONSUMED = "CONSUMED"
    RELEASED = "RELEASED"


RESERVATION_MOVES: Final = frozenset(
    {(ReservationState.HELD, ReservationState.CONSUMED), (ReservationState.HELD, ReservationState.RELEASED)}
)

_WORDS: Final[Mapping[Dimension, str]] = {
    Dimension.DAILY_NOTIONAL: "Traded on the day",
    Dimension.GROSS_EXPOSURE: "All positions, at cost",
    Dimension.POSITION: "Position, at cost",
    Dimension.POSITION_QUANTITY: "Position, in units",
}
_EXPLAINED: Final[Mapping[Dimension, str]] = {
    Dimension.DAILY_NOTIONAL: "What buys and sells approved on this UTC day were worth. The next one begins at zero.",
    Dimension.GROSS_EXPOSURE: "What was bought here and is still held, at what it cost. Selling brings it down.",
    Dimension.POSITION: "What was bought here of the instrument and is still held, at what it cost. Selling brings it "
    "down, a price that moves does not.",
    Dimension.POSITION_QUANTITY: "Units bought here of the instrument and still held. Selling brings it down.",
}
_CODES: Final[Mapping[Dimension, ReasonCode]] = {
    Dimension.DAILY_NOTIONAL: ReasonCode.DAILY_NOTIONAL,
    Dimension.GROSS_EXPOSURE: ReasonCode.MAX_GROSS_EXPOSURE,
    Dimension.POSITION: ReasonCode.MAX_POSITION,
    Dimension.POSITION_QUANTITY: ReasonCode.MAX_POSITION,
}
_LIMITS: Final[Mapping[Dimension, tuple[RuleKind, str]]] = {
    Dimension.DAILY_NOTIONAL: (RuleKind.DAILY_NOTIONAL, "max_notional"),
    Dimension.GROSS_EXPOSURE: (RuleKind.MAX_GROSS_EXPOSURE, "max_notional"),
    Dimension.POSITION: (RuleKind.MAX_POSITION, "max_notional"),
    Dimension.POSITION_QUANTITY: (RuleKind.MAX_POSITION, "max_quantity"),
}


class BudgetKey(NamedTuple):
    """Which budget of a connection. `instrument` is empty for the whole connection; `window` is a UTC day such as
    2026-03-02, empty for what has no end. `unit` is a currency: the reporting one, or the base of the instrument."""

    dimension: Dimension
    instrument: str
    window: str
    unit: str


class Claim(NamedTuple):
    """What one ask takes of a budget, in 1e-8 of its unit. `limit_minor` binds this ask, `row_limit_minor` every ask;
    None where no rule limits it: it is counted all the same, so that a rule set later finds the whole sum."""

    key: BudgetKey
    amount_minor: int
    limit_minor: int | None
    row_limit_minor: int | None


def claims_of(version: VersionRules, ask: Ask, *, quantity: Decimal, notional: Decimal, day: str) -> tuple[Claim, ...]:
    """Every budget an ask touches. `quantity` is the most base units it can move, `notional` its worth at worst in the
    reporting currency. A sell takes nothing of what counts holdings: it is there because its fills give back.

    Raises Invalid AMOUNT_OVERFLOW for amounts beyond a BIGINT.
    """
    buys = ask.side == "BUY"
    found = []
    for dimension in Dimension:
        in_base = dimension is Dimension.POSITION_QUANTITY
        key = BudgetKey(
            dimension,
            ask.instrument if dimension.is_of_an_instrument else "",
            "" if dimension.is_level else day,
            ask.base_currency if in_base else ask.reporting_currency,
        )
        amount = minor_up(quantity if in_base else notional) if buys or not dimension.is_level else 0
        found.append(Claim(key, amount, _limit_for(version, ask, dimension), limit_on(version, ask.connection, key)))
    return tuple(found)


def limit_on(version: VersionRules | None, connection: str, key: BudgetKey) -> int | None:
    """The limit that holds on a budget whoever asks, in 1e-8: the tightest of the rules that cover all of it."""

    def covers(rule: Rule) -> bool:
        row = rule.row
        side = (None, "BUY") if key.dimension.is_level else (None,)
        instruments = (None, key.instrument) if key.dimension.is_of_an_instrument else (None,)
        return (
            row.connection in (None, connection)
            and row.instrument in instruments
            and row.side in side
            and row.proposer is None
        )

    rules = () if version is None else compiled(version).rules
    return _tightest([rule for rule in rules if covers(rule)], key.dimension)


def window_of(now: datetime) -> str:
    """The UTC day of an instant, as the window of a budget."""
    return now.astimezone(UTC).date().isoformat()


def still_held(amount_minor: int, *, remaining: Decimal, whole: Decimal) -> int:
    """The part of a reserved amount that belongs to what may still execute: `remaining` of `whole`, rounded up."""
    if not whole:
        return amount_minor
    held = min(max(remaining, Decimal(0)), whole)
    (part, of_part), (all_, of_all) = held.as_integer_ratio(), whole.as_integer_ratio()
    return -(-amount_minor * part * of_all // (of_part * all_))


def _limit_for(version: VersionRules, ask: Ask, dimension: Dimension) -> int | None:
    return _tightest([rule for rule in compiled(version).rules if rule.covers(ask)], dimension)


def _tightest(rules: list[Rule], dimension: Dimension) -> int | None:
    kind, name = _LIMITS[dimension]
    limits = []
    for rule in rules:
        if rule.row.kind == kind and rule.readable:
            value = Params(rule.row.params).amount_or_none(name)
            if value is not None:
                limits.append(minor_down(value))
    return min(limits, default=None)
