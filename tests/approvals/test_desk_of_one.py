"""A desk of one: its only person decides on what their own key asks, on paper, where the installation says so."""

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.types import Principal
from apps.approvals.models import Vote
from apps.approvals.services import decide
from apps.audit.models import Event
from apps.audit.selectors import facts_of
from apps.common.errors import Forbidden
from apps.trades.models import Authority, Order, Proposal
from apps.trades.selectors.desk_of_one import IN_WORDS
from tests.factories.desk import PaperDesk
from tests.factories.tampering import guards_lifted
from tests.factories.trading import sent

pytestmark = pytest.mark.django_db
BAR = "<b>Desk of one:</b>"


@pytest.fixture
def alone(paper: PaperDesk, settings: Any) -> PaperDesk:
    """The trader is everybody: proposes by a key, and holds the approver's role."""
    settings.POLICY_DESK_OF_ONE = True
    paper.desk.members.set([paper.trader])
    paper.trader.groups.add(Group.objects.get(name="approver"))
    return paper


def approve_own(desk: PaperDesk, proposal: Proposal) -> Any:
    return desk.approve(proposal, by=desk.trader)


def test_the_only_person_approves_what_their_key_asked(alone: PaperDesk) -> None:
    proposal = alone.propose()
    assert approve_own(alone, proposal).state == "APPROVED"
    vote, authority = Vote.objects.get(), Authority.objects.get()
    assert (vote.approver, vote.proposer, vote.desk_of_one) == (alone.trader, alone.trader, True)
    assert authority.approvers == [str(alone.trader.pk)]
    said = {event.kind: facts_of(event)["payload"] for event in Event.objects.filter(subject=str(proposal.pk))}
    assert said["vote.approve"]["desk_of_one"] == said["proposal.approved"]["reason"] == IN_WORDS
    assert (alone.execute(proposal), len(sent(alone))) == ("ACCEPTED", 1)


def test_another_persons_vote_says_nothing_of_it(paper: PaperDesk) -> None:
    proposal = paper.propose()
    paper.approve(proposal)
    events = Event.objects.filter(subject=str(proposal.pk))
    assert all("desk_of_one" not in str(facts_of(event)) and IN_WORDS not in str(facts_of(event)) for event in events)
    assert not Vote.objects.get().desk_of_one


WHY_NOT = ("switched off", "production", "a second person", "by hand", "another desk's", "without the role")


@pytest.mark.parametrize("why", WHY_NOT)
def test_everything_else_is_refused(alone: PaperDesk, settings: Any, why: str) -> None:
    by_hand = Principal(user_id=alone.trader.pk, api_key_id=None, name="Trader")
    proposal = alone.propose(principal=by_hand if why == "by hand" else None)
    if why == "switched off":
        settings.POLICY_DESK_OF_ONE = False
    elif why == "production":
        settings.ENVIRONMENT = "production"
    elif why == "a second person":
        alone.desk.members.add(alone.risk)
    elif why == "another desk's":
        alone.desk.members.set([alone.risk])
    elif why == "without the role":
        alone.trader.groups.remove(Group.objects.get(name="approver"))
    with pytest.raises(Exception, match="OWN_PROPOSAL|PROPOSAL_UNKNOWN|MAY_NOT_DECIDE"):
        approve_own(alone, proposal)
    assert not Order.objects.exists()


def test_who_left_is_no_second_person(alone: PaperDesk) -> None:
    alone.desk.members.add(alone.risk)
    alone.risk.is_active = False
    alone.risk.save()
    assert approve_own(alone, alone.propose()).order_id


def test_they_may_decline_too(alone: PaperDesk, settings: Any) -> None:
    proposal = alone.propose()

    def decline() -> Any:
        return decide.decline(
            proposal_id=proposal.pk, approver=alone.trader, digest=proposal.digest, comment="No.", now=timezone.now()
        )

    settings.POLICY_DESK_OF_ONE = False
    with pytest.raises(Forbidden, match="OWN_PROPOSAL"):
        decline()
    settings.POLICY_DESK_OF_ONE = True
    assert decline().state == "DECLINED"


@pytest.mark.parametrize("lost", ["the switch", "the solitude"])
def test_the_claim_asks_again(alone: PaperDesk, settings: Any, lost: str) -> None:
    proposal = alone.propose()
    approve_own(alone, proposal)
    if lost == "the switch":
        settings.POLICY_DESK_OF_ONE = False
    else:
        alone.desk.members.add(alone.risk)
    assert alone.execute(proposal) == "CANCELED"
    proposal.refresh_from_db()
    assert (proposal.state, proposal.end_code, sent(alone)) == ("VOIDED", "APPROVER_GONE", [])


