"""What answers about trades look like."""

from apps.common.api.shapes import Count, Fact, Instant, Many, Number, Part, Shape, Uuid, Words, YesNo
from apps.connectors.types import Environment, OrderType, Side, TimeInForce
from apps.lessons.types import CaseVerdict, MistakeTag, Result, TagSource
from apps.policies.types import LatchKind, LineVerdict, State, Verdict
from apps.trades.types import CancelAnswer, OrderState, ProposalState, WithdrawAnswer


class Terms(Shape):
    """The frozen terms, as they were hashed."""

    schema = Words(about="The form of the hashed bytes.")
    connection_id = Uuid()
    connection = Words()
    venue = Words()
    environment = Words(Environment)
    instrument = Words()
    base_currency = Words()
    quote_currency = Words()
    side = Words(Side)
    order_type = Words(OrderType)
    time_in_force = Words(TimeInForce)
    quantity = Number(nullable=True)
    quote_quantity = Number(nullable=True)
    limit_price = Number(nullable=True)
    stop_price = Number(nullable=True)
    post_only = YesNo()
    not_after = Instant()


class RuleLine(Shape):
    """What one rule saw and said: `observed operator limit`, in `unit`."""

    rule = Words()
    kind = Words()
    code = Words()
    observed = Words()
    operator = Words()
    limit = Words()
    unit = Words()
    verdict = Words(LineVerdict)
    message = Words()
    used_fraction = Words(nullable=True)
    room_left = Words(nullable=True)


class Tier(Shape):
    """How many people must approve, each with one of the roles; drift and age bounds of their votes; whether each shows
    a second factor for this decision, and whether each writes what is different this time."""

    needed = Count()
    roles = Many(Words())
    drift_bps = Number()
    quote_age_s = Count()
    second_factor = YesNo()
    difference = YesNo()


class Remedy(Shape):
    """The largest change that would pass all rules together. Without a field, no size would pass."""

    field = Words(nullable=True)
    value = Number(nullable=True)
    bound = Words(about="at_most or at_least.")
    sentence = Words()


class Evaluation(Shape):
    """What policy says, rule by rule."""

    outcome = Words(Verdict)
    policy_version = Uuid(nullable=True)
    codes = Many(Words(), about="Why not, the reasons that deny.")
    lines = Many(RuleLine)
    tier = Part(Tier, nullable=True)
    remedy = Part(Remedy, nullable=True)
    notional = Number(nullable=True, about="At the worst price, in the reporting currency of the desk.")
    worst_price = Number(nullable=True)


class Decision(Shape):
    """What policy said when the proposal was made; stored with its inputs."""

    extends = "Evaluation"
    id = Uuid()
    decided_at = Instant()


class ProposalLinks(Shape):
    """`page` is where a person decides."""

    self = Words()
    withdraw = Words()
    page = Words()


class ProposalPlan(Shape):
    """What was meant, in quote currency per base unit. `entry` is the price it was judged at."""

    setup = Words()
    entry = Number(nullable=True)
    stop = Number(nullable=True)
    target = Number(nullable=True)


class Proposal(Shape):
    """A stored intent. DENIED comes with codes, lines and a remedy in `decision`."""

    id = Uuid()
    label = Words()
    state = Words(ProposalState)
    end_code = Words()
    end_reason = Words()
    digest = Words(about="SHA-256 of the terms: what people approve.")
    terms = Part(Terms)
    client_order_id = Uuid()
    rationale = Words()
    confidence = Number(nullable=True)
    tags = Many(Words())
    plan = Part(ProposalPlan, nullable=True, about="Null for one from before it was kept.")
    facts = Many(
        Fact,
        nullable=True,
        about="What was known when it was judged: lessons and policy go by it. Null as the plan.",
    )
    supersedes = Uuid(nullable=True)
    created_at = Instant()
    expires_at = Instant()
    ended_at = Instant(nullable=True)
    decision = Part(Decision)
    links = Part(ProposalLinks)


class ProposalPage(Shape):
    items = Many(Proposal)
    next_cursor = Words(nullable=True)


class Fees(Shape):
    """In quote currency; rates are fractions of what is traded."""

    taker_rate = Number(nullable=True)
    maker_rate = Number(nullable=True)
    worst_case = Number(nullable=True)
    currency = Words()


class Sizing(Shape):
    """The venue's steps and bounds: quantities in base, notional in quote currency."""

    price_increment = Number()
    quantity_increment = Number()
    quote_increment = Number()
    min_quantity = Number()
    max_quantity = Number()
    min_notional = Number()
    max_notional = Number()


class Preview(Shape):
    """What a proposal would meet now. Nothing was stored, nothing is promised."""

    decision = Part(Evaluation)
    expires_at = Instant()
    not_after = Instant()
    fees = Part(Fees)
    sizing = Part(Sizing, nullable=True)
    quote = Part("Quote", nullable=True)


