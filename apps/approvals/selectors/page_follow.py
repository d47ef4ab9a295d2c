"""What became of a proposal: the order at the venue with the price paid against the price seen, or how it ended."""

from decimal import Decimal
from typing import TYPE_CHECKING

from apps.approvals.selectors.page_values import Callout, Follow, SumLine
from apps.approvals.selectors.page_words import venue_name
from apps.common import words
from apps.connectors.types import Side
from apps.trades.selectors.pages import PageRows
from apps.trades.types import IN_FLIGHT_STATES, LIVE_ORDER_STATES, OrderState, ProposalState

if TYPE_CHECKING:
    from apps.trades.models import Order


def follow(rows: PageRows, *, may_cancel: bool = False) -> Follow | None:
    """The order after the last vote; None while nothing was approved. `may_cancel`: the viewer may ask for it."""
    order, terms = rows.order, rows.terms
    if order is None:
        return None
    venue = venue_name(terms)
    lead, text, kind, icon = {
        OrderState.INITIALIZED: _before_it_leaves(order),
        OrderState.SUBMITTED: (f"The order is on its way to {venue}", f"{venue} has not answered yet.", "go", "send"),
        OrderState.ACCEPTED: (f"{venue} has taken the order", "It works there and fills by itself.", "go", "wait"),
        OrderState.PARTIALLY_FILLED: ("Filled in part", "The rest works at the venue.", "go", "wait"),
        OrderState.CANCEL_REQUESTED: (
            f"{venue} is asked to cancel the rest",
            f"It may still fill until {venue} says that it is over.",
            "go",
            "wait",
        ),
        OrderState.FILLED: ("Filled", "The order is done.", "ok", "ok"),
        OrderState.CANCELED: ("Canceled", order.reason or "Nothing more will be filled.", "", "x"),
        OrderState.EXPIRED: ("The order expired", f"Its time at {venue} ran out.", "", "clock"),
        OrderState.REJECTED: (
            f"{venue} rejected the order",
            order.reason or "Nothing was bought or sold.",
            "stop",
            "stop",
        ),
        OrderState.UNKNOWN: (
            f"{venue} has not answered",
            f"The order may exist. {words.cost(order.reserved_amount)} {order.reserved_currency} stay reserved while "
            "it is looked up.",
            "unsure",
            "unsure",
        ),
        OrderState.ABANDONED: ("Abandoned", order.reason or "Two people gave the order up.", "warn", "warn"),
    }[OrderState(order.state)]
    if order.authority.waiver:
        text = f"{text} {order.authority.waiver}"
    if order.cancel_requested_at is not None and order.state in IN_FLIGHT_STATES:
        text = f"{text} {order.cancel_requested_by} asked to cancel it: that happens as soon as it is found at {venue}."
    return Follow(
        state=order.state,
        lead=lead,
        text=text,
        kind=kind,
        icon=icon,
        is_moving=order.state in LIVE_ORDER_STATES or rows.proposal.state == ProposalState.AWAITING_APPROVAL,
        lines=paid_lines(rows),
        order_id=order.pk,
        may_cancel=may_cancel,
    )


def _before_it_leaves(order: "Order") -> tuple[str, str, str, str]:
    if not order.reason_code:
        return "Approved. The order is about to leave", "It leaves within a second.", "go", "wait"
    until = words.clock(order.authority.valid_until)
    return "Approved, and not sent yet", f"{order.reason} It is tried again until {until}.", "warn", "warn"


def paid_lines(rows: PageRows) -> tuple[SumLine, ...]:
    order, terms = rows.order, rows.terms
    if order is None or not order.filled_quantity:
        return ()
    base, quoted = terms.base_currency, terms.quote_currency
    lines = [
        SumLine(
            label="Filled",
            value=f"{words.grouped(order.filled_quantity)} of {words.grouped(order.quantity)} {base}"
            if terms.quantity is not None
            else f"{words.grouped(order.filled_quantity)} {base}",
        )
    ]
    paid, seen = order.average_fill_price, order.authority.seen_price
    if paid is not None:
        verb = "Paid" if terms.side is Side.BUY else "Got"
        lines.append(SumLine(label=f"{verb} on average", value=f"{words.price(paid)} {quoted}", is_sum=True))
        seer = "policy" if order.authority.waiver else "the last approver"
        lines.append(SumLine(label=f"Price seen by {seer}", value=f"{words.price(seen)} {quoted}"))
        worse = slippage_bps(terms.side, paid, seen)
        if worse is not None:
            label = "Worse than seen" if worse > 0 else "Better than seen" if worse < 0 else "As seen"
            tone = "loss" if worse > 0 else "gain" if worse < 0 else ""
            lines.append(SumLine(label=label, value=f"{words.grouped(abs(worse), places=1)} bps", tone=tone))
    if order.fees:
        fee = f"{words.MINUS}{words.cost(order.fees)} {order.fee_currency or quoted}"
        lines.append(SumLine(label="Fees", value=fee, tone="loss"))
    return tuple(lines)


def slippage_bps(side: Side, paid: Decimal, seen: Decimal) -> Decimal | None:
    """How much worse the price paid is than the price seen, in basis points: positive is worse."""
    if not seen:
        return None
    move = (paid - seen) / seen * 10_000
    return move if side is Side.BUY else -move


def ending(
    rows: PageRows, *, is_expired: bool, decliner: str, has_voted: bool, denial: str = "", remedy: str = ""
) -> Callout | None:
    """One sentence on how it ended, where it ended without an order."""
    proposal = rows.proposal
    if is_expired and proposal.state == ProposalState.AWAITING_APPROVAL:
        at = words.clock(proposal.expires_at)
        return Callout(
            kind="", icon="clock", lead="The time to decide has run out.", text=f"At {at}. Nothing was sent."
        )
    reason = proposal.end_reason
    match ProposalState(proposal.state):
        case ProposalState.DECLINED:
            said = f"\u201c{reason}\u201d" if reason else ""
            return Callout(
                kind="", icon="x", lead=f"{decliner or 'Somebody'} declined this.", text=said, note="Nothing was sent."
            )
        case ProposalState.EXPIRED:
            lead = f"The time to decide ran out at {words.clock(proposal.expires_at)}."
            return Callout(kind="", icon="clock", lead=lead, text="Nothing was sent.")
        case ProposalState.WITHDRAWN:
            return Callout(
                kind="", icon="x", lead="The proposer took this back.", text=reason, note="Nothing was sent."
            )
        case ProposalState.VOIDED:
            return Callout(kind="warn", icon="warn", lead="This is void.", text=reason, note="Nothing was sent.")
        case ProposalState.DENIED:
            text = denial or reason
            note = f"{remedy} Nobody has to act on it.".strip()
            return Callout(kind="stop", icon="stop", lead="Policy denied this.", text=text, note=note)
        case ProposalState.AWAITING_APPROVAL if has_voted:
            lead = "Your vote is counted. More are needed; nothing has left."
            return Callout(kind="ok", icon="ok", lead=lead)
        case _:
            return None
