"""The transaction side of an approval: fresh judgement under a lock, and the right to send one order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Final
from uuid import UUID

from django.conf import settings
from django.db import transaction

from apps.audit.services import events
from apps.audit.types import Actor
from apps.common import canonical, tallies
from apps.common.errors import Misconfigured
from apps.common.money import ceil_to, minor_up
from apps.common.tasks import publish
from apps.connectors.selectors import locked_connection
from apps.connectors.types import Quote, Side
from apps.lessons.types import Plan
from apps.policies import rules as policy
from apps.policies.selectors import active_version
from apps.policies.services import decisions
from apps.policies.types import Ask, Evaluation, Facts, Gate, ReasonCode, Tier, Verdict, VersionRules
from apps.quotes.services import quotes
from apps.trades.models import Authority, Order, Proposal
from apps.trades.rules.reservations import reservation_for
from apps.trades.rules.terms import read_terms
from apps.trades.services import budgeting, facts, similar
from apps.trades.services.endings import stream_of
from apps.trades.services.gathering import Gathering
from apps.trades.services.seal import seal_of
from apps.trades.types import OrderState, ProposalState, Reservation, Terms, waiver_words

if TYPE_CHECKING:
    from apps.connectors.models import Connection
    from apps.policies.models import Decision

# The exact field keeps 18 places; what is reserved is rounded up to that.
_SMALLEST: Final = Decimal(1).scaleb(-18)
POLICY: Final = Actor.system("policy")

Clock = Callable[[], datetime]


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What policy says of a stored proposal at a moment (`at`), from its frozen bytes and fresh facts."""

    at: datetime
    connection: "Connection"
    terms: Terms
    ask: Ask
    version: VersionRules | None
    facts: Facts
    evaluation: Evaluation
    quote: Quote | None

    @property
    def tier(self) -> Tier | None:
        """Who must approve what waits. It waits because people were asked: one must, also where policy waives now."""
        tier = self.evaluation.tier
        return tier if tier is None or tier.needed else replace(tier, needed=1)


def judge_again(proposal: Proposal, *, now: datetime) -> Judgement:
    """Evaluate a stored proposal afresh, for somebody to look at."""
    return _judged_again(proposal, read_terms(bytes(proposal.terms)), proposal.connection, now)


def judge_held(proposal: Proposal, *, now: datetime, clock: Clock, order_id: UUID | None = None) -> Judgement:
    """As `judge_again`, with its connection held until the transaction ends, so that two approvals on one connection
    are judged one after the other and each sees what the other has reserved. What the proposal's own order `order_id`
    has reserved does not count against it.

    Judged when the connection is held, by `clock`, and not before `now`: others write prices and balances while this
    waits for its turn, and those are not of the future.
    """
    terms = read_terms(bytes(proposal.terms))
    connection = locked_connection(terms.connection_id)
    return _judged_again(proposal, terms, connection, max(now, clock()), order_id)


def _judged_again(
    proposal: Proposal, terms: Terms, connection: "Connection", now: datetime, order_id: UUID | None = None
) -> Judgement:
    ask = facts.ask_of(terms, proposer_id=proposal.proposer_id, reporting_currency=connection.desk.reporting_currency)
    gathering = Gathering(
        connection=connection,
        ask=ask,
        now=now,
        asked_at=proposal.created_at,
        proposal_id=proposal.pk,
        order_id=order_id,
    )
    return _judged(terms, gathering)


def judge_locked(terms: Terms, ask: Ask, *, now: datetime, clock: Clock, plan: Plan | None = None) -> Judgement:
    """Evaluate terms that are not stored yet, under the same lock and at the same moment."""
    connection = locked_connection(terms.connection_id)
    now = max(now, clock())
    return _judged(terms, Gathering(connection=connection, ask=ask, now=now, asked_at=now, plan=plan or Plan()))


def _judged(terms: Terms, gathering: Gathering) -> Judgement:
    connection, ask, now = gathering.connection, gathering.ask, gathering.now
    version = gathering.version = active_version(connection.pk)
    known = facts.gather(policy.facts_needed(version, ask), gathering)
    evaluation = policy.evaluate(version, ask, known, now, approval_may_be_waived=not settings.POLICY_REQUIRE_APPROVAL)
    return Judgement(
        at=now,
        connection=connection,
        terms=terms,
        ask=ask,
        version=version,
        facts=known,
        evaluation=evaluation,
        quote=quotes.latest(connection.pk, terms.instrument),
    )


def keep_judgement(proposal: Proposal, judgement: Judgement, *, gate: Gate) -> "Decision":
    """Store a judgement with its inputs, so that it can be replayed, and the lost trades it counted against it."""
    similar.hold(
        proposal, judgement.facts, judgement.evaluation, desk_id=judgement.connection.desk_id, now=judgement.at
    )
    return decisions.record(
        gate=gate,
        subject=str(proposal.pk),
        version=judgement.version,
        ask=judgement.ask,
        facts=judgement.facts,
        evaluation=judgement.evaluation,
        now=judgement.at,
    )


