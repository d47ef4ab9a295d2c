"""Asking the memory about a proposal, or in words: the question is put together here, and answered by lessons."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar
from uuid import UUID

from apps.accounts.types import Principal
from apps.common.errors import Invalid, NotFound
from apps.connectors.selectors import connections_for
from apps.lessons.recall_types import K_DEFAULT, IndexState, Question, RecallAnswer, Viewer
from apps.lessons.rules import kept_facts, mistakes
from apps.lessons.selectors import recalled
from apps.lessons.services import ownership, recalls
from apps.lessons.types import Fact, Filters, RecallPurpose
from apps.trades.models import Proposal, ProposalFacts
from apps.trades.selectors.listing import proposal_for
from apps.trades.services import lesson_facts

# What an answer to a proposal shows, and how long the vector index may take for it.
SHOWN: Final = 3
BOUND_S: Final = 0.15
BOUND_OF_ALL_S: Final = 0.5
# For how long a person is shown the same again, and where it came without the whole index.
SHOWN_AGAIN_FOR: Final = timedelta(minutes=10)
POORER_SHOWN_FOR: Final = timedelta(minutes=1)

T = TypeVar("T")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What one person is shown beside a proposal: the answer (None where nobody asked while it could be decided), what
    they said of its cases, by case, the cases they may not call dissimilar, and the facts of the proposal."""

    answer: RecallAnswer | None
    said: Mapping[UUID, str] = field(default_factory=dict)
    left_to_others: frozenset[UUID] = frozenset()
    facts: Sequence[Fact] = ()


def question_of(proposal: Proposal) -> Question:
    """What is asked about a proposal: its words, and the facts as they were when it was judged."""
    facts = facts_of(proposal)
    return Question(
        text=proposal.rationale,
        product=proposal.instrument,
        asset_class=lesson_facts.asset_class_of(proposal.connection.venue),
        side=proposal.side,
        tags=tags_of(facts),
        facts=facts,
        proposal_id=proposal.pk,
    )


def facts_of(proposal: Proposal) -> tuple[Fact, ...]:
    """What detectors saw when it was judged; nothing for one from before they did."""
    try:
        return kept_facts.facts_of(proposal.known_then.facts)
    except ProposalFacts.DoesNotExist:
        return ()


def tags_of(facts: Sequence[Fact]) -> tuple[str, ...]:
    """The mistakes those facts show."""
    return tuple(one.tag.value for one in mistakes.tags_of(facts))


def ask(
    *,
    principal: Principal,
    proposal_id: UUID | None,
    connection: str | None,
    question: Question,
    purpose: RecallPurpose,
    now: datetime,
    k: int = K_DEFAULT,
) -> RecallAnswer:
    """What is like this proposal, or, without one, like `question` at the desk of a connection.

    Filters and `include_wins` are taken from `question` in both cases. Raises NotFound PROPOSAL_UNKNOWN or
    CONNECTION_UNKNOWN, and Invalid CONNECTION_NEEDED where the caller has several desks and names none.
    """
    if proposal_id is None:
        desk = _desk(principal, connection)
    else:
        proposal = proposal_for(principal, proposal_id)
        if proposal is None:
            raise NotFound("PROPOSAL_UNKNOWN", "There is no such proposal that you may see.", field="proposal_id")
        question = replace(
            question_of(proposal),
            filters=question.filters,
            include_wins=question.include_wins,
            counted_only=question.counted_only,
        )
        desk = _desk_of(proposal)
    return recalls.recall(desk=desk, question=question, viewer=Viewer.of(principal), purpose=purpose, now=now, k=k)


def beside(*, proposal: Proposal, principal: Principal, now: datetime) -> RecallAnswer:
    """What is answered beside a proposal that was just stored. Never fails: where the memory cannot be asked, the
    answer says so."""
    return _unfailing(proposal.pk, now, lambda: _beside(proposal, principal, now))


def beside_each(*, proposals: Sequence[Proposal], principal: Principal, now: datetime) -> list[RecallAnswer]:
    """The same for several of one caller; the vector index has one bound for all of them."""
    until = time.monotonic() + BOUND_OF_ALL_S

    def answer(proposal: Proposal) -> RecallAnswer:
        return _beside(proposal, principal, now, bound_s=max(min(BOUND_S, until - time.monotonic()), 0.0))

    return [_unfailing(one.pk, now, partial(answer, one)) for one in proposals]


