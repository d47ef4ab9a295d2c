"""Programs that ask twice: they die or lose the answer on the way, and send the same request again, or another one
under the same key."""

import json
from decimal import Decimal
from uuid import uuid4

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from apps.accounts.services import idempotency
from apps.accounts.services.idempotency import Answer, Replay
from apps.common import fault_places as places
from apps.common.errors import Denied
from apps.trades.models import Proposal
from apps.trades.services import intake
from apps.trades.types import Narrative
from tests.scenarios.ledgers import Ledgers

ON_THE_WAY = (places.RECEIVED.label, places.PROPOSE.before, places.PROPOSE.after, places.ANSWERING.label)


def word_of(proposal: Proposal) -> bytes:
    """An answer that no other proposal has."""
    return json.dumps({"id": str(proposal.pk), "state": proposal.state}).encode()


class Repeats(Ledgers):
    """What each key was used for, and what was answered under it."""

    count: int

    def __init__(self) -> None:
        super().__init__()
        self.asked: dict[str, Decimal] = {}
        self.told: dict[str, bytes] = {}

    def ask(self, key: str, quantity: Decimal) -> Answer:
        """Propose to buy so much, as the API does."""
        claim = idempotency.claim_of(
            principal_key=self.paper.principal.reference,
            key=key,
            method="POST",
            path="/api/v1/trades/proposals",
            body=json.dumps({"quantity": str(quantity)}).encode(),
        )
        return intake.propose_once(
            intent=self.paper.intent(quantity=quantity),
            narrative=Narrative(rationale="Perhaps it is asked again."),
            supersedes=None,
            principal=self.paper.principal,
            claim=claim,
            word=word_of,
            now=self.now,
        )

    @rule(label=st.sampled_from(["", *ON_THE_WAY]))
    def a_program_asks(self, label: str) -> None:
        """Under a key of its own; it may die before it has its answer."""
        self.count += 1
        key, quantity = str(uuid4()), Decimal("0.01") + Decimal(self.count) / 10**6
        self.asked[key] = quantity

        def ask() -> None:
            self.told[key] = self.ask(key, quantity).body

        self.dies_at(label, ask)

    @precondition(lambda self: self.asked)
    @rule(pick=st.integers(0, 9), same=st.booleans())
    def a_program_asks_again(self, pick: int, same: bool) -> None:
        """15: the same request gets the answer that was stored, another one under the key none, and there is never a
        second proposal."""
        key = list(self.asked)[pick % len(self.asked)]
        there, before = Proposal.objects.filter(idempotency_key=key).exists(), Proposal.objects.count()
        if there and not same:
            with pytest.raises(Denied) as refused:
                self.ask(key, self.asked[key] + 1)
            assert refused.value.code == "IDEMPOTENCY_KEY_REUSED"
        elif (answer := self.refused(lambda: self.ask(key, self.asked[key]))) is not None:
            assert isinstance(answer, Replay) == there, "asked again, and it was answered anew"
            assert self.told.setdefault(key, answer.body) == answer.body, "asked again, and the answer is another one"
        made = Proposal.objects.count() - before
        assert made <= (0 if there else 1), "asked again, and there is a second proposal"
        assert Proposal.objects.filter(idempotency_key=key).count() <= 1
        self.reached.add("asked again")
