"""Proposals that arrive with an `Idempotency-Key`: the second request with one key gets the first one's answer."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from apps.accounts.services import idempotency
from apps.accounts.services.idempotency import Answer, AnsweredMeanwhile, Claim, Replay
from apps.accounts.types import Principal
from apps.common import fault_places as places
from apps.common import faults
from apps.trades.models import Proposal
from apps.trades.services import endings, proposals
from apps.trades.types import Intent, Narrative

CREATED = 201
OK = 200


def propose_once(
    *,
    intent: Intent,
    narrative: Narrative,
    supersedes: UUID | None,
    principal: Principal,
    begun: Claim | Replay,
    word: Callable[[Proposal], bytes],
    now: datetime,
) -> Answer:
    """Propose, and keep the answer `word` makes of the proposal in the same transaction. A Replay does nothing again.

    Raises as `proposals.propose`; then nothing is kept, and the key is free for a corrected request.
    """
    if isinstance(begun, Replay):
        return begun
    faults.point(places.RECEIVED.label)
    answers: list[Answer] = []

    def keep(proposal: Proposal) -> None:
        answers.append(Answer(status=CREATED, body=word(proposal)))
        idempotency.finish(begun, status=CREATED, body=answers[0].body, now=now)

    try:
        proposals.propose(
            intent=intent,
            narrative=narrative,
            principal=principal,
            idempotency_key=begun.key,
            supersedes=supersedes,
            now=now,
            also=keep,
        )
    except (AnsweredMeanwhile, proposals.KeyUsed):
        return idempotency.replay(begun)
    faults.point(places.ANSWERING.label)
    return answers[0]


def withdraw_once(
    *,
    proposal_id: UUID,
    principal: Principal,
    reason: str,
    begun: Claim | Replay | None,
    word: Callable[[Proposal], bytes],
    now: datetime,
) -> Answer:
    """Withdraw; with a key (`begun`), keep the answer in the same transaction. Raises as `endings.withdraw`."""
    if isinstance(begun, Replay):
        return begun

    def act() -> tuple[int, bytes]:
        proposal = endings.withdraw(proposal_id=proposal_id, principal=principal, reason=reason, now=now)
        return OK, word(proposal)

    if begun is None:
        status, body = act()
        return Answer(status=status, body=body)
    return idempotency.complete(begun, act=act, now=now)
