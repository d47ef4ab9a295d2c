"""Proposals that arrive with an `Idempotency-Key`: the second request with one key gets the first one's answer."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError
from django.db.models import Model

from apps.accounts.services import idempotency
from apps.accounts.services.idempotency import Answer, Claim, Replay
from apps.accounts.types import Principal
from apps.common import fault_places as places
from apps.common import faults
from apps.trades.models import Proposal
from apps.trades.services import judging, proposals, withdrawals
from apps.trades.services.judging import Clock
from apps.trades.services.withdrawals import Withdrawal
from apps.trades.types import Intent, Narrative, WithdrawAnswer

CREATED = 201
OK = 200
ACCEPTED = 202


def propose_once(
    *,
    intent: Intent,
    narrative: Narrative,
    supersedes: UUID | None,
    principal: Principal,
    claim: Claim,
    word: Callable[[Proposal], bytes],
    now: datetime,
    clock: Clock | None = None,
    beside: Callable[[Proposal], tuple[Model, ...]] = lambda proposal: (),
) -> Answer:
    """Propose, and keep the answer `word` makes of the proposal in the same transaction. An answer that is kept already
    is given again, and nothing is done. `beside` gives more rows to store in that transaction.

    Raises as `proposals.propose` and `idempotency.settled`; then nothing is kept, and the key is free for a corrected
    request.
    """
    door, stored = judging.door_of(intent, principal), idempotency.stored_question(claim)
    door.read(stored)
    begun = idempotency.settled(claim, stored)
    if isinstance(begun, Replay):
        return begun
    faults.point(places.RECEIVED.label)
    answers: list[Answer] = []

    def keep(proposal: Proposal) -> tuple[Model, ...]:
        answers.append(Answer(status=CREATED, body=word(proposal)))
        return (idempotency.kept(claim, status=CREATED, body=answers[0].body, now=now), *beside(proposal))

    try:
        proposals.propose(
            intent=intent,
            narrative=narrative,
            principal=principal,
            idempotency_key=claim.key,
            supersedes=supersedes,
            now=now,
            clock=clock,
            also=keep,
            door=door,
        )
    except proposals.KeyUsed:
        return idempotency.replay(claim)
    except IntegrityError:
        # The key may have been used for something else meanwhile. Anything else stays a defect.
        begun = idempotency.settled(claim, idempotency.stored_question(claim))
        if isinstance(begun, Replay):
            return begun
        raise
    faults.point(places.ANSWERING.label)
    return answers[0]


def withdraw_once(
    *,
    proposal_id: UUID,
    principal: Principal,
    reason: str,
    begun: Claim | Replay | None,
    word: Callable[[Withdrawal], bytes],
    now: datetime,
) -> Answer:
    """Withdraw; with a key (`begun`), keep the answer in the same transaction. Raises as `withdrawals.withdraw`.

    The status is 202 where the venue is asked to cancel: that is not done yet.
    """
    if isinstance(begun, Replay):
        return begun

    def act() -> tuple[int, bytes]:
        done = withdrawals.withdraw(proposal_id=proposal_id, principal=principal, reason=reason, now=now)
        return ACCEPTED if done.answer is WithdrawAnswer.ASKED_TO_CANCEL else OK, word(done)

    if begun is None:
        status, body = act()
        return Answer(status=status, body=body)
    return idempotency.complete(begun, act=act, now=now)
