"""Who must approve: tiers by worth, and what several rules ask for together."""

from collections.abc import Iterable
from decimal import Decimal
from functools import reduce

from apps.policies.rules.built import Built
from apps.policies.rules.case import Case
from apps.policies.rules.finding import Finding
from apps.policies.rules.params import APPROVER_ROLES, APPROVERS_MAX, Params, invalid
from apps.policies.types import LineVerdict, ReasonCode, Tier

DRIFT_BPS = Decimal(50)
QUOTE_AGE_S = 10
QUOTE_AGE_S_MAX = 60


def approvals_required(params: Params) -> Built:
    """The first tier whose `up_to` is not exceeded decides; worth beyond the last tier is denied.

    Tiers are read in ascending order of `up_to`, however they were written; one without `up_to` has no upper bound.
    """
    bounded, unbounded = read_tiers(params)
    top = bounded[-1][0] if bounded else None
    # What a case that is not to be told in words hears.
    asked = {up_to: Finding(LineVerdict.REQUIRE, ReasonCode.APPROVAL_REQUIRED, tier=tier) for up_to, tier in bounded}

    def check(case: Case, keys: tuple[str, ...]) -> Finding:
        notional, unit = case.priced.notional, case.ask.reporting_currency
        for up_to, tier in bounded:
            if notional <= up_to:
                if not case.wordy:
                    return asked[up_to]
                return Finding(LineVerdict.REQUIRE, ReasonCode.APPROVAL_REQUIRED, notional, "<=", up_to, unit, "", tier)
        if unbounded is not None:
            return Finding(LineVerdict.REQUIRE, ReasonCode.APPROVAL_REQUIRED, notional, "", "", unit, "", unbounded)
        assert top is not None  # noqa: S101  a rule has at least one tier
        return Finding(LineVerdict.FAIL, ReasonCode.NO_APPROVAL_RULE, notional, "<=", top, unit)

    return Built(check)


def read_tiers(params: Params) -> tuple[list[tuple[Decimal, Tier]], Tier | None]:
    """The bounded tiers in ascending order, and the one without a bound. Raises Invalid RULE_PARAMS_INVALID."""
    drift_bps = params.bps_or_none("drift_bps") or DRIFT_BPS
    quote_age_s = params.whole("quote_age_s", low=1, high=QUOTE_AGE_S_MAX, default=QUOTE_AGE_S)
    bounded: dict[Decimal, Tier] = {}
    unbounded: Tier | None = None
    for item in params.items("tiers"):
        up_to = item.amount_or_none("up_to")
        needed = item.whole("needed", low=0, high=APPROVERS_MAX)
        roles = tuple(sorted(item.words("roles", APPROVER_ROLES)))
        second_factor = item.flag("second_factor")
        item.finish()
        if second_factor and needed == 0:
            raise invalid("tiers", "Where nobody approves, nobody shows a second factor.")
        tier = Tier(needed, roles, drift_bps, quote_age_s, second_factor)
        if up_to is not None and up_to not in bounded:
            bounded[up_to] = tier
        elif up_to is None and unbounded is None:
            unbounded = tier
        else:
            raise invalid("tiers", "Two tiers end at the same worth.")
    ordered = sorted(bounded.items(), key=lambda pair: pair[0])
    return ordered, unbounded


def together(tiers: Iterable[Tier]) -> Tier:
    """What satisfies every one of them: the most people, the roles all accept, the tightest drift and age, a second
    factor if one of them asks for it.

    A tier without a role means that nobody could satisfy all: the caller denies.
    """
    return reduce(_both, tiers)


def _both(one: Tier, other: Tier) -> Tier:
    return Tier(
        max(one.needed, other.needed),
        tuple(role for role in one.roles if role in other.roles),
        min(one.drift_bps, other.drift_bps),
        min(one.quote_age_s, other.quote_age_s),
        one.second_factor or other.second_factor,
        one.difference or other.difference,
    )
