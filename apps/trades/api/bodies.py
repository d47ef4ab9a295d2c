"""What requests about trades may say."""

from decimal import Decimal
from typing import Any, Final

from apps.accounts.services.idempotency import KEY_LENGTH_MAX
from apps.common.api.bodies import Body, Choice, DecimalText, Flag, InstantText, Integer, Text, Texts, UuidText
from apps.common.api.nested import Each, Object
from apps.connectors.types import Environment, OrderType, Side, TimeInForce
from apps.lessons.rules.detectors import TOLD
from apps.trades.rules.narratives import RATIONALE_CHARS_MAX, SETUP_CHARS_MAX, TAG_CHARS_MAX, TAGS_MAX
from apps.trades.rules.reports import HOLDING_S_MAX
from apps.trades.rules.terms import APPROVAL_WAIT_MIN_S, APPROVAL_WAIT_RESTING_S
from apps.trades.services.batches import ITEMS_MAX
from apps.trades.types import Intent, Narrative, Report

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


_KNOWN_THEN: Final = {one.name: DecimalText(about=f"In {one.unit}. {one.means}") for one in TOLD}
_ABOUT_KNOWN: Final = "What was known when it was decided, as far as Aika does not measure it itself."
KnownThenBody: Final = type("KnownThenBody", (Body,), {**_KNOWN_THEN, "__doc__": _ABOUT_KNOWN})


class ProposalBody(IntentBody):
    """The terms wanted, and what the proposer says about them: shown to people as unverified text."""

    rationale = Text(chars_max=RATIONALE_CHARS_MAX, default="", about="Why. People read it.")
    confidence = DecimalText(about="From 0 to 1.")
    tags = Texts(count_max=TAGS_MAX, chars_max=TAG_CHARS_MAX)
    setup = Text(chars_max=SETUP_CHARS_MAX, default="", about="The kind of trade, in a word or two of your own.")
    planned_stop = DecimalText(about="Where it is given up; quote currency per base unit. No order: place one too.")
    planned_target = DecimalText(about="Where its gain is taken; quote currency per base unit.")
    facts = Object(KnownThenBody, about="What you know at this moment: your own statement, kept and shown as that.")
    supersedes = UuidText(about="An own proposal that has ended, which this one takes the place of.")


class BatchItemBody(ProposalBody):
    """One proposal of several, with a key of its own."""

    idempotency_key = Text(
        chars_max=KEY_LENGTH_MAX, chars_min=1, required=True, about="As the header Idempotency-Key of a single one."
    )


class BatchBody(Body):
    """Proposals in the order they are to be judged in. What is wrong with one keeps no other from being read."""

    items = Each(BatchItemBody, count_min=1, count_max=ITEMS_MAX, required=True)


class OutcomeBody(Body):
    """How a trade ended. `order_id` names an order of Aika whose cost it does not know; `trade_id` is your own name of
    a trade made elsewhere. A pnl that does not follow from the other numbers is refused with the right figure."""

    order_id = UuidText(about="An order of Aika that sold what it had not bought.")
    trade_id = Text(chars_max=80, default="", about="Your own name of a trade made elsewhere; once at a desk.")
    desk = Text(chars_max=50, default="", about="The desk's short name, where you have more than one.")
    environment = Choice(Environment, default=Environment.LIVE)
    instrument = Text(chars_max=40, chars_min=1, required=True, about="Such as BTC-USD.")
    asset_class = Text(chars_max=20, default="", about="Such as crypto, equity, future, option, fx.")
    side = Choice(Side, required=True, about="Of the entry: BUY for a long, SELL for a short.")
    quantity = DecimalText(required=True, about="In base currency.")
    entry_price = DecimalText(required=True, about="Average, quote currency per one base unit.")
    exit_price = DecimalText(required=True, about="Average, quote currency per one base unit.")
    quote_currency = Text(chars_max=12, default="", about="Left out: what stands behind the dash of the instrument.")
    fees = DecimalText(default=Decimal(0), about="Of entry and exit, in quote currency.")
    pnl = DecimalText(about="After fees, in quote currency. Off by less than its last digit and than a cent agrees.")
    pnl_pct = DecimalText(about="After fees, in percent of what was paid at the entry.")
    opened_at = InstantText()
    closed_at = InstantText(about="Left out: now.")
    holding_s = Integer(minimum=0, maximum=HOLDING_S_MAX, about="How long it was held; follows from the times.")
    thesis = Text(chars_max=RATIONALE_CHARS_MAX, default="", about="Why it was entered, as it was said then.")
    setup = Text(chars_max=SETUP_CHARS_MAX, default="", about="The kind of trade, in a word or two of your own.")
    planned_stop = DecimalText(about="Quote currency per one base unit.")
    planned_target = DecimalText(about="Quote currency per one base unit.")
    exit_reason = Text(chars_max=80, default="")
    notes = Text(chars_max=RATIONALE_CHARS_MAX, default="")
    tags = Texts(count_max=TAGS_MAX, chars_max=TAG_CHARS_MAX)
    facts = Object(KnownThenBody, about="What was known when it was decided.")


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


def report_of(values: dict[str, Any]) -> Report:
    """The frozen report that a body read says."""
    return Report(**{name: values[name] for name in OutcomeBody.fields} | {"facts": _told(values)})


def narrative_of(values: dict[str, Any]) -> Narrative:
    """The frozen narrative that a body read says."""
    names = ("rationale", "confidence", "tags", "setup")
    return Narrative(
        **{name: values[name] for name in names},
        stop=values["planned_stop"],
        target=values["planned_target"],
        facts=_told(values),
    )


def _told(values: dict[str, Any]) -> dict[str, Decimal]:
    return {name: value for name, value in (values["facts"] or {}).items() if value is not None}
