"""Why policy said what it said: codes that never change, each with its sentence."""

from collections.abc import Mapping
from enum import StrEnum


class ReasonCode(StrEnum):
    """Why a rule said what it said. Never renamed: people, tests and lessons group by it."""

    WITHIN_LIMIT = "WITHIN_LIMIT"
    ONLY_SHRINKS = "ONLY_SHRINKS"
    OUT_OF_SCOPE = "OUT_OF_SCOPE"
    APPROVAL_REQUIRED = "APPROVAL_REQUIRED"
    APPROVAL_WAIVED = "APPROVAL_WAIVED"
    NO_ACTIVE_POLICY = "NO_ACTIVE_POLICY"
    NO_LIMIT_SET = "NO_LIMIT_SET"
    NO_APPROVAL_RULE = "NO_APPROVAL_RULE"
    APPROVAL_RULES_CONFLICT = "APPROVAL_RULES_CONFLICT"
    RULE_KIND_UNKNOWN = "RULE_KIND_UNKNOWN"
    RULE_PARAMS_INVALID = "RULE_PARAMS_INVALID"
    RULE_FAILED = "RULE_FAILED"
    FACT_MISSING = "FACT_MISSING"
    FACT_STALE = "FACT_STALE"
    FACT_FROM_FUTURE = "FACT_FROM_FUTURE"
    FACT_MALFORMED = "FACT_MALFORMED"
    AMOUNT_OVERFLOW = "AMOUNT_OVERFLOW"
    TERMS_MALFORMED = "TERMS_MALFORMED"
    TRADING_HALTED = "TRADING_HALTED"
    ONLY_REDUCING = "ONLY_REDUCING"
    VENUE_READ_ONLY = "VENUE_READ_ONLY"
    INSTRUMENT_NOT_TRADABLE = "INSTRUMENT_NOT_TRADABLE"
    INSTRUMENT_CANCEL_ONLY = "INSTRUMENT_CANCEL_ONLY"
    INSTRUMENT_LIMIT_ONLY = "INSTRUMENT_LIMIT_ONLY"
    INSTRUMENT_POST_ONLY = "INSTRUMENT_POST_ONLY"
    INSTRUMENT_NOT_ALLOWED = "INSTRUMENT_NOT_ALLOWED"
    INSTRUMENT_RESTRICTED = "INSTRUMENT_RESTRICTED"
    ORDER_TYPE_NOT_ALLOWED = "ORDER_TYPE_NOT_ALLOWED"
    PRICE_OFF_INCREMENT = "PRICE_OFF_INCREMENT"
    QUANTITY_OFF_INCREMENT = "QUANTITY_OFF_INCREMENT"
    QUANTITY_BELOW_VENUE_MIN = "QUANTITY_BELOW_VENUE_MIN"
    QUANTITY_ABOVE_VENUE_MAX = "QUANTITY_ABOVE_VENUE_MAX"
    NOTIONAL_BELOW_VENUE_MIN = "NOTIONAL_BELOW_VENUE_MIN"
    NOTIONAL_ABOVE_VENUE_MAX = "NOTIONAL_ABOVE_VENUE_MAX"
    MAX_ORDER_QUANTITY = "MAX_ORDER_QUANTITY"
    MAX_ORDER_NOTIONAL = "MAX_ORDER_NOTIONAL"
    MIN_NOTIONAL = "MIN_NOTIONAL"
    NO_MARKET_BOUND = "NO_MARKET_BOUND"
    PRICE_TOO_AGGRESSIVE = "PRICE_TOO_AGGRESSIVE"
    PRICE_TOO_FAR = "PRICE_TOO_FAR"
    QUOTE_STALE = "QUOTE_STALE"
    QUOTE_CROSSED = "QUOTE_CROSSED"
    SPREAD_TOO_WIDE = "SPREAD_TOO_WIDE"
    FUNDS_INSUFFICIENT = "FUNDS_INSUFFICIENT"
    MAX_POSITION = "MAX_POSITION"
    MAX_GROSS_EXPOSURE = "MAX_GROSS_EXPOSURE"
    DAILY_NOTIONAL = "DAILY_NOTIONAL"
    DAILY_LOSS = "DAILY_LOSS"
    DAILY_LOSS_LATCHED = "DAILY_LOSS_LATCHED"
    DRAWDOWN = "DRAWDOWN"
    DRAWDOWN_LATCHED = "DRAWDOWN_LATCHED"
    ORDER_RATE = "ORDER_RATE"
    DUPLICATE = "DUPLICATE"
    SIMILAR_LOSSES = "SIMILAR_LOSSES"
    NO_COMPARABLE_TRADES = "NO_COMPARABLE_TRADES"

    @property
    def sentence(self) -> str:
        """What the code means, for a person who meets it for the first time."""
        return _SENTENCES[self]


