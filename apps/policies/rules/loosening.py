"""What one set of rules lets pass that another would not: computed, never declared.

Every rule of before must still stand, as strict or stricter, wherever it stood; a rule more never loosens, but for the
two kinds without which everything is denied, and for the bound on market orders, of which the widest counts. What
cannot be compared counts as loosening.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from apps.common.errors import Invalid
from apps.policies.rules.approvals import read_tiers
from apps.policies.rules.kinds import KINDS, build, title_of
from apps.policies.rules.lists import ORDER_TYPES, TIMES_IN_FORCE
from apps.policies.rules.params import Params
from apps.policies.rules.reading import CLOCK_SKEW_S_MAX, FACT_AGE_S_MAX
from apps.policies.rules.similar import read_thresholds
from apps.policies.types import FactKind, RuleKind, RuleRow, Tier, VersionRules

_Compare = Callable[[Params, Params], bool]
# Where no rule of these kinds is in scope, everything is denied: the first one there lets something pass.
_ENABLING: Final = frozenset({RuleKind.MAX_ORDER_NOTIONAL, RuleKind.APPROVALS_REQUIRED})
_SCOPE: Final = ("connection", "instrument", "side", "proposer")


def loosens(old: VersionRules | None, new: VersionRules) -> bool:
    """Whether `new` might let anything pass that `old` (None: nothing judged) would deny, or ask fewer people."""
    return bool(loosenings(old, new))


def loosenings(old: VersionRules | None, new: VersionRules) -> tuple[str, ...]:
    """Why it loosens, a sentence for each rule at fault; empty where it only tightens, or says the same."""
    before, after = () if old is None else old.rules, new.rules
    found = [
        f'"{row.key}" ({title_of(row.kind)}) is gone, narrower in scope, or less strict.'
        for row in before
        if not any(_covers(other, row) and _is_as_strict(row, other) for other in after)
    ]
    found += [
        f'"{row.key}" ({title_of(row.kind)}) lets pass where no rule of its kind stood.'
        for row in after
        if row.kind in _ENABLING
        and not any(other.kind == row.kind and _covers(other, row) and _is_readable(other) for other in before)
    ]
    if _market_bounds(before) != _market_bounds(after):
        found.append("How far a market order may slip is another, which moves its worst price.")
    return tuple(found)


def _covers(wide: RuleRow, narrow: RuleRow) -> bool:
    """Whether the one is about every ask that the other is about."""
    return all(getattr(wide, part) in (None, getattr(narrow, part)) for part in _SCOPE)


def _is_as_strict(old: RuleRow, new: RuleRow) -> bool:
    """Whether `new` denies, or asks for as many, wherever `old` does, the scope aside."""
    if old.kind != new.kind:
        return False
    if old.params == new.params:
        return True
    compare = _STRICTER.get(str(old.kind))
    if compare is None or not (_is_readable(old) and _is_readable(new)):
        return False
    return compare(Params(old.params), Params(new.params))


def _is_readable(row: RuleRow) -> bool:
    try:
        build(row)
    except Invalid:
        return False
    return True


def _market_bounds(rows: tuple[RuleRow, ...]) -> frozenset[tuple[object, ...]]:
    return frozenset(
        (bound, *(getattr(row, part) for part in _SCOPE))
        for row in rows
        if row.kind == RuleKind.PRICE_COLLAR
        and _is_readable(row)
        and (bound := build(row).market_slippage_bps) is not None
    )


def _at_most(name: str) -> _Compare:
    return lambda old, new: new.amount(name) <= old.amount(name)


def _at_least(name: str) -> _Compare:
    return lambda old, new: new.amount(name) >= old.amount(name)


def _fewer(name: str) -> _Compare:
    return lambda old, new: new.words(name) <= old.words(name)


def _order_types(old: Params, new: Params) -> bool:
    def read(params: Params) -> tuple[frozenset[str], frozenset[str]]:
        types = params.words("order_types", ORDER_TYPES)
        return types, params.words("times_in_force", TIMES_IN_FORCE, needed=False) or TIMES_IN_FORCE

    (old_types, old_times), (new_types, new_times) = read(old), read(new)
    return new_types <= old_types and new_times <= old_times


def _collar(old: Params, new: Params) -> bool:
    return all(new.bps(name) <= old.bps(name) for name in ("aggressive_bps", "away_bps"))


def _stale(old: Params, new: Params) -> bool:
    def read(params: Params) -> tuple[int, int, Decimal | None]:
        return (
            params.whole("max_age_s", low=1, high=FACT_AGE_S_MAX[FactKind.QUOTE]),
            params.whole("max_skew_s", low=0, high=CLOCK_SKEW_S_MAX, default=CLOCK_SKEW_S_MAX),
            params.bps_or_none("max_spread_bps"),
        )

    (old_age, old_skew, old_spread), (new_age, new_skew, new_spread) = read(old), read(new)
    narrower = old_spread is None or (new_spread is not None and new_spread <= old_spread)
    return new_age <= old_age and new_skew <= old_skew and narrower


def _funds(old: Params, new: Params) -> bool:
    high = FACT_AGE_S_MAX[FactKind.BALANCES]
    old_age, new_age = (params.whole("max_age_s", low=1, high=high, default=high) for params in (old, new))
    return new_age <= old_age


def _position(old: Params, new: Params) -> bool:
    for name in ("max_quantity", "max_notional"):
        before, after = old.amount_or_none(name), new.amount_or_none(name)
        if before is not None:
            return after is not None and after <= before
    return False


def _rate(old: Params, new: Params) -> bool:
    """Over a longer time at least as many are counted."""
    per = frozenset({"proposer", "connection"})
    if old.choice("per", per) != new.choice("per", per):
        return False
    old_count, new_count = (params.whole("max_count", low=1, high=100_000) for params in (old, new))
    old_s, new_s = (params.whole("window_s", low=1, high=86_400, default=60) for params in (old, new))
    return new_count <= old_count and new_s >= old_s


def _duplicate(old: Params, new: Params) -> bool:
    old_s, new_s = (params.whole("window_s", low=1, high=86_400) for params in (old, new))
    return new_s >= old_s


def _similar(old: Params, new: Params) -> bool:
    """Over another time other trades are counted, so that nothing can be said. Losses of more verdicts are more."""
    before, after = read_thresholds(old), read_thresholds(new)
    return (
        after.window_days == before.window_days
        and after.verdicts >= before.verdicts
        and after.min_losses <= before.min_losses
        and after.min_p <= before.min_p
        and (before.severe_r is None or (after.severe_r is not None and after.severe_r <= before.severe_r))
        and after.denies >= before.denies
    )


def _approvals(old: Params, new: Params) -> bool:
    """At every worth: asked at each bound of either and beyond the last, since between two bounds nothing changes."""
    before, after = read_tiers(old), read_tiers(new)
    bounds = sorted({up_to for up_to, _ in (*before[0], *after[0])})
    worths = [*bounds, (bounds[-1] if bounds else Decimal(0)) + 1]
    return all(_asks_as_much(_tier_at(before, worth), _tier_at(after, worth)) for worth in worths)


def _tier_at(tiers: tuple[list[tuple[Decimal, Tier]], Tier | None], worth: Decimal) -> Tier | None:
    return next((tier for up_to, tier in tiers[0] if worth <= up_to), tiers[1])


def _asks_as_much(old: Tier | None, new: Tier | None) -> bool:
    """A worth without a tier is denied."""
    if new is None or old is None:
        return new is None
    return (
        new.needed >= old.needed
        and set(new.roles) <= set(old.roles)
        and new.drift_bps <= old.drift_bps
        and new.quote_age_s <= old.quote_age_s
        and new.second_factor >= old.second_factor
    )


_STRICTER: Mapping[str, _Compare] = {
    str(kind): compare
    for kind, compare in {
        RuleKind.ALLOWED_INSTRUMENT: _fewer("instruments"),
        RuleKind.RESTRICTED_LIST: lambda old, new: new.words("instruments") >= old.words("instruments"),
        RuleKind.ALLOWED_ORDER_TYPES: _order_types,
        RuleKind.MAX_ORDER_QUANTITY: _at_most("max_quantity"),
        RuleKind.MAX_ORDER_NOTIONAL: _at_most("max_notional"),
        RuleKind.MIN_NOTIONAL: _at_least("min_notional"),
        RuleKind.PRICE_COLLAR: _collar,
        RuleKind.STALE_QUOTE: _stale,
        RuleKind.FUNDS: _funds,
        RuleKind.MAX_POSITION: _position,
        RuleKind.MAX_GROSS_EXPOSURE: _at_most("max_notional"),
        RuleKind.DAILY_NOTIONAL: _at_most("max_notional"),
        RuleKind.DAILY_LOSS: _at_most("max_loss"),
        RuleKind.DRAWDOWN: _at_most("max_drawdown_bps"),
        RuleKind.ORDER_RATE: _rate,
        RuleKind.DUPLICATE: _duplicate,
        RuleKind.SIMILAR_LOSSES: _similar,
        RuleKind.TRADING_STATE: lambda old, new: True,
        RuleKind.APPROVALS_REQUIRED: _approvals,
    }.items()
}
assert set(_STRICTER) == {str(kind) for kind in KINDS}  # noqa: S101  a kind that nobody compared would loosen in silence
