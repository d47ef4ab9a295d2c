"""The policy of the demo desk: every kind of rule, with limits an ordinary order stays well within.

All but drawdown: the simulated market begins elsewhere at each start, and a fall from one to the next is nobody's loss.
"""

from typing import Final

from apps.policies.types import RuleKind, RuleRow

INSTRUMENTS: Final = ("BTC-USD", "ETH-USD", "SOL-USD", "ADA-USD", "DOGE-USD")


def _rule(key: str, kind: RuleKind, *, instrument: str | None = None, **params: object) -> RuleRow:
    return RuleRow(key=key, kind=kind.value, params=params, instrument=instrument)


DEMO_RULES: Final = (
    _rule("trading-state", RuleKind.TRADING_STATE),
    _rule("allowed-instruments", RuleKind.ALLOWED_INSTRUMENT, instruments=list(INSTRUMENTS)),
    _rule("restricted", RuleKind.RESTRICTED_LIST, instruments=["LTC-USD"]),
    _rule("order-types", RuleKind.ALLOWED_ORDER_TYPES, order_types=["LIMIT", "MARKET", "STOP_LIMIT"]),
    _rule("quantity-btc", RuleKind.MAX_ORDER_QUANTITY, instrument="BTC-USD", max_quantity="0.5"),
    _rule("quantity-eth", RuleKind.MAX_ORDER_QUANTITY, instrument="ETH-USD", max_quantity="5"),
    _rule("quantity-sol", RuleKind.MAX_ORDER_QUANTITY, instrument="SOL-USD", max_quantity="16"),
    _rule("max-order", RuleKind.MAX_ORDER_NOTIONAL, max_notional="5000"),
    _rule("min-order", RuleKind.MIN_NOTIONAL, min_notional="10"),
    _rule("collar", RuleKind.PRICE_COLLAR, aggressive_bps="100", away_bps="2000", market_slippage_bps="50"),
    _rule("fresh-price", RuleKind.STALE_QUOTE, max_age_s="5", max_spread_bps="50"),
    _rule("funds", RuleKind.FUNDS, max_age_s="60"),
    _rule("position", RuleKind.MAX_POSITION, max_notional="60000"),
    _rule("gross", RuleKind.MAX_GROSS_EXPOSURE, max_notional="120000"),
    _rule("daily-notional", RuleKind.DAILY_NOTIONAL, max_notional="25000"),
    _rule("daily-loss", RuleKind.DAILY_LOSS, max_loss="500"),
    _rule("rate-proposer", RuleKind.ORDER_RATE, max_count="30", per="proposer", window_s="60"),
    _rule("rate-connection", RuleKind.ORDER_RATE, max_count="60", per="connection", window_s="60"),
    _rule("duplicate", RuleKind.DUPLICATE, window_s="60"),
    _rule(
        "similar-losses",
        RuleKind.SIMILAR_LOSSES,
        window_days="30",
        min_losses="3",
        min_p_above_base="0.95",
        verdicts=["PROCESS_ERROR", "EXECUTION"],
        severe_r="3",
        action="another_approver",
    ),
    _rule(
        "approvals",
        RuleKind.APPROVALS_REQUIRED,
        tiers=[
            {"up_to": "2500", "needed": "1", "roles": ["approver", "risk"]},
            {"needed": "2", "roles": ["approver", "risk"]},
        ],
        drift_bps="200",
        quote_age_s="10",
    ),
)
