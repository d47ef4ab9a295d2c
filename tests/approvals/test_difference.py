"""Where trades like one lost, each approver writes what is different this time, and one more of them is asked."""

from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from apps.accounts.models import User
from apps.approvals.models import Vote
from apps.approvals.services import decide, written
from apps.approvals.types import VoteResult, tier_text
from apps.audit.models import Event
from apps.audit.selectors import facts_of
from apps.common.errors import AikaError, Invalid
from apps.policies.types import Tier
from apps.trades.models import Authority, Order, Proposal
from apps.trades.services import orders
from tests.approvals.test_pages import at, carried, enter
from tests.factories.desk import PaperDesk
from tests.factories.similar import lost, proposed
from tests.factories.trading import TWO_NEEDED, change_policy, replayed, rules_with

pytestmark = pytest.mark.django_db
WHY = "The stop rests at the venue now, below the low of Monday."


@pytest.fixture
def waiting(paper: PaperDesk) -> Proposal:
    """One like three that lost."""
    lost(paper)
    return proposed(paper)


def approve(paper: PaperDesk, proposal: Proposal, *, by: User | None = None, difference: str = WHY) -> VoteResult:
    return decide.approve(
        proposal_id=proposal.pk,
        approver=by or paper.approver,
        seen=paper.seen(proposal),
        comment="",
        now=timezone.now(),
        difference=difference,
    )


def test_what_may_be_written_reaches_to_its_bounds() -> None:
    asked = Tier(1, ("approver",), difference=True)
    for check, allowed, beyond in (
        (written.check_comment, 2_000, 2_001),
        (written.check_difference, 2_000, 2_001),
        (partial(written.check_difference, tier=asked), 20, 19),
    ):
        check("x" * allowed)
        with pytest.raises(Invalid, match="TOO_LONG|REQUIRED"):
            check("x" * beyond)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("", "DIFFERENCE_REQUIRED"),
        (" " * 40, "DIFFERENCE_REQUIRED"),
        ("x" * 19, "DIFFERENCE_REQUIRED"),
        ("x" * 2001, "DIFFERENCE_TOO_LONG"),
        ("x" * 30 + "\x00", "TEXT_WITH_NUL"),
    ],
)
def test_an_approval_without_it_is_refused(paper: PaperDesk, waiting: Proposal, said: str, code: str) -> None:
    with pytest.raises(AikaError) as error:
        approve(paper, waiting, difference=said)
    assert (error.value.code, error.value.field) == (code, "difference")
    assert not Vote.objects.exists()
    assert approve(paper, waiting, difference="x" * 20).approvals == 1


def test_two_people_who_write_it_make_a_quorum(paper: PaperDesk, waiting: Proposal) -> None:
    first = approve(paper, waiting)
    assert (first.state, first.approvals, first.needed) == ("AWAITING_APPROVAL", 1, 2)
    assert not Order.objects.exists()
    second = approve(paper, waiting, by=paper.risk, difference="Half the size, and the trend has turned.")
    assert (second.state, second.approvals) == ("APPROVED", 2)
    assert Authority.objects.get().needed == 2
    assert paper.execute(waiting) == "ACCEPTED"
    assert replayed() == 3


def test_nobody_writes_it_where_nothing_similar_lost(paper: PaperDesk) -> None:
    assert paper.approve(paper.propose()).state == "APPROVED"
    assert Vote.objects.get().difference == ""


def test_one_can_decline_without_it(paper: PaperDesk, waiting: Proposal) -> None:
    decide.decline(
        proposal_id=waiting.pk, approver=paper.approver, digest=waiting.digest, comment="As before.", now=timezone.now()
    )
    assert Proposal.objects.get().state == "DECLINED"


def test_it_is_kept_with_the_vote_and_written_down(paper: PaperDesk, waiting: Proposal) -> None:
    approve(paper, waiting)
    assert Vote.objects.get().difference == WHY
    payload: Any = facts_of(Event.objects.get(kind="vote.approve"))["payload"]
    assert payload["difference"] == WHY


def test_an_approval_of_before_similar_trades_lost_counts_no_more(paper: PaperDesk) -> None:
    change_policy(paper, rules_with(approvals={"tiers": TWO_NEEDED}))
    proposal = proposed(paper)
    assert paper.approve(proposal).needed == 2
    lost(paper)
    result = approve(paper, proposal, by=paper.risk)
    assert (result.approvals, result.needed, result.order_id) == (1, 3, None)


def test_a_page_of_before_is_refused_by_its_tier(paper: PaperDesk) -> None:
    proposal = proposed(paper)
    seen = paper.seen(proposal)
    lost(paper)
    with pytest.raises(AikaError) as error:
        decide.approve(
            proposal_id=proposal.pk, approver=paper.approver, seen=seen, comment="", now=timezone.now(), difference=WHY
        )
    assert error.value.code == "TIER_CHANGED"


def test_what_was_approved_does_not_leave_where_similar_trades_lost_meanwhile(paper: PaperDesk) -> None:
    proposal = proposed(paper)
    paper.approve(proposal)
    lost(paper)
    assert orders.execute(order_id=paper.order_of(proposal).pk, clock=timezone.now) != "ACCEPTED"
    proposal.refresh_from_db()
    assert (proposal.state, proposal.end_code) == ("VOIDED", "TIER_CHANGED")


def test_the_tier_says_it_in_its_text() -> None:
    assert tier_text(Tier(2, ("risk", "approver"), difference=True)) == "2:approver,risk+difference"


def test_the_page_asks_for_it_and_keeps_what_was_written(paper: PaperDesk, waiting: Proposal) -> None:
    client = enter(paper.approver)
    page = client.get(at("page", waiting)).content.decode()
    assert "What is different this time?" in page
    assert "3 of 3 similar trades in 30 days lost, of the others 40 %" in page
    assert "Votes: 0 of 2" in page
    assert "One more asked" in page
    sent = carried(client, waiting) | {"comment": "Looks fine."}
    refused = client.post(at("approve", waiting), sent | {"difference": "Better."})
    assert refused.status_code == 400
    shown = refused.content.decode()
    assert "Write what is different this time, in at least 20 characters." in shown
    assert ">Better.</textarea>" in shown
    assert ">Looks fine.</textarea>" in shown
    client.post(at("approve", waiting), carried(client, waiting) | {"difference": WHY})
    assert Vote.objects.get().difference == WHY
    for name in ("page", "story"):
        assert WHY in client.get(at(name, waiting)).content.decode()


def test_a_page_without_such_trades_has_no_such_field(paper: PaperDesk) -> None:
    proposal = proposed(paper)
    page = enter(paper.approver).get(at("page", proposal)).content.decode()
    assert 'name="difference"' not in page
    assert "Nothing to compare" in page
    assert "No comparable trades (n = 0)" in page
