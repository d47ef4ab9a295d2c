"""Proposals: from an intent to a waiting row. How they end is in `endings`."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Model

from apps.accounts.types import Principal
from apps.audit.services import events
from apps.common import canonical, faults, tallies, tracing
from apps.common import fault_places as places
from apps.common.errors import Conflict, Invalid, NotFound
from apps.common.statements import Question, Statement, ask, store
from apps.connectors.selectors import connection_question, instrument_at
from apps.connectors.services import venue
from apps.connectors.types import Environment, InstrumentSpec, Quote
from apps.lessons.types import Plan
from apps.policies import rules as policy
from apps.policies.errors import BudgetExhausted
from apps.policies.selectors import active_at, version_of
from apps.policies.services import decisions
from apps.policies.types import Ask, Evaluation, Facts, Gate, Verdict, VersionRules
from apps.trades.models import Proposal
from apps.trades.rules import terms as rules
from apps.trades.rules.narratives import check_narrative
from apps.trades.services import approval, facts, latches, lesson_facts, market, similar
from apps.trades.services.endings import stream_of
from apps.trades.services.gathering import Gathering
from apps.trades.types import Intent, Narrative, ProposalState, Terms

if TYPE_CHECKING:
    from apps.connectors.models import Connection


class KeyUsed(Conflict):
    """This principal made a proposal with this key before; the database says so whatever the caller looked up."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """An intent bound to a connection, its facts gathered once, and what policy says of it at `judged_at`. Nothing is
    stored yet."""

    connection: "Connection"
    terms: Terms
    ask: Ask
    version: VersionRules | None
    facts: Facts
    evaluation: Evaluation
    quote: Quote | None
    known: lesson_facts.Known | None
    judged_at: datetime
    expires_at: datetime


def judge(*, intent: Intent, principal: Principal, now: datetime) -> Judged:
    """Bind an intent and ask policy, without storing anything.

    Raises Invalid for an intent no venue could take, NotFound for a connection or instrument that is not there for this
    principal, Unavailable where the venue does not answer and what is known is too old.
    """
    return judge_at(door_of(intent, principal), intent=intent, principal=principal, now=now)


@dataclass(frozen=True, kw_only=True)
class Door:
    """What a proposal meets first: its connection, the policy in force there, its instrument. Read together, and with
    whatever else a caller must know at that moment (`also`)."""

    connections: Question["Connection"]
    versions: Question[UUID]
    instruments: Question[InstrumentSpec]

    def read(self, *also: Question[Any]) -> None:
        """Put them to the database at once."""
        ask(self.connections, self.versions, self.instruments, *also)


def door_of(intent: Intent, principal: Principal) -> Door:
    """The door of the connection that an intent names."""
    return Door(
        connections=connection_question(principal, intent.connection),
        versions=active_at(intent.connection),
        instruments=instrument_at(intent.connection, intent.instrument),
    )


def judge_at(door: Door, *, intent: Intent, principal: Principal, now: datetime, plan: Plan | None = None) -> Judged:
    """`judge` at a door that may be read already. With `plan`, what is known of the proposal is gathered too."""
    rules.check_intent(intent, now=now)
    if not door.connections.is_answered:
        door.read()
    connection = next(iter(door.connections.answer), None)
    if connection is None:
        raise NotFound(
            "CONNECTION_UNKNOWN",
            f"There is no connection {intent.connection!r} that you may propose on.",
            fix="GET /api/v1/connectors lists the connections this key or person may use.",
            field="connection",
        )
    instruments, listed_at = door.instruments, connection.instruments_as_of
    fresh = market.fresh_market(connection, [intent.instrument], now=now)
    if connection.instruments_as_of != listed_at:
        instruments = instrument_at(intent.connection, intent.instrument)
    now, version = fresh.now, version_of(door.versions.answer)
    terms = _bind(intent, connection, next(iter(instruments.answer), None), now)
    asked = facts.ask_of(terms, proposer_id=principal.user_id, reporting_currency=connection.desk.reporting_currency)
    gathering = Gathering(
        connection=connection,
        ask=asked,
        now=now,
        asked_at=now,
        quotes=fresh.quotes,
        instrument_rows=instruments,
        for_lessons=plan is not None,
        plan=plan or Plan(),
        version=version,
    )
    known = facts.gather(policy.facts_needed(version, asked), gathering)
    evaluation = policy.evaluate(
        version, asked, known, now, approval_may_be_waived=not settings.POLICY_REQUIRE_APPROVAL
    )
    return Judged(
        connection=connection,
        terms=terms,
        ask=asked,
        version=version,
        facts=known,
        evaluation=evaluation,
        quote=gathering.quote(intent.instrument),
        known=None if plan is None else lesson_facts.at_proposal(gathering),
        judged_at=now,
        expires_at=rules.approval_deadline(intent, not_after=terms.not_after, now=now),
    )


def _bind(intent: Intent, connection: "Connection", instrument: InstrumentSpec | None, now: datetime) -> Terms:
    if instrument is None:
        raise Invalid(
            "INSTRUMENT_UNKNOWN",
            f"{connection.name} does not list the instrument {intent.instrument!r}.",
            fix="GET /api/v1/quotes lists the instruments of a connection.",
            field="instrument",
        )
    return Terms(
        connection_id=connection.pk,
        connection=connection.slug,
        venue=connection.venue,
        environment=Environment(connection.environment),
        instrument=intent.instrument,
        base_currency=instrument.base_currency,
        quote_currency=instrument.quote_currency,
        side=intent.side,
        order_type=intent.order_type,
        time_in_force=intent.time_in_force,
        quantity=intent.quantity,
        quote_quantity=intent.quote_quantity,
        limit_price=intent.limit_price,
        stop_price=intent.stop_price,
        post_only=intent.post_only,
        not_after=rules.last_instant(intent, now=now),
    )


def propose(
    *,
    intent: Intent,
    narrative: Narrative,
    principal: Principal,
    idempotency_key: str,
    now: datetime,
    supersedes: UUID | None = None,
    also: Callable[[Proposal], tuple[Model, ...]] | None = None,
    door: Door | None = None,
) -> Proposal:
    """Judge an intent and store it with the decision: DENIED, AWAITING_APPROVAL, or APPROVED where no person is asked.

    `also` gives rows to store in the same transaction: a caller's own records commit with the proposal or not at all.
    `door` is given where it was read already. Raises as `judge`, Invalid for a narrative beyond its bounds, and
    KeyUsed.
    """
    began = time.perf_counter()
    check_narrative(narrative)
    judged = judge_at(
        door or door_of(intent, principal),
        intent=intent,
        principal=principal,
        now=now,
        plan=Plan(setup=narrative.setup, stop=narrative.stop, target=narrative.target, thesis=narrative.rationale),
    )
    try:
        with faults.commit(places.PROPOSE):
            earlier = _superseded(supersedes, principal) if supersedes is not None else None
            keep = partial(
                _store,
                narrative=narrative,
                principal=principal,
                idempotency_key=idempotency_key,
                supersedes=earlier,
                also=also,
            )
            proposal = _unasked(judged, keep) if judged.evaluation.outcome is Verdict.ALLOW else keep(judged)
    except IntegrityError as error:
        # Asked, not read from the error: databases and guards word it differently. Anything else stays a defect.
        used = Proposal.objects.filter(principal_key=principal.reference, idempotency_key=idempotency_key)
        if not idempotency_key or not used.exists():
            raise
        raise KeyUsed(
            "IDEMPOTENCY_KEY_USED", "A proposal was made with this key before.", fix="Send a new key."
        ) from error
    tracing.bind(proposal_id=proposal.pk)
    tallies.took(tallies.DECISION, int((time.perf_counter() - began) * 1_000_000), state=str(proposal.state))
    return proposal


def _superseded(proposal_id: UUID, principal: Principal) -> Proposal:
    earlier = Proposal.objects.filter(pk=proposal_id, proposer_id=principal.user_id).first()
    if earlier is None:
        raise NotFound("PROPOSAL_UNKNOWN", "There is no such proposal of yours.", field="supersedes")
    if earlier.state in {ProposalState.AWAITING_APPROVAL, ProposalState.APPROVED}:
        raise Conflict(
            "PROPOSAL_NOT_ENDED",
            f"{earlier.label} has not ended, so nothing can take its place yet.",
            fix="Withdraw it first.",
            field="supersedes",
        )
    return earlier


def _unasked(judged: Judged, keep: Callable[..., Proposal]) -> Proposal:
    """Store what policy asks no person about, approved at once: judged once more, under the lock that every approval
    takes. What policy does not let pass any more is stored as it says now, denied or waiting."""
    plan = None if judged.known is None else judged.known.plan
    judgement = approval.judge_locked(judged.terms, judged.ask, now=judged.judged_at, plan=plan)
    if judgement.evaluation.outcome is Verdict.ALLOW:
        try:
            with transaction.atomic():
                return keep(_judged_as(judged, judgement), waived_by=judgement)
        except BudgetExhausted as exhausted:
            judgement = approval.judge_locked(judged.terms, judged.ask, now=judged.judged_at, plan=plan)
            if judgement.evaluation.outcome is Verdict.ALLOW:
                raise Conflict(exhausted.code, exhausted.message, fix="Propose it again.") from exhausted
    return keep(_judged_as(judged, judgement))


def _judged_as(judged: Judged, judgement: approval.Judgement) -> Judged:
    return replace(
        judged,
        connection=judgement.connection,
        version=judgement.version,
        facts=judgement.facts,
        evaluation=judgement.evaluation,
        quote=judgement.quote,
    )


def _store(
    judged: Judged,
    narrative: Narrative,
    principal: Principal,
    idempotency_key: str,
    supersedes: Proposal | None,
    also: Callable[[Proposal], tuple[Model, ...]] | None,
    waived_by: approval.Judgement | None = None,
) -> Proposal:
    # The moment it was judged at, which may be later than the request: another one would not replay.
    terms, evaluation, now = judged.terms, judged.evaluation, judged.judged_at
    proposal_id = uuid4()
    order_id = rules.client_order_id(environment=terms.environment, proposal_id=proposal_id, attempt=1)
    raw = rules.terms_bytes(terms)
    body = _request_body(judged.connection, terms, order_id)
    decision = decisions.made(
        gate=Gate.PROPOSAL,
        subject=str(proposal_id),
        version=judged.version,
        ask=judged.ask,
        facts=judged.facts,
        evaluation=evaluation,
        now=now,
    )
    denied = evaluation.outcome is Verdict.DENY
    proposal = Proposal(
        id=proposal_id,
        connection=judged.connection,
        state=ProposalState.DENIED if denied else ProposalState.AWAITING_APPROVAL,
        proposer_id=principal.user_id,
        api_key_id=principal.api_key_id,
        supersedes=supersedes,
        terms=raw,
        digest=canonical.digest(raw),
        client_order_id=order_id,
        request_body=body,
        request_digest=canonical.digest(body),
        **columns_of(terms),
        **_judged_columns(judged),
        decision=decision,
        rationale=narrative.rationale,
        confidence=narrative.confidence,
        tags=list(narrative.tags),
        principal_key=principal.reference,
        idempotency_key=idempotency_key,
        created_at=now,
        expires_at=judged.expires_at,
        ended_at=now if denied else None,
    )
    opened = _opened(proposal, evaluation, principal, now)
    rows: tuple[Model | Statement, ...] = (decision, proposal, *_frozen(proposal, judged), *opened)
    if waived_by is not None:
        store(*rows)
        approval.approve_unasked(proposal, judgement=waived_by, now=now)
        rows = ()
    store(*rows, *(() if also is None else also(proposal)))
    similar.hold(proposal, judged.facts, evaluation, desk_id=judged.connection.desk_id, now=now)
    if denied:
        latches.keep_losses(judged.connection.pk, evaluation, now)
    return proposal


def _frozen(proposal: Proposal, judged: Judged) -> tuple[Model, ...]:
    """What was known of it, to be kept beside it."""
    return () if judged.known is None else (lesson_facts.frozen(proposal, judged.known, now=judged.judged_at),)


def _request_body(connection: "Connection", terms: Terms, order_id: UUID) -> bytes:
    """The bytes that would be sent. There are none for a venue where Aika only reads: policy denies it, and these go
    nowhere."""
    return venue.order_body(terms.venue, rules.order_request(terms, order_id)) if connection.places_orders else b""


def _judged_columns(judged: Judged) -> dict[str, object]:
    """The columns that repeat what policy said and what the market was."""
    evaluation, quote, tier = judged.evaluation, judged.quote, judged.evaluation.tier
    return {
        "notional": evaluation.notional,
        "worst_price": evaluation.worst_price,
        "needed": tier.needed if tier else 0,
        "roles": list(tier.roles) if tier else [],
        "end_code": next(iter(evaluation.codes), "") if evaluation.outcome is Verdict.DENY else "",
        "reference_bid": quote.bid if quote else None,
        "reference_ask": quote.ask if quote else None,
        "reference_at": quote.received_at if quote else None,
    }


def _opened(proposal: Proposal, evaluation: Evaluation, principal: Principal, now: datetime) -> tuple[Statement, ...]:
    return events.opening(
        stream=stream_of(proposal.pk),
        kind="proposal.denied" if evaluation.outcome is Verdict.DENY else "proposal.proposed",
        actor=principal.actor(),
        subject=str(proposal.pk),
        payload={
            "state": proposal.state,
            "digest": proposal.digest,
            "request_digest": proposal.request_digest,
            "client_order_id": proposal.client_order_id,
            "decision": proposal.decision_id,
            "codes": list(evaluation.codes),
            "needed": proposal.needed,
            "roles": proposal.roles,
            "expires_at": proposal.expires_at,
        },
        now=now,
    )


def columns_of(terms: Terms) -> dict[str, object]:
    """The columns of a proposal that repeat its terms."""
    return {
        "instrument": terms.instrument,
        "base_currency": terms.base_currency,
        "quote_currency": terms.quote_currency,
        "side": terms.side.value,
        "order_type": terms.order_type.value,
        "time_in_force": terms.time_in_force.value,
        "quantity": terms.quantity,
        "quote_quantity": terms.quote_quantity,
        "limit_price": terms.limit_price,
        "stop_price": terms.stop_price,
        "not_after": terms.not_after,
    }
