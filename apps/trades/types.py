"""The words of a trade's life: states, allowed moves, and the terms a person approves. No Django here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final
from uuid import UUID

from apps.connectors.types import Environment, OrderType, Side, TimeInForce


class ProposalState(StrEnum):
    """Where a proposal stands. Policy denies, a person declines; VOIDED was approved and lost its ground."""

    DENIED = "DENIED"
    AWAITING_APPROVAL = "AWAITING_APPROVAL"
    DECLINED = "DECLINED"
    EXPIRED = "EXPIRED"
    WITHDRAWN = "WITHDRAWN"
    APPROVED = "APPROVED"
    VOIDED = "VOIDED"


PROPOSAL_MOVES: Final[frozenset[tuple[str, str]]] = frozenset(
    {
        (ProposalState.AWAITING_APPROVAL, ProposalState.APPROVED),
        (ProposalState.AWAITING_APPROVAL, ProposalState.DECLINED),
        (ProposalState.AWAITING_APPROVAL, ProposalState.EXPIRED),
        (ProposalState.AWAITING_APPROVAL, ProposalState.WITHDRAWN),
        (ProposalState.AWAITING_APPROVAL, ProposalState.VOIDED),
        (ProposalState.APPROVED, ProposalState.VOIDED),
    }
)


class OrderState(StrEnum):
    """Where an order stands. SUBMITTED means claimed: it may have been sent. UNKNOWN is never guessed away."""

    INITIALIZED = "INITIALIZED"
    SUBMITTED = "SUBMITTED"
    ACCEPTED = "ACCEPTED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    CANCEL_REQUESTED = "CANCEL_REQUESTED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"
    UNKNOWN = "UNKNOWN"
    ABANDONED = "ABANDONED"


_WORKING: Final = (OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED, OrderState.CANCEL_REQUESTED)
_ENDED_AT_VENUE: Final = (OrderState.FILLED, OrderState.CANCELED, OrderState.EXPIRED)

ORDER_MOVES: Final[frozenset[tuple[str, str]]] = frozenset(
    {
        (OrderState.INITIALIZED, OrderState.SUBMITTED),
        # Voided before the claim, or found to be past its time by the claim: no request has left.
        (OrderState.INITIALIZED, OrderState.CANCELED),
        # Proof that nothing was sent (no connection could be made): the claim may be made again.
        (OrderState.SUBMITTED, OrderState.INITIALIZED),
        (OrderState.SUBMITTED, OrderState.ACCEPTED),
        (OrderState.SUBMITTED, OrderState.REJECTED),
        (OrderState.SUBMITTED, OrderState.UNKNOWN),
        (OrderState.UNKNOWN, OrderState.ACCEPTED),
        (OrderState.UNKNOWN, OrderState.REJECTED),
        (OrderState.UNKNOWN, OrderState.ABANDONED),
        (OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED),
        (OrderState.ACCEPTED, OrderState.CANCEL_REQUESTED),
        (OrderState.ACCEPTED, OrderState.REJECTED),
        (OrderState.PARTIALLY_FILLED, OrderState.CANCEL_REQUESTED),
        # Taken, asked to be canceled, and then refused by the venue before anything was filled.
        (OrderState.CANCEL_REQUESTED, OrderState.REJECTED),
        *((working, ended) for working in _WORKING for ended in _ENDED_AT_VENUE),
    }
)


class CancelAnswer(StrEnum):
    """What asking to cancel an order has come to so far. Only NEVER_SENT and ALREADY_CANCELED are ends."""

    NEVER_SENT = "NEVER_SENT"
    """It had not left: it is canceled here, and the venue never hears of it."""
    REQUESTED = "REQUESTED"
    """It works at the venue, which is being asked. It may still fill."""
    REMEMBERED = "REMEMBERED"
    """Whether it is at the venue is not known yet: it is canceled as soon as it is found, and not sent again."""
    ALREADY_CANCELED = "ALREADY_CANCELED"


class HookMode(StrEnum):
    """How a sender of a hook proves who it is."""

    SIGNED = "signed"
    """By an HMAC over time and body: what is overheard is of no use to anybody."""
    BODY_SECRET = "body_secret"  # noqa: S105  the name of a way
    """By a secret inside the body, for senders that cannot sign. Weaker: who sees one body can send others."""


class HookOutcome(StrEnum):
    """What a call of a hook came to."""

    PROPOSED = "PROPOSED"
    REPEATED = "REPEATED"
    """A delivery that was made before: it got the first answer again, and nothing was done."""
    REFUSED = "REFUSED"


class WithdrawAnswer(StrEnum):
    """What taking a proposal back came to."""

    WITHDRAWN = "WITHDRAWN"
    """Nobody had decided: it is over."""
    VOIDED = "VOIDED"
    """It was approved and had not left: nothing was sent and nothing will be."""
    ASKED_TO_CANCEL = "ASKED_TO_CANCEL"
    """Its order had left: the venue is asked to cancel it, and it may still fill."""


class ClearingOutcome(StrEnum):
    """Where the canceling after a halt stands. STOPPED: trading went on, or another halt took its place, before."""

    RUNNING = "RUNNING"
    DONE = "DONE"
    STOPPED = "STOPPED"


class ExitReason(StrEnum):
    """Why a position was closed, as far as the orders and the plan say."""

    STOP = "stop"
    TARGET = "target"
    BY_HAND = "by hand"


def waiver_words(version_number: int) -> str:
    """What stands wherever an approval by people would."""
    return f"No person was asked: paper, policy version {version_number} waives."


WAITING_STATES: Final = frozenset({ProposalState.AWAITING_APPROVAL})
# Money is bound while an order is in one of these: it may execute, or may have been sent.
LIVE_ORDER_STATES: Final = frozenset({OrderState.INITIALIZED, OrderState.SUBMITTED, OrderState.UNKNOWN, *_WORKING})
IN_FLIGHT_STATES: Final = frozenset({OrderState.SUBMITTED, OrderState.UNKNOWN})
WORKING_STATES: Final = frozenset(_WORKING)
CLOSED_ORDER_STATES: Final = frozenset(OrderState) - LIVE_ORDER_STATES

TERMS_SCHEMA: Final = "aika.terms/1"


class RunTrigger(StrEnum):
    """What asked for a reconciliation."""

    START = "START"
    SCHEDULE = "SCHEDULE"
    COMMAND = "COMMAND"
    PERSON = "PERSON"


class RunOutcome(StrEnum):
    """How a reconciliation ended. INCOMPLETE did not see everything, and so says nothing about what it did not see."""

    RUNNING = "RUNNING"
    CLEAN = "CLEAN"
    DIFFERENCES = "DIFFERENCES"
    INCOMPLETE = "INCOMPLETE"


class DifferenceKind(StrEnum):
    """What differed. The first three a run puts right by itself; each of the others waits for a person."""

    ORDER_STATE = "ORDER_STATE"
    ORDER_FOUND = "ORDER_FOUND"
    FILL_MISSED = "FILL_MISSED"
    BALANCE = "BALANCE"
    ORDER_DIFFERS = "ORDER_DIFFERS"
    ORDER_FOREIGN = "ORDER_FOREIGN"
    FILL_FOREIGN = "FILL_FOREIGN"
    ORDER_LATE = "ORDER_LATE"
    ORDER_MISSING = "ORDER_MISSING"
    ORDER_FEES = "ORDER_FEES"
    DATABASE_BEHIND = "DATABASE_BEHIND"

    @property
    def sentence(self) -> str:
        """What it means, for people."""
        return _DIFFERENCE_SENTENCES[self]


_DIFFERENCE_SENTENCES: Final[Mapping[DifferenceKind, str]] = {
    DifferenceKind.ORDER_STATE: "The venue says something else of an order than our row did.",
    DifferenceKind.ORDER_FOUND: "An order of unknown fate is at the venue.",
    DifferenceKind.FILL_MISSED: "A fill at the venue was not in our books.",
    DifferenceKind.BALANCE: "A balance moved by something else than the fills in our books.",
    DifferenceKind.ORDER_DIFFERS: "The order under our name is not the one that was sent.",
    DifferenceKind.ORDER_FOREIGN: "There is an order at the venue that was not asked for here.",
    DifferenceKind.FILL_FOREIGN: "There is a fill at the venue of an order that is not ours.",
    DifferenceKind.ORDER_LATE: "An order that was closed here is at the venue after all.",
    DifferenceKind.ORDER_MISSING: "The venue does not know an order it had taken.",
    DifferenceKind.ORDER_FEES: "The venue charged other fees for an order than its fills in our books add up to.",
    DifferenceKind.DATABASE_BEHIND: "The venue has an order under one of our names that our rows have not sent.",
}


class InquiryKind(StrEnum):
    """How the venue was asked about an order of unknown fate."""

    SCAN = "SCAN"
    REPLAY = "REPLAY"
    PERSON = "PERSON"


class InquiryAnswer(StrEnum):
    """What a question brought. Nothing here but FOUND and ACCEPTED says what became of the order."""

    FOUND = "FOUND"
    NOT_FOUND = "NOT_FOUND"
    DIFFERS = "DIFFERS"
    UNREADABLE = "UNREADABLE"
    ASKED = "ASKED"
    ACCEPTED = "ACCEPTED"
    EXISTS = "EXISTS"
    REFUSED = "REFUSED"
    UNCLEAR = "UNCLEAR"
    NOT_SENT = "NOT_SENT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The executable content of a proposal: what a person approves and what is sent.

    `quantity` is in base currency, `quote_quantity` in quote currency; exactly one is set. Prices are quote currency
    per one base unit. `not_after` (UTC) is the last instant at which the order may be sent or rest at the venue.
    """

    connection_id: UUID
    connection: str
    venue: str
    environment: Environment
    instrument: str
    base_currency: str
    quote_currency: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal | None
    quote_quantity: Decimal | None
    limit_price: Decimal | None
    stop_price: Decimal | None
    post_only: bool
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What a proposer asks for, before it is bound to a connection's facts.

    `valid_for_s` is how long the proposal may wait for people, in seconds; None takes the default.
    """

    connection: str
    instrument: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal | None = None
    quote_quantity: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    post_only: bool = False
    not_after: datetime | None = None
    valid_for_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrative:
    """What the proposer says about it: shown as unverified text; no limit is read from it.

    `setup` names the kind of trade; `stop` and `target` are the prices (quote currency per base unit) at which it is
    meant to end: what became of it is held against them. `facts` are what the proposer states of this moment, by the
    names of `lessons.rules.detectors.TOLD`.
    """

    rationale: str = ""
    confidence: Decimal | None = None
    tags: tuple[str, ...] = ()
    setup: str = ""
    stop: Decimal | None = None
    target: Decimal | None = None
    facts: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a trade ended, as somebody tells it. `side` is the side of the entry, money in `quote_currency` (that of the
    instrument where it is not said), `pnl` after `fees`, `pnl_pct` of what was paid at the entry. Exactly one of
    `order_id` and `trade_id` (the reporter's own name of it) is given; `desk` is a short name. `facts` were known when
    it was decided, by the names of `lessons.rules.detectors.TOLD`."""

    instrument: str
    side: Side
    quantity: Decimal
    entry_price: Decimal
    exit_price: Decimal
    order_id: UUID | None = None
    trade_id: str = ""
    desk: str = ""
    environment: Environment = Environment.LIVE
    asset_class: str = ""
    quote_currency: str = ""
    fees: Decimal = Decimal(0)
    pnl: Decimal | None = None
    pnl_pct: Decimal | None = None
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    holding_s: int | None = None
    thesis: str = ""
    setup: str = ""
    planned_stop: Decimal | None = None
    planned_target: Decimal | None = None
    exit_reason: str = ""
    notes: str = ""
    tags: tuple[str, ...] = ()
    facts: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """What is held with known cost: `quantity` base, `average_price` quote per base, `fees` paid for it (quote).

    `opened_at` is the first execution since nothing was held; None while nothing is.
    """

    quantity: Decimal
    average_price: Decimal | None
    fees: Decimal
    opened_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One net execution for bookkeeping: base quantity (positive), price and fee in quote currency."""

    order_id: UUID
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    occurred_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """What one order closed: P&L after fees in quote currency, None where part of the cost is unknown.

    `opened_at` is when the position it closed was opened; None where nothing of what was sold was bought here.
    """

    order_id: UUID
    quantity: Decimal
    entry_price: Decimal | None
    exit_price: Decimal
    pnl: Decimal | None
    fees: Decimal
    opened_at: datetime | None
    closed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """What an order can still cost: `amount` of `currency`."""

    currency: str
    amount: Decimal
