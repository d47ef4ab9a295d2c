"""Doubt denies: each fact of a passing ask missing, stale, early, NaN or junk, in turn; unknown kinds; broken rules."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from apps.policies.rules import compiled, evaluate, facts_needed
from apps.policies.rules.case import Case
from apps.policies.rules.finding import Finding
from apps.policies.types import Fact, Verdict
from tests.policies.cases import (
    ALL_KINDS,
    APPROVALS,
    NOTIONAL,
    NOW,
    SIMILAR,
    ask,
    denials,
    facts,
    judged,
    market,
    rule,
    version,
)

POLICY = version(*ALL_KINDS)
ASKS = {
    "buy": ask(reporting_currency="EUR"),
    "sell": ask(side="SELL"),
    "market": market(),
    "money": market(quantity=None, quote_quantity="150"),
}
# What no rule reads of a fact that is read: the maker fee, and the currency the side does not need.
IGNORED = {("buy", "maker"), ("buy", "BTC"), ("sell", "maker"), ("sell", "USD"), ("market", "maker"), ("market", "BTC")}
IGNORED |= {("money", "maker"), ("money", "BTC")}
JUNK = ("NaN", "Infinity", "1e3", "-0", "0x1", " 1", "1,5", "\uff11", "", "yes", "True", "1" * 40)


FACT_TABLE = [(name, spec.key) for name, wanted in ASKS.items() for spec in facts_needed(POLICY, wanted)]
VALUE_TABLE = [
    (name, key, value)
    for name, wanted in ASKS.items()
    for key, fact in facts(wanted, POLICY).items()
    for value in fact.values
    if (name, value) not in IGNORED
]


@pytest.mark.parametrize("name", ASKS)
def test_all_of_it_passes_while_nothing_is_wrong(name: str) -> None:
    found = evaluate(POLICY, ASKS[name], facts(ASKS[name], POLICY), NOW)
    assert (found.outcome, found.codes) == (Verdict.NEEDS_APPROVAL, ())


def _as_of(moment: datetime) -> Callable[[Fact], Fact]:
    return lambda fact: replace(fact, as_of=moment)


@pytest.mark.parametrize(
    "spoil",
    [
        None,
        _as_of(NOW - timedelta(days=2)),
        _as_of(NOW + timedelta(seconds=3)),
        _as_of(NOW.replace(tzinfo=None)),
        lambda fact: replace(fact, values={}),
        lambda fact: "a text",
        lambda fact: replace(fact, as_of=None),
        lambda fact: replace(fact, values=None),
    ],
    ids=["missing", "stale", "early", "naive", "empty", "no-fact", "no-time", "no-values"],
)
@pytest.mark.parametrize(("name", "key"), FACT_TABLE)
def test_a_fact_that_is_spoilt_denies(name: str, key: str, spoil: Callable[[Fact], Fact] | None) -> None:
    known = facts(ASKS[name], POLICY)
    fact = known.pop(key)
    if spoil is not None:
        known[key] = spoil(fact)
    assert evaluate(POLICY, ASKS[name], known, NOW).outcome == Verdict.DENY


@pytest.mark.parametrize(("name", "key", "value"), VALUE_TABLE)
def test_a_value_that_is_spoilt_denies(name: str, key: str, value: str) -> None:
    for junk in (None, *JUNK, 1, Decimal(1), True):
        known = facts(ASKS[name], POLICY)
        values: dict[str, object] = dict(known[key].values)
        values.pop(value)
        if junk is not None:
            values[value] = junk
        known[key] = replace(known[key], values=values)  # type: ignore[arg-type]
        found = evaluate(POLICY, ASKS[name], known, NOW)
        assert (junk, found.outcome) == (junk, Verdict.DENY)
        assert found.lines


def test_a_quote_from_the_future_by_the_venues_clock_denies() -> None:
    changes = {"QUOTE": {"occurred_at": "2026-03-02T14:46:02.000001Z"}}
    assert "FACT_FROM_FUTURE" in judged(changes=changes).codes
    assert judged(changes={"QUOTE": {"occurred_at": "2026-03-02T14:46:02Z"}}).outcome == Verdict.NEEDS_APPROVAL


@pytest.mark.parametrize(("bid", "best_ask"), [("100", "100"), ("100.1", "100"), ("0", "100"), ("-1", "100")])
def test_a_crossed_or_empty_book_denies(bid: str, best_ask: str) -> None:
    assert judged(changes={"QUOTE": {"bid": bid, "ask": best_ask}}).outcome == Verdict.DENY


def test_no_version_denies_whatever_is_known() -> None:
    found = evaluate(None, ask(), facts(ask(), None), NOW)
    assert (found.outcome, found.codes) == (Verdict.DENY, ("NO_ACTIVE_POLICY",))
    assert found.remedy is not None and found.remedy.value is None


def test_no_limit_on_the_worth_of_an_order_denies() -> None:
    policy = version(APPROVALS, rule("q", "max_order_quantity", max_quantity="100"))
    assert evaluate(policy, ask(), facts(ask(), policy), NOW).codes == ("NO_LIMIT_SET",)
    elsewhere = version(APPROVALS, rule("n", "max_order_notional", scope={"side": "SELL"}, max_notional="1000"))
    assert evaluate(elsewhere, ask(), facts(ask(), elsewhere), NOW).codes == ("NO_LIMIT_SET",)


def test_no_approval_rule_denies() -> None:
    policy = version(NOTIONAL)
    assert evaluate(policy, ask(), facts(ask(), policy), NOW).codes == ("NO_APPROVAL_RULE",)


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (rule("r", "moon_phase"), "RULE_KIND_UNKNOWN"),
        (rule("r", ""), "RULE_KIND_UNKNOWN"),
        (rule("r", "max_order_quantity"), "RULE_PARAMS_INVALID"),
        (rule("r", "max_order_quantity", max_quantity="NaN"), "RULE_PARAMS_INVALID"),
        (rule("r", "max_order_quantity", max_quantity=5), "RULE_PARAMS_INVALID"),
        (rule("r", "max_order_quantity", max_quantity="5", max_quantiy="6"), "RULE_PARAMS_INVALID"),
        (rule("r", "max_order_quantity", max_quantity="100000000000"), "RULE_PARAMS_INVALID"),
        (rule("r", "max_order_quantity", max_quantity="0"), "RULE_PARAMS_INVALID"),
        (rule("r", "max_order_quantity", max_quantity="0.000000001"), "RULE_PARAMS_INVALID"),
        (rule("r", "price_collar", aggressive_bps="50", away_bps="10000"), "RULE_PARAMS_INVALID"),
        (rule("r", "max_position"), "RULE_PARAMS_INVALID"),
        (rule("r", "max_position", max_quantity="1", max_notional="1"), "RULE_PARAMS_INVALID"),
        (rule("r", "allowed_instrument", instruments="BTC-USD"), "RULE_PARAMS_INVALID"),
        (rule("r", "allowed_instrument", instruments=[]), "RULE_PARAMS_INVALID"),
        (rule("r", "allowed_order_types", order_types=["LIMIT", "MAGIC"]), "RULE_PARAMS_INVALID"),
        (rule("r", "stale_quote", max_age_s="61"), "RULE_PARAMS_INVALID"),
        (rule("r", "order_rate", max_count="5", per="moon"), "RULE_PARAMS_INVALID"),
        (rule("r", "approvals_required", tiers=[]), "RULE_PARAMS_INVALID"),
        (rule("r", "approvals_required", tiers=[{"needed": "1", "roles": ["emperor"]}]), "RULE_PARAMS_INVALID"),
        (rule("r", "approvals_required", tiers=["everybody"]), "RULE_PARAMS_INVALID"),
        (rule("r", "approvals_required", tiers=[{"needed": "1", "roles": ["risk"]}] * 2), "RULE_PARAMS_INVALID"),
        (rule("r", "trading_state", state="ACTIVE"), "RULE_PARAMS_INVALID"),
        (rule("r", "similar_losses"), "RULE_PARAMS_INVALID"),
        *(
            (replace(SIMILAR, params={**SIMILAR.params, name: junk}), "RULE_PARAMS_INVALID")
            for name, junk in (
                ("window_days", "0"),
                ("window_days", "367"),
                ("min_losses", "0"),
                ("min_losses", "2.5"),
                ("min_p_above_base", "1"),
                ("min_p_above_base", "95"),
                ("verdicts", []),
                ("verdicts", ["process_error"]),
                ("severe_r", "0"),
                ("severe_r", "-3"),
                ("action", "note"),
                ("base_rate", "0.5"),
            )
        ),
    ],
)
def test_a_rule_that_cannot_be_read_denies(row: object, code: str) -> None:
    found = judged(NOTIONAL, APPROVALS, row)  # type: ignore[arg-type]
    assert (found.outcome, code in found.codes) == (Verdict.DENY, True)


@pytest.mark.parametrize("key", [row.key for row in ALL_KINDS])
@pytest.mark.parametrize("error", [RuntimeError, ZeroDivisionError, RecursionError, MemoryError])
def test_an_exception_inside_any_rule_denies(key: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    """The one place where a test reaches inside: a rule has to be broken to see that breaking denies."""
    ready = compiled.compiled(POLICY)

    def broken(case: Case, keys: tuple[str, ...]) -> Finding:
        raise ZeroDivisionError("broken")

    rules = tuple(item._replace(check=broken) if item.row.key == key else item for item in ready.rules)
    monkeypatch.setitem(compiled._cache, POLICY.digest, ready._replace(rules=rules, selections={}))
    found = evaluate(POLICY, ask(), facts(ask(), POLICY), NOW)
    assert (found.outcome, found.codes[0]) == (Verdict.DENY, "RULE_FAILED")


@pytest.mark.parametrize(
    "changes",
    [
        {"quantity": None},
        {"quote_quantity": "5"},
        {"quantity": "0"},
        {"quantity": "-1"},
        {"quantity": "NaN"},
        {"quantity": "Infinity"},
        {"limit_price": None},
        {"limit_price": "sNaN"},
        {"stop_price": "5"},
        {"order_type": "MARKET"},
        {"order_type": "STOP_LIMIT"},
        {"order_type": "STOP"},
        {"side": "SHORT"},
        {"environment": "demo"},
        {"quantity": 2.5},
        {"quantity": 2},
        {"quantity": None, "quote_quantity": "5"},
    ],
)
def test_terms_that_are_not_whole_are_denied(changes: dict[str, object]) -> None:
    found = judged(*ALL_KINDS, of=ask(**changes))
    assert (found.outcome, "TERMS_MALFORMED" in found.codes) == (Verdict.DENY, True)


def test_an_amount_beyond_what_can_be_compared_is_denied() -> None:
    found = judged(of=ask(quantity="92233720369"))
    assert "AMOUNT_OVERFLOW" in found.codes


def test_what_is_wrong_is_said_all_at_once() -> None:
    found = judged(
        *ALL_KINDS, of=ask(quantity="500"), changes={"DAY_LOSS": {"loss": "500"}, "TRADING_STATE": {"state": "HALTED"}}
    )
    assert denials(found.lines) == set(found.codes)
    assert {"TRADING_HALTED", "DAILY_LOSS", "MAX_ORDER_NOTIONAL", "FUNDS_INSUFFICIENT", "MAX_POSITION"} <= set(
        found.codes
    )