class OrderLinks(Shape):
    cancel = Words()


class Order(Shape):
    """The instruction to the venue. UNKNOWN means that it may have happened, and is being found out."""

    id = Uuid()
    attempt = Count()
    state = Words(OrderState)
    client_order_id = Uuid()
    venue_order_id = Words()
    quantity = Number()
    worst_price = Number()
    filled_quantity = Number()
    average_fill_price = Number(nullable=True)
    fees = Number()
    fee_currency = Words()
    reason_code = Words()
    reason = Words()
    created_at = Instant()
    submitted_at = Instant(nullable=True)
    accepted_at = Instant(nullable=True)
    cancel_requested_at = Instant(nullable=True)
    cancel_requested_by = Words()
    closed_at = Instant(nullable=True)
    links = Part(OrderLinks)


class CancelAsked(Shape):
    """What asking to cancel has come to. REQUESTED and REMEMBERED are no ends: follow the order until it is closed."""

    answer = Words(CancelAnswer)
    order = Part(Order)


class Withdrawal(Shape):
    """The proposal, and what taking it back came to. ASKED_TO_CANCEL is no end: the order may still fill."""

    extends = "Proposal"
    answer = Words(WithdrawAnswer)
    order = Part(Order, nullable=True)


class Fill(Shape):
    """One execution, or the correction of one: negative where it takes back."""

    id = Uuid()
    venue_fill_id = Words()
    trade_type = Words()
    side = Words(Side)
    quantity = Number()
    price = Number()
    fee = Number()
    fee_currency = Words()
    liquidity = Words()
    occurred_at = Instant()


class Outcome(Shape):
    """What closing a position brought, in quote currency. P&L is null where cost is unknown."""

    id = Uuid()
    quantity = Number()
    entry_price = Number(nullable=True)
    exit_price = Number()
    pnl = Number(nullable=True)
    fees = Number()
    quote_currency = Words()
    opened_at = Instant(nullable=True)
    closed_at = Instant()


class Position(Shape):
    """What Aika bought and still holds, at average cost, in quote currency."""

    connection = Words()
    instrument = Words()
    base_currency = Words()
    quote_currency = Words()
    quantity = Number()
    average_entry_price = Number(nullable=True)
    open_fees = Number()
    realized_pnl = Number()
    unrealized_pnl = Number(nullable=True)
    mark = Part("Quote", nullable=True)
    updated_at = Instant()


class PositionPage(Shape):
    items = Many(Position)
    next_cursor = Words(nullable=True)


class Standing(Shape):
    """A reason why whatever is asked would be denied."""

    code = Words()
    message = Words()
    fix = Words()


class Tripped(Shape):
    """Something that tripped by itself. It stays so until two people reset it, in the admin."""

    kind = Words(LatchKind)
    everything = YesNo(about="True: it shuts every connection.")
    state = Words(State, about="The trading state it brought about.")
    tripped_at = Instant()
    message = Words()
    fix = Words()


class TradingState(Shape):
    """Whether a connection trades, and why not. An empty `would_deny` means that an ordinary ask may pass."""

    connection = Words()
    environment = Words(Environment)
    state = Words(State)
    latches = Many(Tripped)
    would_deny = Many(Standing)


class TradingStates(Shape):
    items = Many(TradingState)


class Tightened(Shape):
    """The state that now holds, and who brought it about."""

    connection = Words(nullable=True, about="Null: everything.")
    state = Words(State)
    reason = Words()
    changed_by = Words()
    changed_at = Instant()


class FoundMistake(Shape):
    """A mistake of the closed list, who or what sees it, and by what."""

    tag = Words(MistakeTag)
    source = Words(TagSource)
    because = Words()


class CaseTold(Shape):
    """What the memory made of a closed trade. Excursions and result in multiples of the planned risk (R)."""

    id = Uuid()
    result = Words(Result)
    verdict = Words(CaseVerdict)
    r_multiple = Number(nullable=True)
    mfe_r = Number(nullable=True)
    mae_r = Number(nullable=True)
    mistakes = Many(FoundMistake)
    facts = Many(Fact)
    summary = Words()


class ReportedOutcome(Shape):
    """What was kept: the P&L is the one that follows from the other numbers."""

    id = Uuid()
    desk = Words()
    order_id = Uuid(nullable=True)
    trade_id = Words()
    environment = Words(Environment)
    instrument = Words()
    side = Words(Side)
    quantity = Number()
    entry_price = Number()
    exit_price = Number()
    fees = Number()
    pnl = Number()
    pnl_pct = Number(nullable=True)
    quote_currency = Words()
    opened_at = Instant(nullable=True)
    closed_at = Instant()
    tags = Many(Words())
    reported_at = Instant()
    case = Part(CaseTold, nullable=True)
