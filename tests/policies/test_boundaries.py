"""Each rule at its limit, where it passes, and one step beyond, where it denies with its own code and no other."""

from datetime import timedelta
from decimal import Decimal

import pytest

from apps.policies.rules import evaluate, facts_needed
from apps.policies.rules.finding import Doubt
from apps.policies.rules.kinds import title_of
from apps.policies.rules.price import price
from apps.policies.rules.reading import AMOUNT_MAX, Touch
from apps.policies.types import Fact, FactKind, RuleRow, Verdict, VersionRules
from tests.policies.boundary_table import SMALLEST, TABLE, Side
from tests.policies.cases import (
    APPROVALS,
    COLLAR,
    CONNECTION,
    NOTIONAL,
    NOW,
    PROPOSER,
    SOMEBODY,
    VALUES,
    ask,
    facts,
    judged,
    line,
    market,
    rule,
    version,
)


@pytest.mark.parametrize(
    ("row", "passing", "denied", "code"), [entry[1:] for entry in TABLE], ids=[e[0] for e in TABLE]
)
def test_passes_at_the_limit_and_denies_beyond(row: RuleRow, passing: Side, denied: Side, code: str) -> None:
    within = judged(row, of=ask(**passing[0]), changes=passing[1])
    assert (within.outcome, within.codes) == (Verdict.NEEDS_APPROVAL, ())
    beyond = judged(row, of=ask(**denied[0]), changes=denied[1])
    assert (beyond.outcome, beyond.codes) == (Verdict.DENY, (code,))


@pytest.mark.parametrize(
    ("least", "key", "most"),
    [
        ({"min_quantity": "2"}, "always/venue-quantity", "1000"),
        ({"min_notional": "200"}, "always/venue-notional", "1000000"),
    ],
)
def test_what_is_the_venues_least_is_held_against_its_most_too(least: dict[str, str], key: str, most: str) -> None:
    found = line(judged(rule("r", "trading_state"), changes={"INSTRUMENT": least}), key)
    assert (found.verdict, found.operator, found.limit) == ("PASS", "<=", most)


def test_a_market_order_without_a_bound_is_denied() -> None:
    unbounded = rule("r", "price_collar", aggressive_bps="50", away_bps="1000")
    assert judged(unbounded, of=market()).codes == ("NO_MARKET_BOUND",)


def test_a_market_order_is_worth_what_it_costs_after_slipping() -> None:
    """100.1 and one percent: 101.101 each."""
    found = judged(COLLAR, rule("n", "max_order_notional", max_notional="202.202"), of=market())
    assert (found.outcome, str(found.worst_price)) == (Verdict.NEEDS_APPROVAL, "101.101")
    assert judged(COLLAR, rule("n", "max_order_notional", max_notional="202.2"), of=market()).codes == (
        "MAX_ORDER_NOTIONAL",
    )


def test_an_order_in_money_counts_the_most_base_it_can_move() -> None:
    """98.901 is the bid after slipping; 98.901 USD buy 1 BTC at most."""
    one = rule("q", "max_order_quantity", max_quantity="1")
    money = {"quantity": None, "quote_quantity": "98.9"}
    assert judged(COLLAR, one, of=market(**money)).outcome == Verdict.NEEDS_APPROVAL
    assert judged(COLLAR, one, of=market(**{**money, "quote_quantity": "98.91"})).codes == ("MAX_ORDER_QUANTITY",)


@pytest.mark.parametrize(
    ("age_s", "codes"), [(5, ()), (5.000001, ("QUOTE_STALE",)), (-2, ()), (-2.000001, ("FACT_FROM_FUTURE",))]
)
def test_the_price_may_be_so_old_and_no_older(age_s: float, codes: tuple[str, ...]) -> None:
    row = rule("r", "stale_quote", max_age_s="5")
    known = facts(ask(), version(row, NOTIONAL, APPROVALS))
    known["QUOTE:BTC-USD:"] = Fact(VALUES["QUOTE"], NOW - timedelta(seconds=age_s))
    found = judged(row, known=known)
    assert tuple(dict.fromkeys(found.codes)) == codes


def test_selling_is_never_held_against_a_position_that_is_too_large() -> None:
    sell = ask(side="SELL")
    rules = (
        rule("p", "max_position", max_quantity="1"),
        rule("g", "max_gross_exposure", max_notional="1"),
    )
    assert judged(*rules, of=sell).outcome == Verdict.NEEDS_APPROVAL
    assert judged(*rules).codes == ("MAX_GROSS_EXPOSURE", "MAX_POSITION")


def test_restricted_wins_over_allowed() -> None:
    found = judged(
        rule("a", "allowed_instrument", instruments=["BTC-USD"]), rule("b", "restricted_list", instruments=["BTC-USD"])
    )
    assert found.codes == ("INSTRUMENT_RESTRICTED",)


def test_a_denial_says_what_was_seen_what_is_allowed_and_what_is_left() -> None:
    found = line(judged(rule("r", "max_order_notional", max_notional="150")), "r")
    assert found.message == "2 BTC-USD is worth 200.00 USD, and at most 150.00 is allowed."
    assert (found.observed, found.operator, found.limit, found.unit) == ("200", "<=", "150", "USD")
    assert (found.used_fraction, found.room_left) == ("1.3334", "0")


