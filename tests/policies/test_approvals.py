"""Who must approve: tiers, several rules together, and when nobody must."""

from decimal import Decimal

import pytest

from apps.common.errors import Invalid
from apps.policies.rules.approvals import together
from apps.policies.rules.kinds import build
from apps.policies.types import Tier, Verdict
from tests.policies.cases import ask, judged, rule

TIERS = [
    {"needed": "3", "roles": ["risk"]},
    {"up_to": "200", "needed": "1", "roles": ["approver", "risk"]},
    {"up_to": "400", "needed": "2", "roles": ["approver"]},
]


@pytest.mark.parametrize(
    ("quantity", "needed", "roles"),
    [("2", 1, ("approver", "risk")), ("2.0001", 2, ("approver",)), ("4", 2, ("approver",)), ("4.0001", 3, ("risk",))],
)
def test_the_first_tier_that_is_not_exceeded_decides(quantity: str, needed: int, roles: tuple[str, ...]) -> None:
    found = judged(rule("r", "approvals_required", tiers=TIERS), of=ask(quantity=quantity))
    assert found.outcome == Verdict.NEEDS_APPROVAL
    assert found.tier == Tier(needed, roles)


def test_several_rules_ask_for_what_satisfies_all() -> None:
    found = judged(
        rule("a", "approvals_required", tiers=TIERS, drift_bps="80", quote_age_s="5"),
        rule("b", "approvals_required", tiers=[{"needed": "2", "roles": ["risk", "trader"]}], drift_bps="20"),
    )
    assert found.tier == Tier(2, ("risk",), Decimal(20), 5)


def test_rules_without_a_common_role_deny() -> None:
    found = judged(
        rule("a", "approvals_required", tiers=[{"needed": "1", "roles": ["approver"]}]),
        rule("b", "approvals_required", tiers=[{"needed": "1", "roles": ["risk"]}]),
    )
    assert (found.outcome, found.codes) == (Verdict.DENY, ("APPROVAL_RULES_CONFLICT",))


@pytest.mark.parametrize(
    ("waived", "environment", "outcome"),
    [
        (True, "paper", Verdict.ALLOW),
        (False, "paper", Verdict.NEEDS_APPROVAL),
        (True, "live", Verdict.NEEDS_APPROVAL),
    ],
)
def test_nobody_is_needed_only_on_paper_and_only_where_switched_off(
    waived: bool, environment: str, outcome: Verdict
) -> None:
    nobody = rule("r", "approvals_required", tiers=[{"needed": "0", "roles": ["approver"]}])
    found = judged(nobody, of=ask(environment=environment), waived=waived)
    assert found.outcome == outcome
    assert found.tier == Tier(0 if outcome is Verdict.ALLOW else 1, ("approver",))


def test_a_tier_that_needs_somebody_is_never_waived() -> None:
    somebody = rule("r", "approvals_required", tiers=[{"needed": "1", "roles": ["approver"]}])
    assert judged(somebody, waived=True).outcome == Verdict.NEEDS_APPROVAL


def test_a_tier_may_ask_for_a_second_factor() -> None:
    tiers = [{"up_to": "200", "needed": "1", "roles": ["approver"]}, {"needed": "1", "roles": ["approver"]}]
    strict = [tiers[0], {**tiers[1], "second_factor": True}]
    for quantity, shown in (("2", False), ("2.0001", True)):
        found = judged(rule("r", "approvals_required", tiers=strict), of=ask(quantity=quantity))
        assert found.tier == Tier(1, ("approver",), second_factor=shown)
        both = judged(
            rule("r", "approvals_required", tiers=strict),
            rule("s", "approvals_required", tiers=tiers),
            of=ask(quantity=quantity),
        )
        assert both.tier == found.tier


@pytest.mark.parametrize("wrong", ["true", 1, "yes"])
def test_a_second_factor_is_asked_for_by_true_alone(wrong: object) -> None:
    tiers = [{"needed": "1", "roles": ["approver"], "second_factor": wrong}]
    with pytest.raises(Invalid, match="must be true or false"):
        build(rule("r", "approvals_required", tiers=tiers))


def test_nobody_cannot_show_a_second_factor() -> None:
    with pytest.raises(Invalid, match="nobody shows"):
        build(rule("r", "approvals_required", tiers=[{"needed": "0", "roles": ["risk"], "second_factor": True}]))


def test_words_that_one_tier_asks_for_are_asked_for_by_all_together() -> None:
    plain, worded = Tier(1, ("approver",)), Tier(1, ("approver",), difference=True)
    assert [together(pair).difference for pair in ((plain, worded), (worded, plain), (worded, worded))] == [True] * 3
    assert not together((plain, plain)).difference
