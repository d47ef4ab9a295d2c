"""A person decides through the API: shown, sent back, compared; and followed to the fill."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from apps.accounts.models import User
from apps.policies.services import trading_state
from apps.trades.models import Proposal
from tests.api.conftest import Caller
from tests.factories.accounts import UserFactory
from tests.factories.desk import PaperDesk

pytestmark = pytest.mark.django_db

Make = Callable[..., dict[str, Any]]
SignIn = Callable[[User], Caller]


def test_a_person_sees_what_waits_for_them_and_approves_it(
    bot: Caller, body: Make, paper: PaperDesk, signed_in: SignIn
) -> None:
    _, proposal = bot.propose(body())
    mara = signed_in(paper.approver)
    status, queue = mara.get("/approvals")
    assert status == 200
    assert [item["id"] for item in queue["items"]] == [proposal["id"]]
    assert (queue["items"][0]["approvals"], queue["items"][0]["needed"]) == (0, 1)

    status, ballot = mara.get(f"/approvals/{proposal['id']}")
    assert (status, ballot["may_vote"], ballot["now"]["outcome"]) == (200, True, "NEEDS_APPROVAL"), ballot
    assert ballot["vote"]["digest"] == proposal["digest"]

    status, said = mara.post(f"/approvals/{proposal['id']}/approve", ballot["vote"] | {"comment": "Fine."})
    assert (status, said["state"], said["approvals"], said["needed"]) == (200, "APPROVED", 1, 1), said
    assert mara.get("/approvals")[1]["items"] == []

    row = Proposal.objects.get(pk=proposal["id"])
    paper.execute(row)
    paper.poll(row)
    status, story = bot.get(f"/trades/proposals/{proposal['id']}")
    assert (status, story["state"], story["order"]["state"]) == (200, "APPROVED", "FILLED")
    assert story["order"]["id"] == said["order_id"]
    assert story["order"]["filled_quantity"] == "0.01"
    assert [fill["side"] for fill in story["fills"]] == ["BUY"] * len(story["fills"]) != []
    assert [(vote["verb"], vote["approver"]) for vote in story["votes"]] == [("APPROVE", paper.approver.shown_name)]
    (position,) = bot.get("/positions")[1]["items"]
    assert (position["instrument"], position["quantity"]) == ("BTC-USD", "0.01")
    assert position["mark"]["age_ms"] >= 0


def test_a_second_vote_of_one_person_is_not_counted(
    bot: Caller, body: Make, paper: PaperDesk, signed_in: SignIn
) -> None:
    _, proposal = bot.propose(body(quantity="0.05"))
    assert proposal["decision"]["tier"]["needed"] == 2, proposal["decision"]["codes"]
    path = f"/approvals/{proposal['id']}"
    mara, ravi = signed_in(paper.approver), signed_in(paper.approver2)
    first = mara.post(f"{path}/approve", mara.get(path)[1]["vote"])
    assert (first[0], first[1]["state"], first[1]["approvals"]) == (200, "AWAITING_APPROVAL", 1)
    assert mara.get("/approvals")[1]["items"] == []
    assert mara.get(path)[1]["may_vote"] is False

    status, said = mara.post(f"{path}/approve", mara.get(path)[1]["vote"])
    assert (status, said["code"]) == (409, "ALREADY_VOTED")
    status, said = ravi.post(f"{path}/approve", ravi.get(path)[1]["vote"])
    assert (status, said["state"], said["approvals"]) == (200, "APPROVED", 2)


def test_a_vote_that_does_not_carry_what_was_shown_is_refused(
    bot: Caller, body: Make, paper: PaperDesk, signed_in: SignIn
) -> None:
    _, proposal = bot.propose(body())
    path, mara = f"/approvals/{proposal['id']}", signed_in(paper.approver)
    vote = mara.get(path)[1]["vote"]
    _, other = bot.propose(body(quantity="0.02"))
    foreign = mara.get(f"/approvals/{other['id']}")[1]["vote"]["signed_quote"]
    wrong = {
        "DIGEST_CHANGED": {"digest": "0" * 64},
        "QUOTE_NOT_SIGNED": {"signed_quote": foreign},
        "POLICY_CHANGED": {"policy_version": str(uuid4())},
        "TIER_CHANGED": {"tier": "0:"},
    }
    for code, change in wrong.items():
        status, said = mara.post(f"{path}/approve", vote | change)
        assert (status, said["code"]) == (409, code)
    status, said = mara.post(f"{path}/approve", {"digest": proposal["digest"]})
    assert (status, {error["code"] for error in said["errors"]}) == (400, {"FIELD_MISSING"})
    assert Proposal.objects.get(pk=proposal["id"]).state == "AWAITING_APPROVAL"
    assert mara.post(f"{path}/approve", mara.get(path)[1]["vote"])[0] == 200


def test_policy_that_says_no_by_then_refuses_the_vote(
    bot: Caller, body: Make, paper: PaperDesk, signed_in: SignIn, now: Any
) -> None:
    _, proposal = bot.propose(body())
    path, mara = f"/approvals/{proposal['id']}", signed_in(paper.approver)
    vote = mara.get(path)[1]["vote"]
    trading_state.halt(connection_id=paper.connection.pk, actor=paper.principal.actor(), reason="Stop.", now=now)

    status, said = mara.post(f"{path}/approve", vote)
    assert (status, said["code"]) == (422, "TRADING_HALTED"), said
    status, ballot = mara.get(path)
    assert (status, ballot["now"]["outcome"], ballot["vote"]) == (200, "DENY", None)


def test_declining_needs_a_sentence_and_ends_it(bot: Caller, body: Make, paper: PaperDesk, signed_in: SignIn) -> None:
    _, proposal = bot.propose(body())
    path, mara = f"/approvals/{proposal['id']}/decline", signed_in(paper.approver)
    status, said = mara.post(path, {"digest": proposal["digest"], "comment": "  "})
    assert (status, said["code"], said["field"]) == (400, "TEXT_EMPTY", "comment")
    status, said = mara.post(path, {"digest": proposal["digest"], "comment": "Too late in the day."})
    assert (status, said["state"]) == (200, "DECLINED")
    status, said = mara.post(path, {"digest": proposal["digest"], "comment": "Too late in the day."})
    assert (status, said["code"]) == (409, "PROPOSAL_NOT_WAITING")
    story = bot.get(f"/trades/proposals/{proposal['id']}")[1]
    assert (story["end_reason"], story["votes"][0]["verb"]) == ("Too late in the day.", "DECLINE")


def test_only_people_of_the_role_and_never_the_proposer_decide(
    bot: Caller, body: Make, paper: PaperDesk, signed_in: SignIn
) -> None:
    _, proposal = bot.propose(body())
    path = f"/approvals/{proposal['id']}"
    mara, tara = signed_in(paper.approver), signed_in(paper.trader)
    vote = mara.get(path)[1]["vote"]
    status, said = tara.post(f"{path}/approve", vote)
    assert (status, said["code"]) == (403, "MAY_NOT_DECIDE")
    assert tara.get("/approvals")[1]["items"] == []

    both = UserFactory(username="both", role="approver", desk=paper.desk)
    Proposal.objects.filter(pk=proposal["id"])
    both.groups.add(paper.trader.groups.get())
    ask_and_decide = signed_in(both)
    status, own = ask_and_decide.propose(body(quantity="0.02"))
    assert status == 201
    assert own["id"] not in {item["id"] for item in ask_and_decide.get("/approvals")[1]["items"]}
    status, said = ask_and_decide.post(f"/approvals/{own['id']}/approve", vote | {"digest": own["digest"]})
    assert (status, said["code"]) == (403, "OWN_PROPOSAL")

    assert mara.post(f"{path}/approve", mara.get(path)[1]["vote"])[0] == 200


def test_an_approver_of_another_desk_cannot_decide(
    bot: Caller, body: Make, paper: PaperDesk, signed_in: SignIn
) -> None:
    _, proposal = bot.propose(body())
    path, mara = f"/approvals/{proposal['id']}", signed_in(paper.approver)
    vote = mara.get(path)[1]["vote"]
    elsewhere = signed_in(UserFactory(username="elsewhere", role="approver"))
    assert elsewhere.get("/approvals")[1]["items"] == []
    for verb, sent in (("approve", vote), ("decline", {"digest": vote["digest"], "comment": "No."})):
        status, said = elsewhere.post(f"{path}/{verb}", sent)
        assert (status, said["code"]) == (404, "PROPOSAL_UNKNOWN"), verb
    assert Proposal.objects.get(pk=proposal["id"]).state == "AWAITING_APPROVAL"