def approve(
    proposal: Proposal,
    *,
    judgement: Judgement,
    tier: Tier,
    approvers: Sequence[UUID],
    seen_price: Decimal,
    seen_at: datetime,
    actor: Actor,
    now: datetime,
    code: str = "APPROVED",
    reason: str = "",
) -> Order:
    """A complete quorum: write the authority and the order, reserve what it can cost, and publish its execution.

    Inside the caller's transaction, on a proposal and a connection that are locked. `seen_price` is what the last
    approver saw on the side that would trade, in quote currency. Raises BudgetExhausted where a limit that orders share
    has no room any more: the caller undoes what it wrote.
    """
    decision = keep_judgement(proposal, judgement, gate=Gate.APPROVAL)
    version, quote = judgement.version, judgement.quote
    if version is None or quote is None:
        raise Misconfigured("APPROVED_ON_NOTHING", "An approval needs an active policy and a live price.")
    authority = Authority.objects.create(
        proposal=proposal,
        digest=proposal.digest,
        request_digest=proposal.request_digest,
        decision=decision,
        environment=judgement.terms.environment.value,
        policy_version_id=version.version_id,
        needed=tier.needed,
        roles=list(tier.roles),
        approvers=[str(person) for person in approvers],
        reference_mid=quote.mid,
        seen_price=seen_price,
        seen_at=seen_at,
        valid_until=min(proposal.expires_at, judgement.terms.not_after),
        created_at=now,
    )
    order = _initialize(proposal, authority, judgement, now)
    budgeting.hold(order, judgement, now=now)
    moved = Proposal.objects.filter(pk=proposal.pk, state=ProposalState.AWAITING_APPROVAL).update(
        state=ProposalState.APPROVED, ended_at=now, end_code=code, end_reason=reason
    )
    if moved != 1:
        raise Misconfigured("PROPOSAL_MOVED", f"{proposal.label} moved under its lock.")
    proposal.state, proposal.ended_at = ProposalState.APPROVED, now
    proposal.end_code, proposal.end_reason = code, reason
    _write_down(proposal, authority, order, actor, now)
    publish("trades.execute_trade", order_id=order.pk)
    waited = (now - proposal.created_at) // timedelta(microseconds=1)
    transaction.on_commit(partial(tallies.took, tallies.APPROVAL, waited), robust=True)
    return order


def approve_unasked(proposal: Proposal, *, judgement: Judgement, now: datetime) -> Order:
    """Policy itself approves what it asks no person about, on paper: the authority names nobody, and the event says so.

    Inside the transaction that stored the proposal. Raises BudgetExhausted as `approve`.
    """
    tier, version, quote = judgement.evaluation.tier, judgement.version, judgement.quote
    if judgement.evaluation.outcome is not Verdict.ALLOW or tier is None or version is None or quote is None:
        raise Misconfigured("APPROVAL_NOT_WAIVED", f"Policy does not waive the approval of {proposal.label}.")
    return approve(
        proposal,
        judgement=judgement,
        tier=tier,
        approvers=(),
        seen_price=quote.ask if judgement.terms.side is Side.BUY else quote.bid,
        seen_at=quote.received_at,
        actor=POLICY,
        now=now,
        code=ReasonCode.APPROVAL_WAIVED.value,
        reason=waiver_words(version.number),
    )


def _write_down(proposal: Proposal, authority: Authority, order: Order, actor: Actor, now: datetime) -> None:
    events.record(
        stream=stream_of(proposal.pk),
        kind="proposal.approved",
        actor=actor,
        subject=str(proposal.pk),
        payload={
            "state": ProposalState.APPROVED.value,
            "code": proposal.end_code,
            "reason": proposal.end_reason,
            "digest": authority.digest,
            "request_digest": authority.request_digest,
            "authority": authority.pk,
            "order": order.pk,
            "decision": authority.decision_id,
            "needed": authority.needed,
            "roles": authority.roles,
            "approvers": authority.approvers,
            "valid_until": authority.valid_until,
            "seal": seal_of(proposal, authority, order),
            "reserved": {"currency": order.reserved_currency, "amount": order.reserved_amount},
        },
        now=now,
    )


def _initialize(proposal: Proposal, authority: Authority, judgement: Judgement, now: datetime) -> Order:
    terms, evaluation = judgement.terms, judgement.evaluation
    if evaluation.worst_price is None or evaluation.notional is None:
        raise Misconfigured("APPROVED_WITHOUT_PRICE", "An approval needs a worst price.")
    quantity = base_quantity(terms, evaluation.worst_price)
    reserved = _reserve(judgement, quantity, evaluation.worst_price)
    body = bytes(proposal.request_body)
    return Order.objects.create(
        proposal=proposal,
        authority=authority,
        connection=judgement.connection,
        instrument=terms.instrument,
        side=terms.side.value,
        state=OrderState.INITIALIZED,
        client_order_id=proposal.client_order_id,
        request_body=body,
        request_digest=canonical.digest(body),
        quantity=quantity,
        worst_price=evaluation.worst_price,
        reserved_currency=reserved.currency,
        reserved_amount=reserved.amount,
        notional_minor=minor_up(evaluation.notional),
        created_at=now,
    )


def base_quantity(terms: Terms, worst_price: Decimal) -> Decimal:
    """Base quantity of the order; for one sized in quote currency, what it buys at the worst price."""
    if terms.quantity is not None:
        return terms.quantity
    if terms.quote_quantity is None:
        raise Misconfigured("TERMS_WITHOUT_SIZE", "Terms without a size cannot be ordered.")
    return ceil_to(terms.quote_quantity / worst_price, _SMALLEST)


def _reserve(judgement: Judgement, quantity: Decimal, worst_price: Decimal) -> Reservation:
    taker = judgement.connection.fee_taker
    if taker is None:
        raise Misconfigured("FEES_UNKNOWN", "The fee rate of the connection is not known.")
    exact = reservation_for(judgement.terms, quantity=quantity, worst_price=worst_price, taker_rate=taker)
    return Reservation(currency=exact.currency, amount=ceil_to(exact.amount, _SMALLEST))
