"""From an intent to a row: stored with its decision, frozen, and at the moment it was judged at."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.types import Principal
from apps.common import canonical
from apps.common.errors import AikaError, Conflict, Invalid, NotFound, Unavailable
from apps.common.statements import Question
from apps.connectors.models import Connection, Instrument
from apps.connectors.types import OrderType, TimeInForce
from apps.policies.models import Decision
from apps.trades.models import Proposal
from apps.trades.services import judging, proposals, seal, withdrawals
from apps.trades.types import Narrative, ProposalState
from tests.factories.accounts import UserFactory
from tests.factories.desk import PaperDesk
from tests.factories.tampering import another, sql_update
from tests.factories.trading import change_connection, change_policy, kinds, move, replayed, rules_with, sent

pytestmark = pytest.mark.django_db


def test_it_waits_with_its_bytes_and_its_decision(paper: PaperDesk) -> None:
    move(paper, "64000")
    proposal = paper.propose()
    assert proposal.state == ProposalState.AWAITING_APPROVAL
    assert proposal.digest == canonical.digest(bytes(proposal.terms))
    assert proposal.request_digest == canonical.digest(bytes(proposal.request_body))
    assert (proposal.needed, proposal.roles) == (1, ["approver", "risk"])
    assert proposal.decision.outcome == "NEEDS_APPROVAL"
    assert proposal.decision.decided_at == proposal.created_at
    assert kinds(proposal) == ["proposal.proposed"]
    assert not sent(paper)


def decided(proposal: Proposal) -> str:
    """What the decision on record says, as text."""
    return bytes(proposal.decision.results).decode()


def test_a_denial_is_stored_with_its_reasons(paper: PaperDesk) -> None:
    proposal = paper.propose(quantity=Decimal("0.4"))
    assert (proposal.state, proposal.ended_at) == (ProposalState.DENIED, proposal.created_at)
    assert "MAX_ORDER_NOTIONAL" in decided(proposal)
    assert kinds(proposal) == ["proposal.denied"]
    with pytest.raises(AikaError):
        paper.approve(proposal)


def test_a_request_from_a_moment_ago_replays(paper: PaperDesk) -> None:
    """The price came after the request: what is stored is the moment of judgement, or it could not be judged again."""
    asked = timezone.now() - timedelta(seconds=4)
    proposal = paper.propose(now=asked)
    assert proposal.state == ProposalState.AWAITING_APPROVAL, proposal.end_code
    assert proposal.created_at > asked
    assert replayed() == 1


@pytest.mark.parametrize(("late_s", "passes"), [(4, True), (0, False)])
def test_what_was_learned_while_the_database_was_waited_for(
    paper: PaperDesk, monkeypatch: pytest.MonkeyPatch, late_s: int, passes: bool
) -> None:
    """Balances of four seconds later are of the moment where it is as late here; else a clock is wrong."""
    now, read = timezone.now(), judging.Door.read

    def later(door: judging.Door, *also: Question[Any]) -> None:
        Connection.objects.filter(pk=paper.connection.pk).update(balances_as_of=now + timedelta(seconds=4))
        read(door, *also)

    monkeypatch.setattr(judging.Door, "read", later)
    proposal = paper.propose(now=now, clock=lambda: now + timedelta(seconds=late_s))
    if passes:
        assert proposal.state == ProposalState.AWAITING_APPROVAL, proposal.end_code
        assert replayed() == 1
    else:
        assert proposal.end_code == "FACT_FROM_FUTURE"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"quantity": Decimal(0)}, "NOT_POSITIVE"),
        ({"quantity": None}, "ONE_SIZE_NEEDED"),
        ({"quote_quantity": Decimal(5)}, "ONE_SIZE_NEEDED"),
        ({"time_in_force": TimeInForce.GTD}, "NOT_AFTER_NEEDED"),
        ({"order_type": OrderType.MARKET}, "TIME_IN_FORCE_NOT_POSSIBLE"),
        ({"valid_for_s": 29}, "VALID_FOR_OUT_OF_RANGE"),
    ],
)
def test_what_no_venue_could_take(paper: PaperDesk, changes: dict[str, object], code: str) -> None:
    with pytest.raises(Invalid) as error:
        paper.propose(**changes)
    assert error.value.code == code
    assert not Proposal.objects.exists() and not Decision.objects.exists()


def test_where_one_may_propose(paper: PaperDesk) -> None:
    other = UserFactory(role="trader")
    stranger = Principal(user_id=other.pk, api_key_id=None, name="Stranger")
    ungranted = Principal(user_id=paper.trader.pk, api_key_id=uuid4(), name="Another key")
    for principal in (stranger, ungranted):
        with pytest.raises(NotFound, match="CONNECTION_UNKNOWN"):
            paper.propose(principal=principal)
    change_connection(paper, is_active=False)
    with pytest.raises(NotFound, match="CONNECTION_UNKNOWN"):
        paper.propose(limit_price=Decimal(64000))
    change_connection(paper, is_active=True)
    paper.propose()


def test_an_instrument_that_is_not_listed(paper: PaperDesk) -> None:
    intent = paper.intent(instrument="XYZ-USD", limit_price=Decimal(1))
    with pytest.raises(Invalid, match="INSTRUMENT_UNKNOWN"):
        judging.judge(intent=intent, principal=paper.principal, clock=timezone.now)


def test_a_venue_that_is_away_stores_nothing(paper: PaperDesk) -> None:
    intent = paper.intent()
    change_connection(paper, api_base="http://127.0.0.1:9")
    with pytest.raises(Unavailable, match="VENUE_UNAVAILABLE"):
        paper.propose(limit_price=intent.limit_price, now=timezone.now() + timedelta(seconds=20))
    assert not Proposal.objects.exists()


@pytest.mark.parametrize(
    ("narrative", "code"),
    [
        (Narrative(rationale="x" * 4_001), "RATIONALE_TOO_LONG"),
        (Narrative(tags=("x",) * 21), "TAGS_OUT_OF_RANGE"),
        (Narrative(tags=("",)), "TAGS_OUT_OF_RANGE"),
        (Narrative(confidence=Decimal("1.01")), "CONFIDENCE_OUT_OF_RANGE"),
        (Narrative(confidence=Decimal("-0.01")), "CONFIDENCE_OUT_OF_RANGE"),
    ],
)
def test_words_beyond_their_bounds(paper: PaperDesk, narrative: Narrative, code: str) -> None:
    with pytest.raises(Invalid) as error:
        proposals.propose(
            intent=paper.intent(),
            narrative=narrative,
            principal=paper.principal,
            idempotency_key="k",
            now=timezone.now(),
        )
    assert error.value.code == code


def test_a_key_makes_one_proposal(paper: PaperDesk) -> None:
    values = {"narrative": Narrative(), "principal": paper.principal, "idempotency_key": "once"}
    proposals.propose(intent=paper.intent(), now=timezone.now(), **values)  # type: ignore[arg-type]
    with pytest.raises(proposals.KeyUsed):
        proposals.propose(intent=paper.intent(quantity=Decimal("0.02")), now=timezone.now(), **values)  # type: ignore[arg-type]
    assert Proposal.objects.count() == 1


def test_what_goes_along_commits_along(paper: PaperDesk) -> None:
    def refuse(proposal: Proposal) -> tuple[Proposal, ...]:
        raise Conflict("NO", "The caller's own record could not be written.")

    with pytest.raises(Conflict):
        proposals.propose(
            intent=paper.intent(),
            narrative=Narrative(),
            principal=paper.principal,
            idempotency_key="k",
            now=timezone.now(),
            also=refuse,
        )
    assert not Proposal.objects.exists()
    assert not Decision.objects.exists()


def test_taking_the_place_of_an_ended_one(paper: PaperDesk) -> None:
    change_policy(paper, rules_with(duplicate=None))
    first = paper.propose()

    def again() -> Proposal:
        return proposals.propose(
            intent=paper.intent(),
            narrative=Narrative(),
            principal=paper.principal,
            idempotency_key=str(uuid4()),
            now=timezone.now(),
            supersedes=first.pk,
        )

    with pytest.raises(Conflict, match="PROPOSAL_NOT_ENDED"):
        again()
    withdrawals.withdraw(proposal_id=first.pk, principal=paper.principal, reason="Better price.", now=timezone.now())
    assert again().supersedes == first


def test_no_frozen_column_changes_and_no_state_jumps(paper: PaperDesk) -> None:
    """By SQL, with the guards where they are, on this database."""
    proposal = paper.propose()
    same = {"connection_id", "decision_id"}  # there is only one of each here; test_execute points them elsewhere
    for name in set(seal.sealed_columns(Proposal)) - same:
        if name in {"api_key_id", "supersedes_id"}:
            proposal_with = {"api_key_id": None, "supersedes_id": proposal.pk}[name]
        else:
            proposal_with = another(proposal, name, {User: paper.risk, Connection: paper.connection})
        with pytest.raises(IntegrityError), transaction.atomic():
            sql_update(proposal, **{name: proposal_with})
    for state in ("DENIED", "NONSENSE", ""):
        with pytest.raises(IntegrityError, match="guard state_moves"), transaction.atomic():
            sql_update(proposal, state=state)
    with pytest.raises(IntegrityError, match="guard no_delete"), transaction.atomic():
        connection.cursor().execute("DELETE FROM trades_proposal")


def test_an_instrument_no_longer_traded_is_denied(paper: PaperDesk) -> None:
    intent = paper.intent()
    Instrument.objects.filter(connection=paper.connection, code="BTC-USD").update(tradable=False)
    judged = judging.judge(intent=intent, principal=paper.principal, clock=timezone.now)
    assert "INSTRUMENT_NOT_TRADABLE" in judged.evaluation.codes
