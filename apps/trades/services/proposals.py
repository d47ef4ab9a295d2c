"""Proposals: from an intent to a waiting row. How they end is in `endings`."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction
from django.db.models import Model

from apps.accounts.types import Principal
from apps.audit.services import events
from apps.common import canonical, faults, tallies, tracing
from apps.common import fault_places as places
from apps.common.decimals import decimal_text
from apps.common.errors import Conflict, NotFound
from apps.common.inserts import Row, store, store_alone
from apps.connectors.services import venue
from apps.policies.errors import BudgetExhausted
from apps.policies.rules.similar import cases_held
from apps.policies.services import decisions
from apps.policies.types import Evaluation, Gate, Verdict
from apps.trades.models import Proposal
from apps.trades.rules import terms as rules
from apps.trades.rules.narratives import check_narrative
from apps.trades.services import approval, latches, lesson_facts, similar
from apps.trades.services.endings import stream_of
from apps.trades.services.judging import Clock, Door, Judged, door_of, judge_at
from apps.trades.types import Intent, Narrative, ProposalState, Terms

if TYPE_CHECKING:
    from apps.connectors.models import Connection


class KeyUsed(Conflict):
    """This principal made a proposal with this key before; the database says so whatever the caller looked up."""


def propose(
    *,
    intent: Intent,
    narrative: Narrative,
    principal: Principal,
    idempotency_key: str,
    now: datetime,
    clock: Clock | None = None,
    supersedes: UUID | None = None,
    also: Callable[[Proposal], tuple[Model, ...]] | None = None,
    door: Door | None = None,
) -> Proposal:
    """Judge an intent and store it with the decision: DENIED, AWAITING_APPROVAL, or APPROVED where no person is asked.

    `clock` says how late it is once what it is judged on was read, and once it is its turn on the connection; without
    one it is still `now`. `also` gives rows to store in the same transaction: a caller's own records commit with the
    proposal or not at all. `door` is given where it was read already. Raises as `judge`, Invalid for a narrative beyond
    its bounds or for facts that are measured otherwise, and KeyUsed.
    """
    began = time.perf_counter()
    check_narrative(narrative)
    judged = judge_at(
        door or door_of(intent, principal),
        intent=intent,
        principal=principal,
        now=now,
        clock=clock or (lambda: now),
        plan=lesson_facts.plan_of(narrative),
    )
    maker = Maker(
        narrative=narrative,
        principal=principal,
        idempotency_key=idempotency_key,
        supersedes=superseded(supersedes, principal),
        clock=clock or (lambda: now),
        also=also,
    )
    try:
        proposal = _committed(judged, maker)
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


def superseded(proposal_id: UUID | None, principal: Principal) -> Proposal | None:
    """The proposal that a new one takes the place of. Raises NotFound PROPOSAL_UNKNOWN, Conflict PROPOSAL_NOT_ENDED."""
    if proposal_id is None:
        return None
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


def _committed(judged: Judged, maker: "Maker") -> Proposal:
    """Stored in a transaction of its own: DENIED, AWAITING_APPROVAL, or APPROVED where no person is asked."""
    if judged.evaluation.outcome is Verdict.ALLOW:
        with faults.commit(places.PROPOSE):
            return unasked(judged, maker)
    made = maker.made(judged)
    if made.has_follow_up:
        with faults.commit(places.PROPOSE):
            return _store(made, maker)
    store_alone(*made.rows, *maker.beside(made.proposal), place=places.PROPOSE)
    return made.proposal


def unasked(judged: Judged, maker: "Maker") -> Proposal:
    """Store what policy asks no person about, approved at once: judged once more, under the lock that every approval
    takes. What policy does not let pass any more is stored as it says now, denied or waiting.

    In the caller's transaction. Raises IntegrityError where its key was used; Conflict where what policy waived has no
    room any more, and then nothing of it is stored.
    """
    plan = None if judged.known is None else judged.known.plan
    judgement = approval.judge_locked(judged.terms, judged.ask, now=judged.judged_at, clock=maker.clock, plan=plan)
    if judgement.evaluation.outcome is Verdict.ALLOW:
        try:
            with transaction.atomic():
                return _store(maker.made(_judged_as(judged, judgement)), maker, waived_by=judgement)
        except BudgetExhausted as exhausted:
            judgement = approval.judge_locked(judged.terms, judged.ask, now=judgement.at, clock=maker.clock, plan=plan)
            if judgement.evaluation.outcome is Verdict.ALLOW:
                raise Conflict(exhausted.code, exhausted.message, fix="Propose it again.") from exhausted
    return _store(maker.made(_judged_as(judged, judgement)), maker)


def _judged_as(judged: Judged, judgement: approval.Judgement) -> Judged:
    return replace(
        judged,
        connection=judgement.connection,
        version=judgement.version,
        facts=judgement.facts,
        evaluation=judgement.evaluation,
        quote=judgement.quote,
        judged_at=judgement.at,
    )


@dataclass(frozen=True, kw_only=True)
class Made:
    """A proposal before it is stored: all its rows."""

    proposal: Proposal
    judged: Judged
    rows: tuple[Model | Row, ...]

    @property
    def changes_what_is_known(self) -> bool:
        """Whether storing it trips a limit that later ones are judged by."""
        return self.proposal.state == ProposalState.DENIED and latches.reaches(self.judged.evaluation)

    @property
    def has_follow_up(self) -> bool:
        """Whether there is anything to be written down beside it."""
        return self.changes_what_is_known or bool(cases_held(self.judged.facts, self.judged.evaluation))

    def follow_up(self) -> None:
        """What is written down beside it once it is stored, in the same transaction."""
        proposal, judged, now = self.proposal, self.judged, self.judged.judged_at
        similar.hold(proposal, judged.facts, judged.evaluation, desk_id=judged.connection.desk_id, now=now)
        if judged.evaluation.outcome is Verdict.DENY:
            latches.keep_losses(judged.connection.pk, judged.evaluation, now)


@dataclass(frozen=True, kw_only=True)
class Maker:
    """What the proposer says besides the terms. `also` gives a caller's own rows, to be stored with the proposal."""

    narrative: Narrative
    principal: Principal
    idempotency_key: str
    supersedes: Proposal | None
    clock: Clock
    also: Callable[[Proposal], tuple[Model, ...]] | None

    def made(self, judged: Judged) -> Made:
        """The proposal of what was judged, and its decision."""
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
            proposer_id=self.principal.user_id,
            api_key_id=self.principal.api_key_id,
            supersedes=self.supersedes,
            terms=raw,
            digest=canonical.digest(raw),
            client_order_id=order_id,
            request_body=body,
            request_digest=canonical.digest(body),
            **columns_of(terms),
            **_judged_columns(judged),
            decision=decision,
            rationale=self.narrative.rationale,
            confidence=self.narrative.confidence,
            tags=list(self.narrative.tags),
            principal_key=self.principal.reference,
            idempotency_key=self.idempotency_key,
            created_at=now,
            expires_at=judged.expires_at,
            ended_at=now if denied else None,
        )
        proposal.desk_remembers = None if judged.known is None else judged.known.remembers
        opened = _opened(proposal, evaluation, self.principal, self.narrative.facts, now)
        return Made(proposal=proposal, judged=judged, rows=(decision, proposal, *_frozen(proposal, judged), opened))

    def beside(self, proposal: Proposal) -> tuple[Model, ...]:
        """The caller's own rows."""
        return () if self.also is None else self.also(proposal)


def _store(made: Made, maker: Maker, waived_by: approval.Judgement | None = None) -> Proposal:
    rows, proposal = made.rows, made.proposal
    if waived_by is not None:
        store(*rows)
        approval.approve_unasked(proposal, judgement=waived_by, now=made.judged.judged_at)
        rows = ()
    store(*rows, *maker.beside(proposal))
    made.follow_up()
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


def _opened(
    proposal: Proposal, evaluation: Evaluation, principal: Principal, told: Mapping[str, Decimal], now: datetime
) -> Row:
    """Its first event; what the proposer states stands in it as it was said, whatever of it counts."""
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
            **({"told": {name: decimal_text(value) for name, value in sorted(told.items())}} if told else {}),
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
