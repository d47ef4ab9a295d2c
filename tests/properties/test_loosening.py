"""Whatever two versions: where the new one lets anything pass that the old one would not, it is said to loosen."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.policies.rules import KINDS, evaluate, loosenings, loosens
from apps.policies.types import SEVERITY, Ask, Evaluation, Fact, RuleKind, RuleRow, VersionRules
from tests.policies.cases import ALL_KINDS, APPROVALS, COLLAR, NOTIONAL, NOW, ask, facts, market, rule, version
from tests.properties.test_policy_rules import EXAMPLES, SCOPES, asks, changes, rules

Verdicts = Callable[[VersionRules, VersionRules], bool]
ELSEWHERE = [{"instrument": "ETH-USD"}, {"connection": "another"}, {"proposer": "another"}]


@st.composite
def successors(draw: st.DrawFn, before: list[RuleRow]) -> list[RuleRow]:
    """The same rules, each kept, changed, dropped, or put elsewhere, and perhaps some more."""
    after = []
    for row in before:
        change = draw(st.sampled_from(["keep", "keep", "keep", "other", "drop", "scope"]))
        if change == "keep":
            after.append(row)
        elif change == "other":
            found = draw(rules(kind=str(row.kind)))
            after.append(replace(row, params=found.params))
        elif change == "scope":
            after.append(
                replace(row, **({"instrument": None, "side": None} | draw(SCOPES | st.sampled_from(ELSEWHERE))))
            )
    return after + draw(st.lists(rules(), max_size=2))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[VersionRules, VersionRules]:
    before = [row for row in (NOTIONAL, APPROVALS, COLLAR) if draw(st.booleans()) or draw(st.booleans())]
    before += [replace(row, **draw(SCOPES)) for row in draw(st.lists(rules(), max_size=4))]
    after = draw(successors(before))
    return tuple(  # type: ignore[return-value]
        version(*(replace(row, key=f"k{n}") for n, row in enumerate(rows))) for rows in (before, after)
    )


def lets_more_pass(old: Evaluation, new: Evaluation) -> bool:
    """Milder in outcome, or fewer people, more roles, an older price, a wider drift, no second factor, or nothing to
    write."""
    if SEVERITY[new.outcome] != SEVERITY[old.outcome]:
        return SEVERITY[new.outcome] < SEVERITY[old.outcome]
    if old.tier is None or new.tier is None or old.codes:
        return False
    return (
        new.tier.needed < old.tier.needed
        or not set(new.tier.roles) <= set(old.tier.roles)
        or new.tier.drift_bps > old.tier.drift_bps
        or new.tier.quote_age_s > old.tier.quote_age_s
        or new.tier.second_factor < old.tier.second_factor
        or new.tier.difference < old.tier.difference
    )


def found_by_force(old: VersionRules, new: VersionRules, wanted: Ask, other: Any, waived: bool) -> bool:
    known: dict[str, Fact] = facts(wanted, old, other) | facts(wanted, new, other)
    before, after = (evaluate(one, wanted, known, NOW, approval_may_be_waived=waived) for one in (old, new))
    return lets_more_pass(before, after)


@EXAMPLES
@given(pairs(), st.lists(st.tuples(asks(), changes()), min_size=6, max_size=12), st.booleans())
def test_what_lets_more_pass_is_said_to_loosen(pair: Any, tried: Any, waived: bool) -> None:
    old, new = pair
    if any(found_by_force(old, new, wanted, other, waived) for wanted, other in tried):
        assert loosens(old, new)


@EXAMPLES
@given(pairs())
def test_a_version_does_not_loosen_itself_and_the_order_of_rules_changes_nothing(pair: Any) -> None:
    old, new = pair
    assert not loosens(old, old)
    assert loosens(old, new) == loosens(version(*reversed(old.rules)), version(*reversed(new.rules)))


def _similar(**changed: object) -> Mapping[str, object]:
    mild = {"window_days": "30", "min_losses": "3", "min_p_above_base": "0.95", "verdicts": ["PROCESS_ERROR"]}
    return {**mild, "action": "another_approver", **changed}


STRICTER: dict[str, list[tuple[Mapping[str, object], Mapping[str, object]]]] = {
    "allowed_instrument": [({"instruments": ["BTC-USD", "ETH-USD"]}, {"instruments": ["BTC-USD"]})],
    "restricted_list": [({"instruments": ["XRP-USD"]}, {"instruments": ["XRP-USD", "BTC-USD"]})],
    "allowed_order_types": [
        ({"order_types": ["LIMIT", "MARKET"]}, {"order_types": ["LIMIT"]}),
        ({"order_types": ["LIMIT"]}, {"order_types": ["LIMIT"], "times_in_force": ["GTC"]}),
    ],
    "max_order_quantity": [({"max_quantity": "5"}, {"max_quantity": "4.9"})],
    "max_order_notional": [({"max_notional": "1000"}, {"max_notional": "999.99"})],
    "min_notional": [({"min_notional": "10"}, {"min_notional": "11"})],
    "price_collar": [
        (
            {"aggressive_bps": "100", "away_bps": "1000", "market_slippage_bps": "100"},
            {"aggressive_bps": "99", "away_bps": "999", "market_slippage_bps": "100"},
        )
    ],
    "stale_quote": [
        ({"max_age_s": "5"}, {"max_age_s": "4", "max_spread_bps": "50"}),
        ({"max_age_s": "5", "max_skew_s": "2"}, {"max_age_s": "5", "max_skew_s": "1"}),
    ],
    "funds": [({}, {"max_age_s": "60"})],
    "max_position": [
        ({"max_quantity": "5"}, {"max_quantity": "4"}),
        ({"max_notional": "5"}, {"max_notional": "4"}),
    ],
    "max_gross_exposure": [({"max_notional": "5"}, {"max_notional": "4"})],
    "daily_notional": [({"max_notional": "5"}, {"max_notional": "4"})],
    "daily_loss": [({"max_loss": "5"}, {"max_loss": "4"})],
    "drawdown": [({"max_drawdown_bps": "500"}, {"max_drawdown_bps": "400"})],
    "order_rate": [
        ({"max_count": "6", "per": "proposer"}, {"max_count": "5", "per": "proposer"}),
        ({"max_count": "6", "per": "proposer"}, {"max_count": "6", "per": "proposer", "window_s": "120"}),
    ],
    "duplicate": [({"window_s": "60"}, {"window_s": "61"})],
    "similar_losses": [
        (_similar(), _similar(min_losses="2")),
        (_similar(), _similar(min_p_above_base="0.9")),
        (_similar(), _similar(verdicts=["PROCESS_ERROR", "DATA"])),
        (_similar(), _similar(severe_r="3")),
        (_similar(severe_r="3"), _similar(severe_r="2.5")),
        (_similar(), _similar(action="deny")),
    ],
    "trading_state": [({}, {})],
    "approvals_required": [
        ({"tiers": [{"needed": "1", "roles": ["approver"]}]}, {"tiers": [{"needed": "2", "roles": ["approver"]}]}),
        (
            {"tiers": [{"needed": "1", "roles": ["approver", "risk"]}]},
            {"tiers": [{"up_to": "100", "needed": "1", "roles": ["risk"]}], "drift_bps": "40", "quote_age_s": "5"},
        ),
        (
            {"tiers": [{"needed": "1", "roles": ["risk"]}]},
            {"tiers": [{"needed": "1", "roles": ["risk"], "second_factor": True}]},
        ),
    ],
}


def test_every_kind_is_in_the_table() -> None:
    assert set(STRICTER) == {str(kind) for kind in KINDS}


@pytest.mark.parametrize("kind", sorted(STRICTER))
def test_a_stricter_rule_only_tightens_and_the_way_back_loosens(kind: str) -> None:
    for mild, strict in STRICTER[kind]:
        old, new = version(rule("one", kind, **mild)), version(rule("one", kind, **strict))
        assert not loosens(old, new), (mild, strict, loosenings(old, new))
        assert loosens(new, old) == (mild != strict)


@pytest.mark.parametrize("row", ALL_KINDS, ids=lambda row: str(row.key))
def test_taking_a_rule_away_or_narrowing_it_loosens(row: RuleRow) -> None:
    everything = version(*ALL_KINDS)
    less = version(*(other for other in ALL_KINDS if other is not row))
    narrower = version(*(replace(other, side="BUY") if other is row else other for other in ALL_KINDS))
    assert loosens(everything, less)
    assert loosens(everything, narrower)
    assert f'"{row.key}"' in loosenings(everything, less)[0]
    enables = row.kind in {RuleKind.MAX_ORDER_NOTIONAL, RuleKind.APPROVALS_REQUIRED, RuleKind.PRICE_COLLAR}
    assert loosens(less, everything) == enables


def test_what_cannot_be_read_or_compared_loosens() -> None:
    unknown, changed = rule("one", "of_tomorrow", max="1"), rule("one", "of_tomorrow", max="2")
    assert loosens(version(unknown), version(changed))
    assert not loosens(version(unknown), version(unknown))
    junk = rule("one", "max_order_notional", max_notional="much")
    assert loosens(version(junk), version(NOTIONAL))
    by_worth, by_quantity = rule("p", "max_position", max_notional="5"), rule("p", "max_position", max_quantity="5")
    assert loosens(version(by_worth), version(by_quantity))
    assert loosens(None, version(NOTIONAL, APPROVALS))
    shorter, longer = (rule("s", "similar_losses", **_similar(window_days=days)) for days in ("30", "60"))
    assert loosens(version(shorter), version(longer))
    assert loosens(version(longer), version(shorter))


def naive(old: VersionRules, new: VersionRules) -> bool:
    """A rule more never loosens: what one would think."""
    return not all(row in new.rules for row in old.rules)


@pytest.mark.parametrize(
    ("old", "more", "wanted"),
    [
        ([APPROVALS], NOTIONAL, ask()),
        ([NOTIONAL], APPROVALS, ask()),
        ([NOTIONAL, APPROVALS], COLLAR, market()),
        ([replace(NOTIONAL, instrument="ETH-USD"), APPROVALS], replace(NOTIONAL, key="more"), ask()),
    ],
)
def test_a_rule_more_may_let_something_pass(old: list[RuleRow], more: RuleRow, wanted: Ask) -> None:
    before, after = version(*old), version(*old, more)
    assert found_by_force(before, after, wanted, {}, False)
    assert loosens(before, after)
    assert not naive(before, after)  # so the naive version would have let one person do it
