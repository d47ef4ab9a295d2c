"""What would pass instead: resubmitted it passes, one increment more is denied; or a sentence why no size would."""

from decimal import Decimal

import pytest

from apps.policies.types import Verdict
from tests.policies.cases import ALL_KINDS, COLLAR, ask, judged, market, rule


def test_the_largest_size_that_all_rules_together_let_through() -> None:
    """Each alone would let more through: 9.9 by worth, 8 by quantity, 6 by position; funds cover 4.9701 at 1.006."""
    rules = (
        rule("n", "max_order_notional", max_notional="990"),
        rule("q", "max_order_quantity", max_quantity="8"),
        rule("p", "max_position", max_quantity="18"),
        rule("f", "funds"),
    )
    found = judged(*rules, of=ask(quantity="500"), changes={"BALANCES": {"USD": "500"}})
    assert found.remedy is not None
    assert (found.remedy.field, found.remedy.value, found.remedy.bound) == ("quantity", Decimal("4.9701"), "at_most")
    assert found.remedy.sentence == "4.9701 BTC would pass."


def test_a_size_in_money_is_remedied_in_money() -> None:
    found = judged(COLLAR, of=market(quantity=None, quote_quantity="5000"))
    assert found.remedy is not None
    assert (found.remedy.field, found.remedy.value) == ("quote_quantity", Decimal("1000"))


def test_too_little_is_remedied_upwards_and_no_further_than_needed() -> None:
    found = judged(rule("m", "min_notional", min_notional="100"), of=ask(quantity="0.5"))
    assert found.remedy is not None
    assert (found.remedy.value, found.remedy.bound) == (Decimal(1), "at_least")
    assert found.remedy.sentence == "At least 1 BTC would pass."
    assert judged(rule("m", "min_notional", min_notional="100"), of=ask(quantity="0.9999")).outcome == Verdict.DENY


def test_off_the_grid_is_brought_onto_it() -> None:
    found = judged(of=ask(quantity="2.00005"))
    assert found.remedy is not None and found.remedy.value == Decimal(2)
    smaller_than_a_step = judged(of=ask(quantity="0.00001", limit_price="100"))
    assert smaller_than_a_step.remedy is not None and smaller_than_a_step.remedy.value == Decimal("0.01")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"TRADING_STATE": {"state": "HALTED"}}, "Trading is halted."),
        ({"INSTRUMENT": {"tradable": "false"}}, "The venue does not trade the instrument now."),
        ({"POSITION": {"quantity": "16"}}, "The position would grow beyond what is allowed"),
        ({"BALANCES": {"USD": "0.001"}}, "The available balance does not cover the order with its fee."),
        ({"QUOTE": {"bid": "NaN"}}, "Something a rule must know is no readable number, flag or time."),
    ],
)
def test_where_no_size_would_pass_it_says_why(changes: dict[str, dict[str, str]], why: str) -> None:
    found = judged(*ALL_KINDS, changes=changes)
    assert found.outcome == Verdict.DENY
    assert found.remedy is not None
    assert (found.remedy.field, found.remedy.value) == (None, None)
    assert found.remedy.sentence.startswith("No other size would pass. ")
    assert why in found.remedy.sentence


def test_too_much_and_too_little_at_once_has_no_remedy() -> None:
    rules = (
        rule("m", "min_notional", min_notional="300"),
        rule("q", "max_order_quantity", max_quantity="1"),
    )
    found = judged(*rules)
    assert found.remedy is not None and found.remedy.value is None


def test_what_passes_needs_no_remedy() -> None:
    assert judged().remedy is None
