"""What requests about trades may say."""

from typing import Any, Final

from apps.common.api.bodies import Body, Choice, DecimalText, Flag, InstantText, Integer, Text, Texts, UuidText
from apps.connectors.types import OrderType, Side, TimeInForce
from apps.trades.rules.terms import APPROVAL_WAIT_MIN_S, APPROVAL_WAIT_RESTING_S
from apps.trades.services.proposals import RATIONALE_CHARS_MAX, TAG_CHARS_MAX, TAGS_MAX
from apps.trades.types import Intent, Narrative

REASON_CHARS_MAX: Final = 500


class IntentBody(Body):
    """The terms wanted. Exactly one of quantity (base currency) and quote_quantity (quote currency) is sent."""

    connection = Text(chars_max=50, chars_min=1, required=True, about="The short name GET /connectors lists.")
    instrument = Text(chars_max=40, chars_min=1, required=True, about="Such as BTC-USD.")
    side = Choice(Side, required=True)
    order_type = Choice(OrderType, required=True)
    time_in_force = Choice(TimeInForce, required=True, about="MARKET is IOC; STOP_LIMIT is GTC or GTD.")
    quantity = DecimalText(about="In base currency.")
    quote_quantity = DecimalText(about="In quote currency; with a MARKET BUY only.")
    limit_price = DecimalText(about="Quote currency per one base unit.")
    stop_price = DecimalText(about="Quote currency per one base unit.")
    post_only = Flag(default=False)
    not_after = InstantText(
        about="The last instant at which the order may be sent or rest at the venue, GTC too. Left out: in 24 hours."
    )
    valid_for_s = Integer(
        minimum=APPROVAL_WAIT_MIN_S, maximum=APPROVAL_WAIT_RESTING_S, about="How long people may take to decide."
    )


class ProposalBody(IntentBody):
    """The terms wanted, and what the proposer says about them: shown to people as unverified text."""

    rationale = Text(chars_max=RATIONALE_CHARS_MAX, default="", about="Why. People read it.")
    confidence = DecimalText(about="From 0 to 1.")
    tags = Texts(count_max=TAGS_MAX, chars_max=TAG_CHARS_MAX)
    supersedes = UuidText(about="An own proposal that has ended, which this one takes the place of.")


class WithdrawBody(Body):
    """Why the proposal is taken back."""

    reason = Text(chars_max=REASON_CHARS_MAX, default="")


class CancelBody(Body):
    """Why the order is to be canceled."""

    reason = Text(chars_max=REASON_CHARS_MAX, default="")


class TightenBody(Body):
    """What is halted, or may only reduce: one connection, or everything where none is named."""

    connection = Text(chars_max=50, chars_min=1)
    reason = Text(chars_max=REASON_CHARS_MAX, default="")


def intent_of(values: dict[str, Any]) -> Intent:
    """The frozen intent that a body read says."""
    return Intent(**{name: values[name] for name in IntentBody.fields})


def narrative_of(values: dict[str, Any]) -> Narrative:
    """The frozen narrative that a body read says."""
    names = ("rationale", "confidence", "tags")
    return Narrative(**{name: values[name] for name in names})
