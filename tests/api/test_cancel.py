"""Asking for an order to be canceled over the API: who may, what is said, and that repeating changes nothing."""

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from apps.accounts.models import User
from apps.trades.models import Proposal
from apps.trades.types import OrderState
from tests.api.conftest import Caller, with_header
from tests.factories.accounts import UserFactory, issue_key
from tests.factories.desk import PaperDesk
from tests.factories.trading import rest

pytestmark = pytest.mark.django_db


@pytest.fixture
def resting(paper: PaperDesk) -> Proposal:
    return rest(paper)


def path(paper: PaperDesk, proposal: Proposal) -> str:
    return f"/trades/orders/{paper.order_of(proposal).pk}/cancel"


def test_asked_followed_and_done(paper: PaperDesk, resting: Proposal, bot: Caller) -> None:
    status, said = bot.post(path(paper, resting), {"reason": "The signal is gone."})
    assert (status, said["answer"], said["order"]["state"]) == (202, "REQUESTED", "CANCEL_REQUESTED")
    again, same = bot.post(path(paper, resting))
    assert (again, same["order"]["cancel_requested_at"]) == (202, said["order"]["cancel_requested_at"])
    paper.cancel(resting)
    status, said = bot.post(path(paper, resting))
    assert (status, said["answer"], said["order"]["state"]) == (200, "ALREADY_CANCELED", "CANCELED")
    _, shown = bot.get(f"/trades/proposals/{resting.pk}")
    assert shown["order"]["links"]["cancel"].endswith(path(paper, resting))


def test_a_filled_order_has_ended(paper: PaperDesk, bot: Caller) -> None:
    proposal = paper.propose()
    paper.approve(proposal)
    paper.execute(proposal)
    paper.poll(proposal)
    status, problem = bot.post(path(paper, proposal))
    assert (status, problem["code"], problem["details"]["state"]) == (409, "ORDER_ENDED", "FILLED")


def test_before_it_left(paper: PaperDesk, bot: Caller) -> None:
    proposal = paper.propose()
    paper.approve(proposal)
    status, said = bot.post(path(paper, proposal))
    assert (status, said["answer"], said["order"]["state"]) == (200, "NEVER_SENT", "CANCELED")


def test_people(paper: PaperDesk, resting: Proposal, signed_in: Callable[[User], Caller]) -> None:
    auditor, stranger = UserFactory(role="auditor", desk=paper.desk), UserFactory(role="approver")
    colleague = UserFactory(role="trader", desk=paper.desk)
    where = path(paper, resting)
    refusals: list[tuple[int, Any]] = [signed_in(who).post(where) for who in (auditor, colleague, stranger)]
    assert [(status, said["code"]) for status, said in refusals] == [
        (403, "MAY_NOT_CANCEL"),
        (403, "MAY_NOT_CANCEL"),
        (404, "ORDER_UNKNOWN"),
    ]
    assert paper.order_of(resting).state == OrderState.ACCEPTED
    assert signed_in(paper.approver).post(where)[0] == 202


def test_keys(paper: PaperDesk, resting: Proposal) -> None:
    _, reader = issue_key(owner=paper.trader, now=timezone.now(), scopes=("read",))
    status, problem = with_header(reader).post(path(paper, resting))
    assert (status, problem["code"]) == (403, "SCOPE_MISSING")
    _, other = issue_key(owner=paper.approver, now=timezone.now(), scopes=("read",))
    assert with_header(other).post(path(paper, resting))[0] == 403
    assert with_header("Bearer nobody").post(path(paper, resting))[0] == 401


def test_a_withdrawal_after_the_claim_says_what_it_is(paper: PaperDesk, resting: Proposal, bot: Caller) -> None:
    status, said = bot.post(f"/trades/proposals/{resting.pk}/withdraw", {"reason": "No."}, Idempotency_Key="w-1")
    assert (status, said["answer"], said["state"]) == (202, "ASKED_TO_CANCEL", "APPROVED")
    assert said["order"]["state"] == "CANCEL_REQUESTED"
    assert bot.post(f"/trades/proposals/{resting.pk}/withdraw", {"reason": "No."}, Idempotency_Key="w-1")[0] == 202
    assert bot.last.headers["Idempotent-Replayed"] == "true"