_SENTENCES: Mapping[ReasonCode, str] = {
    ReasonCode.WITHIN_LIMIT: "The rule was consulted and lets the order pass.",
    ReasonCode.ONLY_SHRINKS: "The limit on losses is exceeded. The order passes because it only shrinks the position.",
    ReasonCode.OUT_OF_SCOPE: "The rule is about another connection, instrument, side or proposer.",
    ReasonCode.APPROVAL_REQUIRED: "People must approve before the order may leave.",
    ReasonCode.APPROVAL_WAIVED: "The tier names no approver, and approvals are switched off for paper connections.",
    ReasonCode.NO_ACTIVE_POLICY: "No policy version is active for the connection, so nothing is allowed.",
    ReasonCode.NO_LIMIT_SET: "No rule limits what one order may be worth here, so no order is allowed.",
    ReasonCode.NO_APPROVAL_RULE: "No rule says who must approve an order of this worth, so none is allowed.",
    ReasonCode.APPROVAL_RULES_CONFLICT: "Two approval rules share no role, so nobody could approve.",
    ReasonCode.RULE_KIND_UNKNOWN: "The policy has a rule of a kind this release does not know.",
    ReasonCode.RULE_PARAMS_INVALID: "The parameters of a rule cannot be read.",
    ReasonCode.RULE_FAILED: "A rule broke down while it was consulted. Doubt denies.",
    ReasonCode.FACT_MISSING: "Something a rule must know could not be found out.",
    ReasonCode.FACT_STALE: "Something a rule must know is too old.",
    ReasonCode.FACT_FROM_FUTURE: "Something a rule must know carries a time that has not come yet: a clock is wrong.",
    ReasonCode.FACT_MALFORMED: "Something a rule must know is no readable number, flag or time.",
    ReasonCode.AMOUNT_OVERFLOW: "An amount is larger than can be compared.",
    ReasonCode.TERMS_MALFORMED: "The terms contradict themselves or lack what their order type needs.",
    ReasonCode.TRADING_HALTED: "Trading is halted.",
    ReasonCode.ONLY_REDUCING: "Only orders that shrink a position are allowed, and this one does not.",
    ReasonCode.VENUE_READ_ONLY: "Aika only reads at this venue: trading there is not supported.",
    ReasonCode.INSTRUMENT_NOT_TRADABLE: "The venue does not trade the instrument now.",
    ReasonCode.INSTRUMENT_CANCEL_ONLY: "The venue takes only cancellations for the instrument now.",
    ReasonCode.INSTRUMENT_LIMIT_ONLY: "The venue takes only orders with a limit price for the instrument now.",
    ReasonCode.INSTRUMENT_POST_ONLY: "The venue takes only post-only orders for the instrument now.",
    ReasonCode.INSTRUMENT_NOT_ALLOWED: "The instrument is not on the list of allowed ones.",
    ReasonCode.INSTRUMENT_RESTRICTED: "The instrument is on the restricted list, which wins over every other list.",
    ReasonCode.ORDER_TYPE_NOT_ALLOWED: "The order type or its time in force is not allowed.",
    ReasonCode.PRICE_OFF_INCREMENT: "A price is not a multiple of the venue's price increment.",
    ReasonCode.QUANTITY_OFF_INCREMENT: "The quantity is not a multiple of the venue's increment.",
    ReasonCode.QUANTITY_BELOW_VENUE_MIN: "The quantity is below what the venue takes.",
    ReasonCode.QUANTITY_ABOVE_VENUE_MAX: "The quantity is above what the venue takes.",
    ReasonCode.NOTIONAL_BELOW_VENUE_MIN: "The order is worth less than the venue takes.",
    ReasonCode.NOTIONAL_ABOVE_VENUE_MAX: "The order is worth more than the venue takes.",
    ReasonCode.MAX_ORDER_QUANTITY: "The quantity is above what one order may have.",
    ReasonCode.MAX_ORDER_NOTIONAL: "The order is worth more, at its worst price, than one order may be.",
    ReasonCode.MIN_NOTIONAL: "The order is worth less than one order must be.",
    ReasonCode.NO_MARKET_BOUND: "No rule bounds the price of a market order here, so its worst price is unknown.",
    ReasonCode.PRICE_TOO_AGGRESSIVE: "The price gives away more against the market than is allowed.",
    ReasonCode.PRICE_TOO_FAR: "The price is too far from the market.",
    ReasonCode.QUOTE_STALE: "The price of the market is too old to decide on.",
    ReasonCode.QUOTE_CROSSED: "Bid and ask contradict each other.",
    ReasonCode.SPREAD_TOO_WIDE: "Bid and ask are too far apart to decide on.",
    ReasonCode.FUNDS_INSUFFICIENT: "The available balance does not cover the order with its fee.",
    ReasonCode.MAX_POSITION: "The position would grow beyond what is allowed, open orders counted as filled.",
    ReasonCode.MAX_GROSS_EXPOSURE: "All positions together would be worth more than is allowed.",
    ReasonCode.DAILY_NOTIONAL: "More would be traded today than is allowed.",
    ReasonCode.DAILY_LOSS: "More was lost today than is allowed.",
    ReasonCode.DAILY_LOSS_LATCHED: "The daily loss limit was hit; two people must reset it.",
    ReasonCode.DRAWDOWN: "What is held has fallen further from its highest worth than is allowed.",
    ReasonCode.DRAWDOWN_LATCHED: "The limit on the fall from the highest worth was hit; two people must reset it.",
    ReasonCode.ORDER_RATE: "More is asked per minute than is allowed.",
    ReasonCode.DUPLICATE: "The same was asked a moment ago.",
    ReasonCode.SIMILAR_LOSSES: "Trades like this one lost more often than the others, or one of them lost very much.",
    ReasonCode.NO_COMPARABLE_TRADES: "No comparable trades (n = 0): that says nothing, good or bad.",
}
