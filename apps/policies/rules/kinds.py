"""The closed set of kinds: what each is called, which parameters it takes, and how it is built."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from apps.common.errors import Invalid
from apps.policies.rules import always, amounts, approvals, lists, losses, market, similar
from apps.policies.rules.built import Built
from apps.policies.rules.params import Params
from apps.policies.types import RuleKind, RuleRow


class Kind(NamedTuple):
    """`title` names what is measured; `params` says in words what each parameter is; `example` is one that is valid."""

    title: str
    build: Callable[[Params], Built]
    params: Mapping[str, str]
    example: Mapping[str, object]


_MONEY = "in the reporting currency of the desk"
_LATCHES = "hitting it latches until two people reset it; what only shrinks a position passes"

KINDS: Mapping[RuleKind, Kind] = {
    RuleKind.ALLOWED_INSTRUMENT: Kind(
        "Instrument allowed",
        lists.allowed_instrument,
        {"instruments": "list of the instruments that may be traded"},
        {"instruments": ["BTC-USD", "ETH-USD"]},
    ),
    RuleKind.RESTRICTED_LIST: Kind(
        "Instrument not restricted",
        lists.restricted_list,
        {"instruments": "list of instruments that may not be traded, whatever other rules say"},
        {"instruments": ["XRP-USD"]},
    ),
    RuleKind.ALLOWED_ORDER_TYPES: Kind(
        "Order type",
        lists.allowed_order_types,
        {
            "order_types": "list out of MARKET, LIMIT, STOP_LIMIT",
            "times_in_force": "list out of GTC, IOC, FOK, GTD; optional, all where absent",
        },
        {"order_types": ["LIMIT", "MARKET"], "times_in_force": ["GTC", "IOC", "FOK", "GTD"]},
    ),
    RuleKind.MAX_ORDER_QUANTITY: Kind(
        "Quantity of this order",
        amounts.max_order_quantity,
        {"max_quantity": "in base units; scope the rule to an instrument"},
        {"max_quantity": "0.5"},
    ),
    RuleKind.MAX_ORDER_NOTIONAL: Kind(
        "This order at its worst price",
        amounts.max_order_notional,
        {"max_notional": _MONEY},
        {"max_notional": "5000"},
    ),
    RuleKind.MIN_NOTIONAL: Kind(
        "This order at its least",
        amounts.min_notional,
        {"min_notional": _MONEY},
        {"min_notional": "10"},
    ),
    RuleKind.PRICE_COLLAR: Kind(
        "Price against the middle",
        market.price_collar,
        {
            "aggressive_bps": "basis points the price may be worse than the middle",
            "away_bps": "basis points the price may be from the middle on either side",
            "market_slippage_bps": "basis points a market order may move beyond the best price; without it none passes",
        },
        {"aggressive_bps": "50", "away_bps": "1000", "market_slippage_bps": "50"},
    ),
    RuleKind.STALE_QUOTE: Kind(
        "Age of the price",
        market.stale_quote,
        {
            "max_age_s": "seconds, 1 to 60",
            "max_skew_s": "seconds a clock may be ahead of ours, 0 to 2; optional",
            "max_spread_bps": "basis points between bid and ask; optional",
        },
        {"max_age_s": "5", "max_spread_bps": "50"},
    ),
    RuleKind.FUNDS: Kind(
        "Balance needed, fee included",
        amounts.funds,
        {"max_age_s": "seconds the balances may be old, 1 to 300; optional"},
        {"max_age_s": "120"},
    ),
    RuleKind.MAX_POSITION: Kind(
        "Position, open orders filled",
        amounts.max_position,
        {"max_quantity": "in base units; or", "max_notional": f"{_MONEY}; exactly one of the two"},
        {"max_notional": "15000"},
    ),
    RuleKind.MAX_GROSS_EXPOSURE: Kind(
        "All positions together",
        amounts.max_gross_exposure,
        {"max_notional": _MONEY},
        {"max_notional": "30000"},
    ),
    RuleKind.DAILY_NOTIONAL: Kind(
        "Traded today",
        amounts.daily_notional,
        {"max_notional": _MONEY},
        {"max_notional": "25000"},
    ),
    RuleKind.DAILY_LOSS: Kind(
        "Lost today",
        losses.daily_loss,
        {"max_loss": f"{_MONEY}; {_LATCHES}"},
        {"max_loss": "500"},
    ),
    RuleKind.DRAWDOWN: Kind(
        "Fall from the highest worth",
        losses.drawdown,
        {"max_drawdown_bps": f"basis points of the highest worth ever held; {_LATCHES}"},
        {"max_drawdown_bps": "2000"},
    ),
    RuleKind.ORDER_RATE: Kind(
        "Asked lately",
        amounts.order_rate,
        {
            "max_count": "asks within the window, this one counted",
            "per": "proposer or connection",
            "window_s": "seconds, 1 to 86400; optional, 60",
        },
        {"max_count": "6", "per": "proposer", "window_s": "60"},
    ),
    RuleKind.DUPLICATE: Kind(
        "Same ask lately",
        amounts.duplicate,
        {"window_s": "seconds, 1 to 86400, within which the same may not be asked again"},
        {"window_s": "600"},
    ),
    RuleKind.SIMILAR_LOSSES: Kind(
        "Similar trades",
        similar.similar_losses,
        {
            "window_days": "days back, 1 to 366, in which closed trades of the desk are compared",
            "min_losses": "similar losses from which the rule may fire, 1 to 100",
            "min_p_above_base": "how probable it must be that similar trades lose more often than the desk's others, "
            "as a fraction of 1",
            "verdicts": "list out of PROCESS_ERROR, EXECUTION, DATA, PLANNED_LOSS, UNKNOWN: which losses count; every "
            "win does",
            "severe_r": "one loss of so many times the planned risk, with the same mistake on record, is enough; "
            "optional, none is where absent",
            "action": "another_approver (one more than the tier, and each writes what is different this time) or deny; "
            "what only shrinks a position passes",
        },
        {
            "window_days": "30",
            "min_losses": "3",
            "min_p_above_base": "0.95",
            "verdicts": ["PROCESS_ERROR", "EXECUTION"],
            "severe_r": "3",
            "action": "another_approver",
        },
    ),
    RuleKind.TRADING_STATE: Kind("Trading state", always.trading_state_rule, {}, {}),
    RuleKind.APPROVALS_REQUIRED: Kind(
        "Who must approve",
        approvals.approvals_required,
        {
            "tiers": 'list of {"up_to": worth, or absent in the last, "needed": people, "roles": list out of approver, '
            'risk, trader, operator, "second_factor": true where each must show theirs for this decision; optional}',
            "drift_bps": "basis points the middle may move before an approval is void; optional, 50",
            "quote_age_s": "seconds the price of a vote may be old, 1 to 60; optional, 10",
        },
        {
            "tiers": [
                {"up_to": "2500", "needed": "1", "roles": ["approver", "risk"]},
                {"needed": "2", "roles": ["approver", "risk"]},
            ],
            "drift_bps": "50",
            "quote_age_s": "10",
        },
    ),
}

_BY_NAME: Mapping[str, Kind] = {str(name): kind for name, kind in KINDS.items()}


def build(rule: RuleRow) -> Built:
    """The rule ready to be consulted.

    Raises Invalid RULE_KIND_UNKNOWN, or RULE_PARAMS_INVALID with the parameter as its field.
    """
    kind = _BY_NAME.get(rule.kind)
    if kind is None:
        raise Invalid("RULE_KIND_UNKNOWN", f'There is no rule of the kind "{rule.kind}".', field="kind")
    params = Params(rule.params)
    built = kind.build(params)
    params.finish()
    return built


def title_of(kind: str) -> str:
    """What a rule of the kind measures, in words; the kind itself where it is unknown."""
    known = _BY_NAME.get(kind)
    return kind if known is None else known.title