def beside_again(*, proposal_id: UUID, principal: Principal, now: datetime) -> RecallAnswer:
    """The same as it was answered then; asked anew where it was not."""

    def again() -> RecallAnswer:
        earlier = recalled.latest_recall(proposal_id=proposal_id, purpose=RecallPurpose.PROPOSAL)
        if earlier is not None:
            return recalled.answer_of(earlier)
        return _beside(Proposal.objects.select_related("connection").get(pk=proposal_id), principal, now)

    return _unfailing(proposal_id, now, again)


def as_answered(*, proposal_id: UUID, now: datetime) -> RecallAnswer | None:
    """What was answered beside a proposal when it was made; None where nothing was. Never fails."""

    def then() -> RecallAnswer | None:
        earlier = recalled.latest_recall(proposal_id=proposal_id, purpose=RecallPurpose.PROPOSAL)
        return None if earlier is None else recalled.answer_of(earlier)

    return _unfailing(proposal_id, now, then)


def _beside(proposal: Proposal, principal: Principal, now: datetime, *, bound_s: float = BOUND_S) -> RecallAnswer:
    if proposal.desk_remembers is False:
        return recalls.unremembered(question_of(proposal), now=now)
    return recalls.recall(
        desk=_desk_of(proposal),
        question=question_of(proposal),
        viewer=Viewer.of(principal),
        purpose=RecallPurpose.PROPOSAL,
        now=now,
        k=SHOWN,
        bound_s=bound_s,
        remembers=proposal.desk_remembers,
    )


def _unfailing(proposal_id: UUID, now: datetime, ask: Callable[[], T]) -> T | RecallAnswer:
    """The answer; where anything at all goes wrong, that the memory could not be asked."""
    try:
        return ask()
    except Exception:
        # Whatever it was: what is remembered is advice, and a proposal is judged without it.
        logger.exception("Lessons beside %s were not recalled", proposal_id)
        return RecallAnswer(
            id=None, asked_at=now, index=IndexState(degraded=True, reason="MEMORY_UNAVAILABLE"), is_known=False
        )


def on_page(*, proposal: Proposal, person_id: UUID, is_open: bool, now: datetime) -> Shown:
    """What a person sees beside a proposal. While it can be decided the memory is asked, once in a while and not at
    each look; afterwards it stays what they were shown, or what was answered when it was proposed. What fails in here
    leaves a transaction around it usable."""
    with recalls.apart():
        answer = _on_page(proposal, person_id, is_open=is_open, now=now)
        facts = facts_of(proposal)
        if answer is None or not answer.results:
            return Shown(answer=answer, facts=facts)
        proposers = {one.case: one.proposer_id for one in answer.losses}
        return Shown(
            answer=answer,
            said=recalled.said_beside(person_id=person_id, proposal_id=proposal.pk),
            left_to_others=ownership.left_to_others(proposers, person_id=person_id, now=now),
            facts=facts,
        )


def _on_page(proposal: Proposal, person_id: UUID, *, is_open: bool, now: datetime) -> RecallAnswer | None:
    earlier = recalled.latest_recall(proposal_id=proposal.pk, purpose=RecallPurpose.PAGE, viewer_id=person_id)
    if not is_open:
        earlier = earlier or recalled.latest_recall(proposal_id=proposal.pk, purpose=RecallPurpose.PROPOSAL)
        return None if earlier is None else recalled.answer_of(earlier)
    if earlier is not None and now - earlier.asked_at < SHOWN_AGAIN_FOR:
        answer = recalled.answer_of(earlier)
        is_whole = not answer.index.degraded and not answer.index.pending
        if is_whole or now - earlier.asked_at < POORER_SHOWN_FOR:
            return answer
    return recalls.recall(
        desk=_desk_of(proposal),
        question=question_of(proposal),
        viewer=Viewer(person_id=person_id),
        purpose=RecallPurpose.PAGE,
        now=now,
        k=SHOWN,
        bound_s=BOUND_S,
    )


def filters_of(values: Mapping[str, Any] | None) -> Filters:
    """The filters of a request; None is none."""
    return Filters(**{name: value for name, value in (values or {}).items() if value})


def _desk_of(proposal: Proposal) -> UUID:
    return proposal.connection.desk_id


def _desk(principal: Principal, connection: str | None) -> UUID:
    desks = connections_for(principal).order_by()
    if connection is not None:
        desks = desks.filter(slug=connection)
    found = set(desks.values_list("desk_id", flat=True))
    if not found:
        raise NotFound("CONNECTION_UNKNOWN", "There is no such connection that you may use.", field="connection")
    if len(found) > 1:
        raise Invalid(
            "CONNECTION_NEEDED",
            "You work at several desks, and each remembers its own trades.",
            fix="Name a connection of the desk that is meant; GET /api/v1/connectors lists them.",
            field="connection",
        )
    return found.pop()
