"""What the memory says of trades like a proposal goes into its decision, stays there, and is asked at each gate."""

import json
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from apps.common import canonical
from apps.lessons.services import reviews
from apps.policies.models import Decision
from apps.trades.models import ProposalFacts
from apps.trades.services import approval
from tests.factories.accounts import DeskFactory
from tests.factories.desk import PaperDesk
from tests.factories.lessons import confirmed
from tests.factories.similar import CHASED, lost, proposed
from tests.factories.tampering import guards_lifted
from tests.factories.trading import change_policy, replayed, rules_with

pytestmark = pytest.mark.django_db
KEY = "SIMILAR_LOSSES:EXECUTION,PROCESS_ERROR:2592000"


def evidence_of(decision: Decision) -> dict[str, str]:
    """The frozen fact."""
    facts = canonical.decode(bytes(decision.inputs))["facts"]
    found: dict[str, str] = facts[KEY]["values"]
    return found


def line_of(decision: Decision) -> dict[str, Any]:
    lines = json.loads(bytes(decision.results))["lines"]
    return next(line for line in lines if line["rule"] == "similar-losses")


def test_nothing_comparable_asks_nobody_more_and_says_so(paper: PaperDesk) -> None:
    lost(paper, desk=DeskFactory())
    proposal = proposed(paper)
    assert (proposal.state, proposal.needed) == ("AWAITING_APPROVAL", 1)
    line = line_of(proposal.decision)
    assert (line["verdict"], line["code"], line["observed"]) == ("PASS", "NO_COMPARABLE_TRADES", "n = 0")
    assert line["message"].startswith("No comparable trades (n = 0). Not known of this order: ")


def test_three_that_lost_ask_for_one_more_person(paper: PaperDesk) -> None:
    cases = lost(paper)
    proposal = proposed(paper)
    assert (proposal.state, proposal.needed) == ("AWAITING_APPROVAL", 2)
    line = line_of(proposal.decision)
    assert (line["verdict"], line["code"], line["observed"], line["limit"]) == (
        "REQUIRE",
        "SIMILAR_LOSSES",
        "0.9744",
        "0.95",
    )
    found = evidence_of(proposal.decision)
    assert (found["now.losses"], found["now.wins"], found["now.base"]) == ("3", "0", "0.4")
    assert set(found["now.cases"].split(" ")[1:]) == {str(case.pk) for case in cases}
    assert "no_stop" in found["tags"].split(" ")
    assert replayed() == 1


def test_where_the_rule_denies_it_is_denied(paper: PaperDesk) -> None:
    change_policy(paper, rules_with(similar_losses={"action": "deny"}))
    assert proposed(paper, quantity=Decimal("0.009")).state == "AWAITING_APPROVAL"
    lost(paper)
    denied = proposed(paper)
    assert (denied.state, denied.end_code) == ("DENIED", "SIMILAR_LOSSES")


def test_one_terrible_loss_is_enough(paper: PaperDesk) -> None:
    lost(paper, 1, pnl=Decimal(-30))
    assert proposed(paper).needed == 2
    assert line_of(Decision.objects.get())["message"].startswith("A trade with the same mistake lost 3 R")


def test_wins_of_the_same_kind_speak_for_it(paper: PaperDesk) -> None:
    lost(paper)
    lost(paper, 4, pnl=Decimal(9))
    assert proposed(paper).needed == 1


def test_a_fact_that_is_not_known_does_not_let_it_out(paper: PaperDesk) -> None:
    """No candles are known at this desk, so nothing can be said of the order but what it says itself."""
    first = proposed(paper, quantity=Decimal("0.009"))
    assert first.needed == 1
    assert "chase" in evidence_of(first.decision)["unknown"].split(" ")
    lost(paper, facts=(CHASED,))
    second = proposed(paper)
    assert second.needed == 2
    found = evidence_of(second.decision)
    assert (found["looks"], found["now.losses"], found["now:chase.losses"]) == ("2 now now:chase", "0", "3")
    assert "If chase, which is not known, is as bad as it was then" in line_of(second.decision)["message"]


def test_what_was_said_when_it_was_proposed_stays(paper: PaperDesk) -> None:
    """A review in between takes the evidence out of the count of now, and out of no decision that rests on it."""
    cases = lost(paper)
    proposal = proposed(paper)
    for case in cases:
        reviews.dispute(lesson_id=case.lesson.pk, reviewer=paper.risk, version=1, note="No.", now=timezone.now())
        confirmed(case.lesson, paper.approver, timezone.now())
    later = approval.judge_again(proposal, now=timezone.now())
    assert later.tier is not None
    assert (later.tier.needed, later.tier.difference) == (2, True)
    values = later.facts[KEY].values
    assert (values["looks"], values["now.losses"], values["asked.losses"]) == ("2 now asked", "0", "3")
    assert proposed(paper, quantity=Decimal("0.009")).needed == 1


def test_what_came_to_light_since_it_was_proposed_counts_too(paper: PaperDesk) -> None:
    proposal = proposed(paper)
    assert proposal.needed == 1
    lost(paper)
    later = approval.judge_again(proposal, now=timezone.now())
    assert later.tier is not None
    assert (later.tier.needed, later.tier.difference) == (2, True)


def test_what_was_known_is_what_it_is_held_against(paper: PaperDesk) -> None:
    """One of before there were such facts is held against all of them, not against none."""
    proposal = proposed(paper)
    lost(paper)
    with guards_lifted("trades_proposalfacts"):
        ProposalFacts.objects.filter(proposal=proposal).delete()
    values = approval.judge_again(proposal, now=timezone.now()).facts[KEY].values
    assert values["violated"] == "0"
    assert {"has_planned_stop", "size_of_limit"} <= set(values["unknown"].split(" "))


def test_nobody_is_waived_where_similar_trades_lost(paper: PaperDesk, settings: Any) -> None:
    settings.POLICY_REQUIRE_APPROVAL = False
    nobody = [{"needed": "0", "roles": ["approver", "risk"]}]
    change_policy(paper, rules_with(approvals={"tiers": nobody}))
    assert proposed(paper, quantity=Decimal("0.009")).state == "APPROVED"
    lost(paper)
    asked = proposed(paper)
    assert (asked.state, asked.needed) == ("AWAITING_APPROVAL", 1)
