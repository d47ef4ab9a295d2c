"""A rule that lets something pass loosens where none of its own kind stood; another one beside it is none."""

from dataclasses import replace
from typing import Any

import pytest

from apps.common.errors import Invalid
from apps.policies.rules.kinds import build
from apps.policies.rules.loosening import loosenings
from apps.policies.types import RuleRow
from tests.policies.cases import ALL_KINDS, APPROVALS, COLLAR, CONNECTION, NOTIONAL, SOMEBODY, rule, version

LETS_PASS = "lets pass where no rule of its kind stood"


@pytest.mark.parametrize(("stood", "new"), [(NOTIONAL, APPROVALS), (APPROVALS, NOTIONAL)])
def test_a_rule_of_another_kind_that_stood_is_not_one_of_its_kind(stood: RuleRow, new: RuleRow) -> None:
    (said,) = loosenings(version(stood), version(stood, new))
    assert LETS_PASS in said and f'"{new.key}"' in said
    assert loosenings(version(stood, new), version(stood, new)) == ()


def test_a_rule_of_its_kind_for_somebody_else_or_that_cannot_be_read_did_not_stand() -> None:
    here = replace(NOTIONAL, key="here", connection=CONNECTION)
    elsewhere, unread = replace(here, connection=SOMEBODY), replace(NOTIONAL, params={"max_notional": "much"})
    for stood in (elsewhere, unread):
        found = loosenings(version(APPROVALS, stood), version(APPROVALS, stood, here))
        assert [LETS_PASS in said for said in found if '"here"' in said] == [True]
    assert loosenings(version(APPROVALS, NOTIONAL), version(APPROVALS, NOTIONAL, here)) == ()


def test_a_rule_that_cannot_be_read_is_as_strict_as_itself_alone() -> None:
    one, other = (replace(NOTIONAL, params={"max_notional": text}) for text in ("much", "little"))
    for old, new in ((NOTIONAL, one), (one, NOTIONAL), (one, other)):
        assert any("less strict" in said for said in loosenings(version(old), version(new)))
    assert not any("less strict" in said for said in loosenings(version(one), version(one)))
    assert loosenings(version(NOTIONAL), version(replace(NOTIONAL, params={"max_notional": "999"}))) == ()


def test_how_far_a_market_order_may_slip_is_the_collars_to_say() -> None:
    other = replace(COLLAR, params={**COLLAR.params, "market_slippage_bps": "50"})
    slips = "How far a market order may slip is another, which moves its worst price."
    assert slips in loosenings(version(COLLAR), version(other))
    assert slips in loosenings(version(NOTIONAL), version(NOTIONAL, COLLAR))
    assert loosenings(version(COLLAR), version(COLLAR)) == ()


def same_in_other_words(row: RuleRow) -> RuleRow:
    """The rule with amounts and lists written otherwise, as far as they may be: other bytes, the same meaning."""
    params: dict[str, Any] = dict(row.params)
    for name, value in row.params.items():
        other = value[::-1] if isinstance(value, list) else f"{value}.0"
        try:
            build(replace(row, params={**params, name: other}))
        except Invalid:
            continue
        params[name] = other
    return replace(row, params=params)


@pytest.mark.parametrize("row", [row for row in ALL_KINDS if same_in_other_words(row) != row], ids=lambda row: row.key)
def test_the_same_limit_in_other_words_loosens_nothing(row: RuleRow) -> None:
    assert loosenings(version(row), version(same_in_other_words(row))) == ()


def test_a_list_in_another_order_is_the_same_list() -> None:
    for kind in ("allowed_instrument", "restricted_list"):
        one, other = (rule("listed", kind, instruments=names) for names in (["A-USD", "B-USD"], ["B-USD", "A-USD"]))
        assert loosenings(version(one), version(other)) == ()
