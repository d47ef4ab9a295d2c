"""What a detector looks at: plain values, gathered elsewhere. What is not known is None or left out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final

from apps.connectors.types import Candle, Quote, Side
from apps.lessons.types import Plan

ALWAYS_OPEN: Final = frozenset({"crypto"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What happened between entry and exit; None in a scene that is a proposal.

    `candles` begin in [opened_at, closed_at] and lie in it as far as their length allows. `stops` are the prices of the
    stop orders that rested while it was held, oldest first; None where that is not known.
    """

    entry_price: Decimal | None
    exit_price: Decimal
    opened_at: datetime | None
    closed_at: datetime
    candles: Sequence[Candle] = ()
    candle_s: int = 3_600
    stops: Sequence[Decimal] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A decision to enter, as it stood `at` its moment; with `course`, also what became of it.

    Prices are quote currency per base unit, quantities base units, `notional` and `usual_notionals` one currency.
    `side` is the side of the entry. `candles` are hours that had closed by `at`, oldest first; `quote` was heard last.
    `held` and `held_price` are what of the instrument was held before (0: nothing) and its average price.
    `others_held` counts other open positions the same way. `last_loss_at` is the desk's last loss in the week before,
    which is known where `losses_known`. `given` are facts from elsewhere, by name.
    """

    at: datetime
    side: Side
    asset_class: str = ""
    reduces: bool = False
    price: Decimal | None = None
    limit_price: Decimal | None = None
    quantity: Decimal | None = None
    notional: Decimal | None = None
    plan: Plan = Plan()
    candles: Sequence[Candle] = ()
    quote: Quote | None = None
    held: Decimal | None = None
    held_price: Decimal | None = None
    others_held: int | None = None
    usual_notionals: Sequence[Decimal] = ()
    notional_max: Decimal | None = None
    fee_rate: Decimal | None = None
    losses_known: bool = False
    last_loss_at: datetime | None = None
    course: Course | None = None
    given: Mapping[str, Decimal] = field(default_factory=dict)

    @property
    def sign(self) -> int:
        """1 for an entry that gains as the price rises, -1 for one that gains as it falls."""
        return 1 if self.side is Side.BUY else -1

    @property
    def has_plan(self) -> bool:
        """Whether anything of an exit was planned: a rationale alone is no plan."""
        return self.plan.stop is not None or self.plan.target is not None

    @property
    def risk_per_unit(self) -> Decimal | None:
        """What one unit loses between entry and planned stop; None without one on the losing side of the entry."""
        entry = self.entry
        if entry is None or self.plan.stop is None:
            return None
        risk = self.sign * (entry - self.plan.stop)
        return risk if risk > 0 else None

    @property
    def entry(self) -> Decimal | None:
        """The price paid, where it is known, else the one meant."""
        if self.course is not None and self.course.entry_price is not None:
            return self.course.entry_price
        return self.plan.entry if self.plan.entry is not None else self.price
