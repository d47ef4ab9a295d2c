"""Whatever the policy and the ask: order does not matter, more rules never loosen, a remedy is exact, and a second,
naive implementation of the numbers agrees."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.common.decimals import decimal_text
from apps.policies.rules import evaluate, inputs_bytes, replay, results_bytes
from apps.policies.types import SEVERITY, Ask, Evaluation, Fact, RuleRow, Verdict
from tests.policies.cases import APPROVALS, COLLAR, NOTIONAL, NOW, ask, facts, rule, version
from tests.policies.comparable import evidence, look, probability

EXAMPLES = settings(suppress_health_check=[HealthCheck.too_slow])


def _decimals(low: str, high: str, places: int) -> st.SearchStrategy[str]:
    unit = Decimal(1).scaleb(-places)
    return st.integers(int(Decimal(low) / unit), int(Decimal(high) / unit)).map(lambda n: decimal_text(n * unit))


QUANTITY = _decimals("0.0001", "60", 4)
MONEY = _decimals("1", "6000", 2)
FLAG = st.sampled_from(["false", "false", "true"])
SCOPES = st.sampled_from([{}, {}, {}, {"side": "BUY"}, {"side": "SELL"}, {"instrument": "BTC-USD"}])


@st.composite
def rules(draw: st.DrawFn, kind: str = "") -> RuleRow:
    """A readable rule of any kind (or of this one) that judges numbers or states."""
    kind = kind or draw(
        st.sampled_from(
            [
                "max_order_quantity",
                "max_order_notional",
                "min_notional",
                "max_position",
                "max_gross_exposure",
                "daily_notional",
                "daily_loss",
                "drawdown",
                "funds",
                "order_rate",
                "duplicate",
                "similar_losses",
                "price_collar",
                "stale_quote",
                "approvals_required",
                "trading_state",
                "restricted_list",
            ]
        )
    )
    params: dict[str, Any] = {
        "max_order_quantity": lambda: {"max_quantity": draw(QUANTITY)},
        "max_order_notional": lambda: {"max_notional": draw(MONEY)},
        "min_notional": lambda: {"min_notional": draw(MONEY)},
        "max_position": lambda: draw(
            st.one_of(QUANTITY.map(lambda text: {"max_quantity": text}), MONEY.map(lambda text: {"max_notional": text}))
        ),
        "max_gross_exposure": lambda: {"max_notional": draw(MONEY)},
        "daily_notional": lambda: {"max_notional": draw(MONEY)},
        "daily_loss": lambda: {"max_loss": draw(MONEY)},
        "drawdown": lambda: {"max_drawdown_bps": draw(_decimals("1", "4000", 2))},
        "funds": dict,
        "order_rate": lambda: {"max_count": str(draw(st.integers(1, 9))), "per": "proposer"},
        "duplicate": lambda: {"window_s": "60"},
        "similar_losses": lambda: {
            "window_days": draw(st.sampled_from(["30", "30", "90"])),
            "min_losses": str(draw(st.integers(1, 4))),
            "min_p_above_base": draw(st.sampled_from(["0.5", "0.9", "0.95"])),
            "verdicts": draw(st.sampled_from([["PROCESS_ERROR"], ["PROCESS_ERROR", "EXECUTION"]])),
            "action": draw(st.sampled_from(["another_approver", "deny"])),
            **draw(st.sampled_from([{}, {"severe_r": "2"}, {"severe_r": "3"}])),
        },
        "price_collar": lambda: {
            "aggressive_bps": draw(_decimals("1", "300", 2)),
            "away_bps": draw(_decimals("1", "3000", 2)),
            "market_slippage_bps": draw(_decimals("1", "300", 2)),
        },
        "stale_quote": lambda: {"max_age_s": str(draw(st.integers(1, 60)))},
        "approvals_required": lambda: {
            "tiers": [
                {"up_to": draw(MONEY), "needed": str(draw(st.integers(0, 3))), "roles": ["approver", "risk"]},
                {"needed": str(draw(st.integers(0, 3))), "roles": draw(st.sampled_from([["approver"], ["risk"]]))},
            ]
        },
        "trading_state": dict,
        "restricted_list": lambda: {"instruments": draw(st.sampled_from([["BTC-USD"], ["XRP-USD"]]))},
    }[kind]()
    return rule("more", kind, scope=draw(SCOPES), **params)


@st.composite
def asks(draw: st.DrawFn) -> Ask:
    side = draw(st.sampled_from(["BUY", "SELL"]))
    currency = draw(st.sampled_from(["USD", "USD", "EUR"]))
    size = draw(st.sampled_from(["limit", "market", "money"]))
    common = {"side": side, "reporting_currency": currency}
    if size == "limit":
        return ask(quantity=draw(QUANTITY), limit_price=draw(_decimals("90", "110", 2)), **common)
    if size == "market":
        return ask(order_type="MARKET", limit_price=None, quantity=draw(QUANTITY), **common)
    money = draw(MONEY)
    return ask(order_type="MARKET", limit_price=None, quantity=None, quote_quantity=money, **common)


@st.composite
def looks(draw: st.DrawFn, name: str) -> Mapping[str, str]:
    """Losses, wins and what is usual; the worst loss where there is one."""
    losses, wins = draw(st.integers(0, 6)), draw(st.integers(0, 6))
    worst = draw(st.sampled_from(["none", "1", "2", "3.5"])) if losses else "none"
    return look(name, losses, wins, draw(st.sampled_from(["0.1", "0.4", "0.85"])), worst)


@st.composite
def changes(draw: st.DrawFn) -> Mapping[str, Mapping[str, str]]:
    """Other facts, all of them readable."""
    return {
        "TRADING_STATE": {"state": draw(st.sampled_from(["ACTIVE", "ACTIVE", "REDUCING", "HALTED"]))},
        "BALANCES": {"USD": draw(MONEY), "BTC": draw(QUANTITY)},
        "POSITION": {
            "quantity": draw(_decimals("-5", "30", 4)),
            "working_buy": draw(QUANTITY),
            "working_sell": draw(QUANTITY),
        },
        "GROSS": {"others": draw(MONEY)},
        "DAY_NOTIONAL": {"notional": draw(MONEY)},
        "DAY_LOSS": {"loss": draw(_decimals("-100", "200", 2)), "latched": draw(FLAG)},
        "EQUITY": {"equity": draw(_decimals("600", "1200", 2)), "latched": draw(FLAG)},
        "ORDER_RATE": {"count": str(draw(st.integers(0, 9)))},
        "DUPLICATES": {"count": draw(st.sampled_from(["0", "0", "1"]))},
        **evidence(draw(looks("now")), draw(looks("asked"))),
    }


POLICIES = st.lists(rules(), max_size=6).map(
    lambda more: [NOTIONAL, APPROVALS, COLLAR, *(replace(row, key=f"k{n}") for n, row in enumerate(more))]
)


def _judged(rows: list[RuleRow], wanted: Ask, known: dict[str, Fact], *, waived: bool = False) -> Evaluation:
    return evaluate(version(*rows), wanted, known, NOW, approval_may_be_waived=waived)


def _facts(rows: list[RuleRow], wanted: Ask, other: Mapping[str, Mapping[str, str]]) -> dict[str, Fact]:
    return facts(wanted, version(*rows), other)


@EXAMPLES
@given(POLICIES, asks(), changes(), st.randoms(use_true_random=False))
def test_the_order_of_rules_changes_nothing(rows: Any, wanted: Ask, other: Any, random: Any) -> None:
    known = _facts(rows, wanted, other)
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert results_bytes(_judged(rows, wanted, known)) == results_bytes(_judged(shuffled, wanted, known))


@EXAMPLES
@given(POLICIES, rules(), asks(), changes(), st.booleans())
def test_another_rule_never_loosens(rows: Any, more: RuleRow, wanted: Ask, other: Any, waived: bool) -> None:
    known = _facts([*rows, more], wanted, other)
    before, after = _judged(rows, wanted, known, waived=waived), _judged([*rows, more], wanted, known, waived=waived)
    assert SEVERITY[after.outcome] >= SEVERITY[before.outcome]
    assert set(after.codes) >= set(before.codes) - {"APPROVAL_RULES_CONFLICT"}
    if before.tier is not None and after.tier is not None:
        assert after.tier.needed >= before.tier.needed
        assert set(after.tier.roles) <= set(before.tier.roles)
        assert after.tier.difference >= before.tier.difference


@EXAMPLES
@given(POLICIES, asks(), changes())
def test_a_remedy_passes_and_one_step_more_does_not(rows: Any, wanted: Ask, other: Any) -> None:
    known = _facts(rows, wanted, other)
    found = _judged(rows, wanted, known)
    assert (found.remedy is None) == (found.outcome is not Verdict.DENY)
    if found.remedy is None or found.remedy.value is None:
        return
    step = Decimal("0.0001") if found.remedy.field == "quantity" else Decimal("0.01")
    beyond = step if found.remedy.bound == "at_most" else -step

    def sized(value: Decimal) -> Verdict:
        changed = {name: getattr(wanted, name) for name in wanted.__slots__} | {found.remedy.field: value}  # type: ignore[union-attr]
        return _judged(rows, Ask(**changed), known).outcome

    assert sized(found.remedy.value) is not Verdict.DENY
    assert sized(found.remedy.value + beyond) is Verdict.DENY


@EXAMPLES
@given(POLICIES, asks(), changes())
def test_no_remedy_means_that_no_smaller_size_passes(rows: Any, wanted: Ask, other: Any) -> None:
    known = _facts(rows, wanted, other)
    found = _judged(rows, wanted, known)
    if found.remedy is None or found.remedy.value is not None or wanted.quantity is None:
        return
    for part in (Decimal("0.0001"), wanted.quantity / 4, wanted.quantity / 2, wanted.quantity * 2):
        size = max(part.quantize(Decimal("0.0001")), Decimal("0.0001"))
        changed = {name: getattr(wanted, name) for name in wanted.__slots__} | {"quantity": size}
        assert _judged(rows, Ask(**changed), known).outcome is Verdict.DENY


@EXAMPLES
@given(POLICIES, asks(), changes(), st.booleans(), st.integers(1, 40))
def test_stored_inputs_give_the_stored_bytes_again(
    rows: Any, wanted: Ask, other: Any, waived: bool, precision: int
) -> None:
    policy, known = version(*rows), _facts(rows, wanted, other)
    evaluation = evaluate(policy, wanted, known, NOW, approval_may_be_waived=waived)
    inputs = inputs_bytes(version=policy, ask=wanted, facts=known, now=NOW, approval_may_be_waived=waived)
    stored = results_bytes(evaluation)
    with localcontext(Context(prec=precision)):  # whatever the thread that replays has set
        assert results_bytes(replay(inputs)) == stored


@EXAMPLES
@given(POLICIES, asks(), changes())
def test_a_naive_second_implementation_agrees(rows: Any, wanted: Ask, other: Any) -> None:
    known = _facts(rows, wanted, other)
    found = _judged(rows, wanted, known)
    expected = {row.key: _naive(row, rows, wanted, known) for row in rows}
    lines = {line.rule: line for line in found.lines}
    for key, says in expected.items():
        if says is not None:
            assert (key, lines[key].verdict in ("PASS", "NOT_APPLICABLE")) == (key, says)
    if not all(says is not False for says in expected.values()):
        assert found.outcome is Verdict.DENY


def _naive(row: RuleRow, rows: list[RuleRow], wanted: Ask, known: dict[str, Fact]) -> bool | None:
    """Whether the rule passes, in fractions, straight from the words; None for kinds it does not know."""
    if row.side not in (None, wanted.side) or row.instrument not in (None, wanted.instrument):
        return True

    def fact(kind: str, name: str) -> Fraction:
        return next(Fraction(f.values[name]) for key, f in known.items() if key.startswith(f"{kind}:"))

    bid, best = fact("QUOTE", "bid"), fact("QUOTE", "ask")
    middle, buys = (bid + best) / 2, wanted.side == "BUY"
    fx = Fraction(1) if wanted.reporting_currency == "USD" else fact("FX", "rate")
    slip = max(
        Fraction(str(other.params["market_slippage_bps"]))
        for other in rows
        if other.kind == "price_collar" and other.side in (None, wanted.side)
    )
    if wanted.limit_price is not None:
        worst = least = Fraction(wanted.limit_price)
        worst = worst if buys else max(worst, bid)
    else:
        worst, least = (best * (1 + slip / 10000), best) if buys else (bid, bid * (1 - slip / 10000))
    if wanted.quantity is not None:
        quantity = Fraction(wanted.quantity)
        worth, floor = quantity * worst, quantity * least
    else:
        worth = floor = Fraction(wanted.quote_quantity or 0)
        quantity = worth / (bid * (1 - slip / 10000))
    left = fact("POSITION", "quantity") * (-1 if buys else 1) - fact(
        "POSITION", "working_buy" if buys else "working_sell"
    )
    shrinks = quantity <= left

    def latched(kind: str) -> bool:
        return any(f.values["latched"] == "true" for key, f in known.items() if key.startswith(f"{kind}:"))

    limit = {
        name: Fraction(value)
        for name, value in row.params.items()
        if isinstance(value, str) and name not in ("per", "action")
    }
    held = max(fact("POSITION", "quantity"), Fraction(0)) + fact("POSITION", "working_buy")
    gross = abs(fact("POSITION", "quantity")) + fact("POSITION", "working_buy")
    answers: dict[str, Any] = {
        "max_order_quantity": lambda: quantity <= limit["max_quantity"],
        "max_order_notional": lambda: worth * fx <= limit["max_notional"],
        "min_notional": lambda: floor * fx >= limit["min_notional"],
        "max_position": lambda: (
            not buys
            or (
                held + quantity <= limit["max_quantity"]
                if "max_quantity" in limit
                else held * middle * fx + worth * fx <= limit["max_notional"]
            )
        ),
        "max_gross_exposure": lambda: (
            not buys or fact("GROSS", "others") + gross * middle * fx + worth * fx <= limit["max_notional"]
        ),
        "daily_notional": lambda: fact("DAY_NOTIONAL", "notional") + worth * fx <= limit["max_notional"],
        "daily_loss": lambda: shrinks or (not latched("DAY_LOSS") and fact("DAY_LOSS", "loss") <= limit["max_loss"]),
        "drawdown": lambda: (
            shrinks
            or (
                not latched("EQUITY")
                and 1 - fact("EQUITY", "equity") / fact("EQUITY", "peak") <= limit["max_drawdown_bps"] / 10000
            )
        ),
        "funds": lambda: (
            worth * (1 + fact("FEES", "taker")) <= fact("BALANCES", "USD")
            if buys
            else quantity <= fact("BALANCES", "BTC")
        ),
        "order_rate": lambda: fact("ORDER_RATE", "count") + 1 <= limit["max_count"],
        "duplicate": lambda: fact("DUPLICATES", "count") == 0,
        "similar_losses": lambda: shrinks or not any(_lost_more(row, known, name) for name in ("now", "asked")),
        "price_collar": lambda: _collar(wanted, bid, best, middle, limit),
    }
    answer = answers.get(row.kind)
    return None if answer is None else bool(answer())


def _lost_more(row: RuleRow, known: dict[str, Fact], name: str) -> bool:
    """Whether one of the looks speaks against it: by its worst loss, or by its rate."""
    values = next(f.values for key, f in known.items() if key.startswith("SIMILAR_LOSSES:"))
    worst, severe = values[f"{name}.worst_r"], row.params.get("severe_r")
    if severe is not None and worst != "none" and Fraction(worst) >= Fraction(str(severe)):
        return True
    losses, wins = int(values[f"{name}.losses"]), int(values[f"{name}.wins"])
    enough = losses >= int(str(row.params["min_losses"]))
    likely = probability(losses, wins, values[f"{name}.base"])
    return enough and likely >= Fraction(str(row.params["min_p_above_base"]))


def _collar(wanted: Ask, bid: Fraction, best: Fraction, middle: Fraction, limit: Mapping[str, Fraction]) -> bool:
    buys = wanted.side == "BUY"
    touch = best if buys else bid
    paid = Fraction(wanted.limit_price) if wanted.limit_price is not None else touch
    worse = (paid - middle) / middle * (1 if buys else -1)
    return worse * 10000 <= limit["aggressive_bps"] and abs(paid - middle) / middle * 10000 <= limit["away_bps"]