class TestDatabase:
    """What raw SQL can write: an own approval only as that of a desk of one, of what a key asked, and on paper."""

    def insert(self, desk: PaperDesk, proposal: Proposal, *, environment: str, alone: bool) -> None:
        native = connection.vendor == "postgresql"

        def key(value: Any) -> Any:
            return value if native else value.hex

        row = {
            "id": key(uuid4()),
            "proposal_id": key(proposal.pk),
            "approver_id": key(desk.trader.pk),
            "proposer_id": key(desk.trader.pk),
            "environment": environment,
            "desk_of_one": alone,
            "verb": "APPROVE",
            "digest": proposal.digest,
            "policy_version_id": key(desk.version.pk),
            "quote": "{}",
            "comment": "",
            "difference": "",
            "second_factor": "",
            "created_at": timezone.now() if native else "2026-03-02 14:46:00",
        }
        names, places = ", ".join(row), ", ".join(["%s"] * len(row))
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO approvals_vote ({names}) VALUES ({places})", list(row.values()))  # noqa: S608  a test's own names

    def test_on_paper_it_must_say_what_it_is(self, alone: PaperDesk) -> None:
        proposal = alone.propose()
        with pytest.raises(IntegrityError, match="vote_approver_is_not_proposer"):
            self.insert(alone, proposal, environment="paper", alone=False)
        self.insert(alone, proposal, environment="paper", alone=True)

    def test_what_was_asked_by_hand_is_refused(self, alone: PaperDesk) -> None:
        by_hand = Principal(user_id=alone.trader.pk, api_key_id=None, name="Trader")
        with pytest.raises(IntegrityError, match="guard own_key"):
            self.insert(alone, alone.propose(principal=by_hand), environment="paper", alone=True)

    def test_on_a_live_connection_it_is_refused(self, alone: PaperDesk) -> None:
        proposal = alone.propose()
        with guards_lifted("connectors_connection"):
            alone.connection.environment, alone.connection.verified_at = "live", timezone.now()
            alone.connection.save(update_fields=["environment", "verified_at"])
        with pytest.raises(IntegrityError, match="guard true_copies"):
            self.insert(alone, proposal, environment="paper", alone=True)
        for lifted in ((), ("approvals_vote",)):
            with guards_lifted(*lifted), pytest.raises(IntegrityError, match="vote_approver_is_not_proposer"):
                self.insert(alone, proposal, environment="live", alone=True)
        assert not Vote.objects.exists()

    def test_what_the_service_would_refuse_does_not_count(self, alone: PaperDesk) -> None:
        """Written by hand at a desk of two: the count leaves it out."""
        proposal = alone.propose()
        self.insert(alone, proposal, environment="paper", alone=True)
        alone.desk.members.add(alone.risk)
        result = alone.approve(proposal, by=alone.risk)
        assert (result.approvals, Authority.objects.get().approvers) == (1, [str(alone.risk.pk)])


class TestWords:
    def test_every_page_says_it_while_it_is_on(self, alone: PaperDesk, client: Client, settings: Any) -> None:
        proposal = alone.propose()
        client.force_login(alone.trader)
        pages = [reverse(name) for name in ("admin:index", "admin:watch", "admin:look_back", "admin:trading_state")]
        pages += [reverse("decide:page", args=[proposal.pk]), reverse("admin:trades_proposal_changelist")]
        for page in pages:
            assert BAR in client.get(page).content.decode(), page
        settings.POLICY_DESK_OF_ONE = False
        for page in pages:
            assert BAR not in client.get(page).content.decode(), page

    def test_the_page_offers_the_vote_and_says_whose_it_is(self, alone: PaperDesk, client: Client) -> None:
        proposal = alone.propose()
        client.force_login(alone.trader)
        page = reverse("decide:page", args=[proposal.pk])
        said = client.get(page).content.decode()
        assert "Your own key asked for this, and you are a desk of one." in said
        assert 'id="approve"' in said
        assert "Your own key asked: a desk of one" in client.get(reverse("admin:index")).content.decode()
        approve_own(alone, proposal)
        for name in ("decide:page", "decide:story"):
            assert ", alone: a desk of one" in client.get(reverse(name, args=[proposal.pk])).content.decode()

    def test_the_api_lists_it_as_decidable(self, alone: PaperDesk, client: Client, settings: Any) -> None:
        proposal = alone.propose()
        client.force_login(alone.trader)

        def offered() -> tuple[list[str], bool]:
            items = client.get("/api/v1/approvals").json()["items"]
            return [item["id"] for item in items], client.get(f"/api/v1/approvals/{proposal.pk}").json()["may_vote"]

        assert offered() == ([str(proposal.pk)], True)
        settings.POLICY_DESK_OF_ONE = False
        assert offered() == ([], False)
