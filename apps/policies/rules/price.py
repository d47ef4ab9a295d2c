"""What an ask costs at worst. Without a price that bounds it there is no answer, and no answer denies."""

from decimal import ROUND_CEILING, Context, Decimal
from typing import NamedTuple

from apps.policies.rules.finding import Doubt
from apps.policies.rules.reading import AMOUNT_MAX, ZERO, Touch
from apps.policies.types import Ask, ReasonCode

_ROUND_UP = Context(prec=60, rounding=ROUND_CEILING)
_TEN_THOUSAND = Decimal(10_000)


class Priced(NamedTuple):
    """An ask in money and in base units, each as bad as it can be within the order's own bounds.

    `worst_price` values the order against the limits; `least_notional` is the smallest it can be worth, for lower
    bounds. `quantity` is the most base that can change hands. `notional_quote` is in the quote currency, `notional` in
    the reporting currency.
    """

    worst_price: Decimal
    quantity: Decimal
    notional_quote: Decimal
    least_notional_quote: Decimal
    notional: Decimal
    least_notional: Decimal


def check_terms(ask: Ask) -> None:
    """Raise a Doubt unless the terms are whole: one size above zero, and just the prices their type needs."""
    wrong = _wrong_words(ask) or _wrong_numbers(ask)
    if wrong:
        raise Doubt(ReasonCode.TERMS_MALFORMED, wrong)


def price(ask: Ask, touch: Touch, fx: Decimal, slippage_bps: Decimal | None) -> Priced:
    """Value a whole ask (`check_terms`) against the touch.

    A sell with a limit may fill at the bid where that is better, so the bid counts if it is higher; this holds for a
    stop-limit too, whose limit bounds it once it is triggered. A market order moves `slippage_bps` beyond the touch at
    most; without that bound it has no worst price.
    """
    buys = ask.side == "BUY"
    if ask.limit_price is not None:
        worst = ask.limit_price if buys else max(ask.limit_price, touch.bid)
        least = ask.limit_price
    else:
        if slippage_bps is None:
            raise Doubt(ReasonCode.NO_MARKET_BOUND, ask.instrument)
        slipped_bid = touch.bid * (_TEN_THOUSAND - slippage_bps) / _TEN_THOUSAND
        worst = touch.ask * (_TEN_THOUSAND + slippage_bps) / _TEN_THOUSAND if buys else touch.bid
        least = touch.ask if buys else slipped_bid
    if ask.quantity is not None:
        quantity, notional, least_notional = ask.quantity, ask.quantity * worst, ask.quantity * least
    elif ask.quote_quantity is not None and slippage_bps is not None:
        # The cheaper the base, the more of it the same money moves.
        quantity = _ROUND_UP.divide(ask.quote_quantity, slipped_bid)
        notional = least_notional = ask.quote_quantity
    else:
        raise Doubt(ReasonCode.TERMS_MALFORMED, "quantity")
    reported = notional * fx
    if max(reported, quantity, notional) > AMOUNT_MAX:
        raise Doubt(ReasonCode.AMOUNT_OVERFLOW, "notional")
    return Priced(worst, quantity, notional, least_notional, reported, least_notional * fx)


def _wrong_words(ask: Ask) -> str:
    if ask.side not in ("BUY", "SELL"):
        return "side"
    if ask.environment not in ("paper", "live"):
        return "environment"
    needs_limit, needs_stop = ask.order_type in ("LIMIT", "STOP_LIMIT"), ask.order_type == "STOP_LIMIT"
    if not needs_limit and ask.order_type != "MARKET":
        return "order_type"
    if (ask.limit_price is not None) != needs_limit:
        return "limit_price"
    if (ask.stop_price is not None) != needs_stop:
        return "stop_price"
    if ask.post_only and ask.order_type != "LIMIT":
        return "post_only"
    return ""


def _wrong_numbers(ask: Ask) -> str:
    if (ask.quantity is None) == (ask.quote_quantity is None):
        return "quantity"
    if ask.quote_quantity is not None and ask.order_type != "MARKET":
        return "quote_quantity"
    for value in (ask.quantity, ask.quote_quantity, ask.limit_price, ask.stop_price):
        if value is not None and not (type(value) is Decimal and value.is_finite() and value > ZERO):
            return "quantity, quote_quantity, limit_price, stop_price"
    return ""
