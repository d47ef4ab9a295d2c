"""`policy`: decisions a CPU second with 20 rules, beside cedarpy with pre-parsed policies."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import cedarpy

from apps.policies import rules
from apps.policies.types import Ask, Fact, FactKind, Facts, RuleKind, RuleRow, VersionRules
from tests.benchmarks.report import Found, Row

RUNS = 7
SECONDS_A_RUN = 1.0
NOW = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
CONNECTION = "7f0c2f4e-7a55-4f52-9f0d-0a6a5b0f1c11"
PROPOSER = "b1c2f4e7-7a55-4f52-9f0d-0a6a5b0f1c22"

ASK = Ask(
    connection=CONNECTION,
    environment="paper",
    instrument="BTC-USD",
    base_currency="BTC",
    quote_currency="USD",
    reporting_currency="USD",
    side="BUY",
    order_type="LIMIT",
    time_in_force="GTC",
    proposer=PROPOSER,
    quantity=Decimal("0.01"),
    limit_price=Decimal("64300"),
)

ANSWERS: dict[FactKind, dict[str, str]] = {
    FactKind.TRADING_STATE: {"state": "ACTIVE"},
    FactKind.INSTRUMENT: {
        "tradable": "true",
        "cancel_only": "false",
        "limit_only": "false",
        "post_only": "false",
        "price_increment": "0.01",
        "quantity_increment": "0.00000001",
        "quote_increment": "0.01",
        "min_quantity": "0.00000001",
        "max_quantity": "3400",
        "min_notional": "1",
        "max_notional": "150000000",
    },
    FactKind.QUOTE: {"bid": "64221.1", "ask": "64226.4", "occurred_at": "2026-11-22T14:00:00.000000Z"},
    FactKind.BALANCES: {"BTC": "0.5", "USD": "100000"},
    FactKind.FEES: {"taker": "0.006", "maker": "0.004"},
    FactKind.POSITION: {"quantity": "0.5", "working_buy": "0", "working_sell": "0"},
    FactKind.GROSS: {"others": "12000"},
    FactKind.DAY_NOTIONAL: {"notional": "600"},
    FactKind.DAY_LOSS: {"loss": "12.5", "latched": "false"},
    FactKind.ORDER_RATE: {"count": "1"},
    FactKind.DUPLICATES: {"count": "0"},
    FactKind.FX: {"rate": "1"},
}

RULES = tuple(
    RuleRow(key=key, kind=kind.value, params=params)
    for key, kind, params in (
        ("state", RuleKind.TRADING_STATE, {}),
        ("allowed", RuleKind.ALLOWED_INSTRUMENT, {"instruments": ["BTC-USD", "ETH-USD"]}),
        ("restricted", RuleKind.RESTRICTED_LIST, {"instruments": ["XRP-USD"]}),
        ("types", RuleKind.ALLOWED_ORDER_TYPES, {"order_types": ["LIMIT", "MARKET"]}),
        ("quantity", RuleKind.MAX_ORDER_QUANTITY, {"max_quantity": "0.5"}),
        ("quantity-2", RuleKind.MAX_ORDER_QUANTITY, {"max_quantity": "1"}),
        ("order", RuleKind.MAX_ORDER_NOTIONAL, {"max_notional": "5000"}),
        ("order-2", RuleKind.MAX_ORDER_NOTIONAL, {"max_notional": "7000"}),
        ("least", RuleKind.MIN_NOTIONAL, {"min_notional": "10"}),
        ("collar", RuleKind.PRICE_COLLAR, {"aggressive_bps": "50", "away_bps": "1000", "market_slippage_bps": "50"}),
        ("fresh", RuleKind.STALE_QUOTE, {"max_age_s": "5", "max_spread_bps": "50"}),
        ("funds", RuleKind.FUNDS, {"max_age_s": "60"}),
        ("position", RuleKind.MAX_POSITION, {"max_notional": "60000"}),
        ("position-2", RuleKind.MAX_POSITION, {"max_quantity": "2"}),
        ("gross", RuleKind.MAX_GROSS_EXPOSURE, {"max_notional": "120000"}),
        ("day", RuleKind.DAILY_NOTIONAL, {"max_notional": "25000"}),
        ("loss", RuleKind.DAILY_LOSS, {"max_loss": "500"}),
        ("rate", RuleKind.ORDER_RATE, {"max_count": "6", "per": "proposer", "window_s": "60"}),
        ("duplicate", RuleKind.DUPLICATE, {"window_s": "600"}),
        (
            "approvals",
            RuleKind.APPROVALS_REQUIRED,
            {"tiers": [{"up_to": "2500", "needed": "1", "roles": ["approver"]}, {"needed": "2", "roles": ["risk"]}]},
        ),
    )
)

# The same twenty bounds as Cedar can hold them: money and quantities as integers of 1e-8, since its decimal has
# exactly four places. What Aika derives itself (worst price, notional, position after) is given to Cedar ready made.
CEDAR = """
permit(principal, action == Action::"propose", resource);
forbid(principal, action, resource) when { context.state != "ACTIVE" };
forbid(principal, action, resource) unless { ["BTC-USD", "ETH-USD"].contains(context.instrument) };
forbid(principal, action, resource) when { ["XRP-USD"].contains(context.instrument) };
forbid(principal, action, resource) unless { ["LIMIT", "MARKET"].contains(context.order_type) };
forbid(principal, action, resource) when { context.quantity > 50000000 };
forbid(principal, action, resource) when { context.quantity > 100000000 };
forbid(principal, action, resource) when { context.notional > 500000000000 };
forbid(principal, action, resource) when { context.notional > 700000000000 };
forbid(principal, action, resource) when { context.notional < 1000000000 };
forbid(principal, action, resource) when { context.aggressive_bps > 50 || context.away_bps > 1000 };
forbid(principal, action, resource) when { context.quote_age_ms > 5000 || context.spread_bps > 50 };
forbid(principal, action, resource) when { context.needed_funds > context.available };
forbid(principal, action, resource) when { context.position_notional > 6000000000000 };
forbid(principal, action, resource) when { context.position_quantity > 200000000 };
forbid(principal, action, resource) when { context.gross > 12000000000000 };
forbid(principal, action, resource) when { context.day_notional > 2500000000000 };
forbid(principal, action, resource) when { context.day_loss > 50000000000 || context.latched };
forbid(principal, action, resource) when { context.asked > 6 };
forbid(principal, action, resource) when { context.duplicates > 0 };
"""
CEDAR_CONTEXT = {
    "state": "ACTIVE",
    "instrument": "BTC-USD",
    "order_type": "LIMIT",
    "quantity": 1_000_000,
    "notional": 64_300_000_000,
    "aggressive_bps": 12,
    "away_bps": 12,
    "quote_age_ms": 400,
    "spread_bps": 1,
    "needed_funds": 64_700_000_000,
    "available": 10_000_000_000_000,
    "position_notional": 3_275_000_000_000,
    "position_quantity": 51_000_000,
    "gross": 4_475_000_000_000,
    "day_notional": 124_300_000_000,
    "day_loss": 1_250_000_000,
    "latched": False,
    "asked": 2,
    "duplicates": 0,
}


def measure() -> Found:
    """Run both, turn by turn."""
    version = VersionRules("v", "bench", 1, rules.rules_digest(set_slug="bench", number=1, rules=RULES), RULES)
    facts: Facts = {spec.key: Fact(values=ANSWERS[spec.kind], as_of=NOW) for spec in rules.facts_needed(version, ASK)}

    def outcome() -> object:
        return rules.evaluate(version, ASK, facts, NOW, approval_may_be_waived=False)

    def explained() -> object:
        return rules.evaluate(version, ASK, facts, NOW, approval_may_be_waived=False).lines

    evaluation = rules.evaluate(version, ASK, facts, NOW, approval_may_be_waived=False)
    assert str(evaluation.outcome) == "NEEDS_APPROVAL", evaluation.codes
    policies, entities = cedarpy.PolicySet.from_str(CEDAR), cedarpy.Entities.from_json_str("[]")
    request = {
        "principal": 'User::"bot"',
        "action": 'Action::"propose"',
        "resource": 'Connection::"paper"',
        "context": CEDAR_CONTEXT,
    }

    def cedar() -> object:
        return cedarpy.is_authorized(request, policies, entities)

    assert cedarpy.is_authorized(request, policies, entities).allowed
    ours, worded, theirs = [], [], []
    for _ in range(RUNS):
        ours.append(per_second(outcome))
        worded.append(per_second(explained))
        theirs.append(per_second(cedar))
    return Found(
        name="policy",
        work="One proposal against 20 rules, in one process. Aika reads facts as text and derives worst price, "
        "notional, fee and positions itself; Cedar gets them ready made as integers, its policies parsed beforehand.",
        rows=(
            Row(what="decision", unit="a CPU second", aika=ours, other="cedarpy", others=theirs, aim="3x"),
            Row(
                what="decision and a sentence for every rule",
                unit="a CPU second",
                aika=worded,
                other="cedarpy",
                others=theirs,
            ),
        ),
        notes=(
            "Cedar skips a `forbid` whose evaluation fails, so a missing figure allows; Aika denies. Time alone is "
            "compared.",
        ),
    )


def per_second(call: Callable[[], object]) -> float:
    """How often `call` ran in a second of this process's CPU time: what else the machine does matters to neither."""
    done, start = 0, time.process_time()
    while (spent := time.process_time() - start) < SECONDS_A_RUN:
        for _ in range(50):
            call()
        done += 50
    return done / spent