@pytest.mark.parametrize(
    "scope", [{"connection": CONNECTION}, {"instrument": "BTC-USD"}, {"side": "BUY"}, {"proposer": PROPOSER}]
)
def test_a_rule_whose_scope_names_one_thing_applies_to_it_whatever_the_rest(scope: dict[str, str]) -> None:
    found = judged(rule("r", "max_order_quantity", scope=scope, max_quantity="1"))
    assert (found.outcome, found.codes) == (Verdict.DENY, ("MAX_ORDER_QUANTITY",))


@pytest.mark.parametrize(("per", "scope"), [("proposer", PROPOSER), ("connection", CONNECTION)])
def test_asks_are_counted_by_whom_the_rule_says(per: str, scope: str) -> None:
    policy = version(NOTIONAL, APPROVALS, rule("rate", "order_rate", max_count="7", per=per, window_s="77"))
    (spec,) = [spec for spec in facts_needed(policy, ask()) if spec.kind is FactKind.ORDER_RATE]
    assert (spec.scope, spec.window_s) == (f"{per}:{scope}", 77)


def test_the_widest_bound_on_market_orders_is_their_worst_price() -> None:
    """2 at 100.1 and 3 % more are 206.206; by the tighter of the two they would be 202.202."""
    collars = [
        rule(f"c{bps}", "price_collar", aggressive_bps="500", away_bps="1000", market_slippage_bps=bps)
        for bps in ("100", "300", "200")
    ]
    for most, codes in (("206.206", ()), ("206.205", ("MAX_ORDER_NOTIONAL",))):
        assert judged(*collars, rule("n", "max_order_notional", max_notional=most), of=market()).codes == codes


@pytest.mark.parametrize(
    ("quantity", "limit_price", "fx", "fits"),
    [
        (AMOUNT_MAX, Decimal(1), Decimal(1), True),
        (AMOUNT_MAX + SMALLEST, Decimal("0.5"), Decimal(1), False),
        (Decimal(2), AMOUNT_MAX, Decimal("0.1"), False),
        (Decimal(1), AMOUNT_MAX, Decimal("1.1"), False),
    ],
    ids=["all at the bound", "its size", "its worth", "its worth in the reporting currency"],
)
def test_no_amount_is_larger_than_can_be_counted(
    quantity: Decimal, limit_price: Decimal, fx: Decimal, fits: bool
) -> None:
    large = ask(quantity=quantity, limit_price=limit_price)
    touch = Touch(Decimal(1), Decimal(1), Decimal(1), timedelta())
    if fits:
        assert price(large, touch, fx, None).notional == AMOUNT_MAX
    else:
        with pytest.raises(Doubt, match="AMOUNT_OVERFLOW"):
            price(large, touch, fx, None)


def test_a_kind_has_a_title_and_one_that_nobody_knows_its_name() -> None:
    assert title_of("max_order_quantity") not in ("", "max_order_quantity")
    assert title_of("no_such_kind") == "no_such_kind"


def test_a_buy_below_the_market_is_worth_its_own_price() -> None:
    low = ask(limit_price="95")
    assert judged(rule("n", "max_order_notional", max_notional="190"), of=low).codes == ()
    assert judged(rule("n", "max_order_notional", max_notional="189.99"), of=low).codes == ("MAX_ORDER_NOTIONAL",)


def test_a_rule_that_cannot_be_read_names_the_parameter() -> None:
    found = line(judged(rule("r", "max_order_quantity", max_quantity="many")), "r")
    assert (found.verdict, found.code) == ("ERROR", "RULE_PARAMS_INVALID")
    assert found.message.endswith("(max_quantity).")


def test_rules_are_judged_by_themselves_although_another_version_has_the_digest() -> None:
    """What is kept ready is found by its digest, and believed only where the rules are these very ones."""
    strict = version(NOTIONAL, APPROVALS, rule("r", "max_order_quantity", max_quantity="1"))
    lax = VersionRules(strict.version_id, strict.set_slug, strict.number, strict.digest, (NOTIONAL, APPROVALS))
    for policy, outcome in ((strict, Verdict.DENY), (lax, Verdict.NEEDS_APPROVAL), (strict, Verdict.DENY)):
        assert evaluate(policy, ask(), facts(ask(), policy), NOW, approval_may_be_waived=False).outcome == outcome


def test_the_price_on_the_grid_is_shown_where_there_is_one() -> None:
    assert line(judged(COLLAR), "always/price-increment").observed == "100"
    assert line(judged(COLLAR, of=market()), "always/price-increment").observed == ""


@pytest.mark.parametrize(
    "scope", [{"connection": SOMEBODY}, {"instrument": "ETH-USD"}, {"side": "SELL"}, {"proposer": SOMEBODY}]
)
def test_a_rule_out_of_scope_is_consulted_and_does_not_apply(scope: dict[str, str]) -> None:
    found = judged(rule("r", "max_order_quantity", scope=scope, max_quantity="1"))
    assert found.outcome == Verdict.NEEDS_APPROVAL
    assert line(found, "r").verdict == "NOT_APPLICABLE"
