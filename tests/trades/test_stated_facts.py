"""What Aika does not read, a proposer may state: it counts both ways, is marked as theirs, and is never a way out."""

from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from apps.audit.models import Event
from apps.audit.selectors import facts_of
from apps.common.errors import Invalid
from apps.connectors.types import Side
from apps.lessons.models import Case
from apps.lessons.rules.detectors import DETECTORS
from apps.lessons.types import CaseSource, CaseVerdict, Fact, Plan
from apps.trades.models import Outcome, Proposal, ProposalFacts
from apps.trades.services import approval, lesson_facts, proposals
from apps.trades.types import Narrative
from tests.approvals.test_pages import enter
from tests.factories.desk import PaperDesk
from tests.factories.similar import CHASED, lost, proposed
from tests.factories.trading import change_policy, replayed, rules_with
from tests.trades.test_fills_corrections import free, trade
from tests.trades.test_similar_losses import KEY, evidence_of, line_of

__all__ = ["free"]

pytestmark = pytest.mark.django_db

NOT_READ = tuple(one.name for one in DETECTORS if one.given)
EVENT = Fact(name="minutes_to_event", value=Decimal(30), unit="min", limit=Decimal(120), violated=True, told=True)
FINE, BROKEN = {"minutes_to_event": "600"}, {"minutes_to_event": "30"}


def lost_before_events(paper: PaperDesk, number: int = 3) -> list[Case]:
    """Trades made elsewhere that broke a rule of theirs and lost, as a program reported them."""
    made = lost(paper, number, facts=(EVENT,), source=CaseSource.REPORTED)
    assert {case.verdict for case in made} == {CaseVerdict.PROCESS_ERROR}
    return made


def kept(proposal: Proposal) -> dict[str, dict[str, Any]]:
    return {fact["name"]: fact for fact in ProposalFacts.objects.get(proposal=proposal).facts}


def unknown_of(proposal: Proposal) -> set[str]:
    return set(evidence_of(proposal.decision)["unknown"].split(" ")[1:])


def test_nothing_stated_is_unknown_and_three_reports_ask_for_one_more_of_every_entry(paper: PaperDesk) -> None:
    lost_before_events(paper)
    proposal = proposed(paper)
    assert proposal.needed == 2
    assert set(NOT_READ) <= unknown_of(proposal)
    assert "If minutes to event, which is not known, is as bad" in line_of(proposal.decision)["message"]
    assert {kept(proposal)[name]["value"] for name in NOT_READ} == {None}


def test_what_is_stated_and_fine_keeps_the_rule_quiet(paper: PaperDesk) -> None:
    lost_before_events(paper)
    proposal = proposed(paper, told=FINE)
    assert proposal.needed == 1
    assert unknown_of(proposal) & set(NOT_READ) == set(NOT_READ) - {"minutes_to_event"}
    fact = kept(proposal)["minutes_to_event"]
    assert (fact["value"], fact["violated"], fact["told"]) == ("600", False, True)
    assert replayed() == 1


def test_what_is_stated_and_broken_fires(paper: PaperDesk) -> None:
    cases = lost_before_events(paper)
    proposal = proposed(paper, told=BROKEN)
    assert proposal.needed == 2
    found = evidence_of(proposal.decision)
    assert (found["looks"], found["now.losses"]) == ("1 now", "3")
    assert set(found["now.cases"].split(" ")[1:]) == {str(case.pk) for case in cases}
    assert "held_event" in found["tags"].split(" ")
    assert "minutes_to_event" in found["violated"].split(" ")


def test_the_mutant_that_does_not_look_at_what_is_stated(paper: PaperDesk, monkeypatch: Any) -> None:
    lost_before_events(paper)
    monkeypatch.setattr(lesson_facts, "plan_of", lambda said: Plan(thesis=said.rationale, target=said.target))
    assert proposed(paper, told=FINE).needed == 2


def test_another_one_that_is_not_stated_stays_unknown_and_fires(paper: PaperDesk) -> None:
    lost_before_events(paper)
    assert proposed(paper, told={"oos_sharpe": "2", "days_to_expiry": "90"}).needed == 2


def test_it_is_what_it_is_held_against_at_every_gate(paper: PaperDesk) -> None:
    proposal = proposed(paper, told=FINE)
    lost_before_events(paper)
    later = approval.judge_again(proposal, now=timezone.now())
    assert later.tier is not None
    assert later.tier.needed == 1
    assert "minutes_to_event" not in str(later.facts[KEY].values["unknown"]).split(" ")
    silent = proposed(paper, quantity=Decimal("0.009"))
    assert approval.judge_again(silent, now=timezone.now()).tier.needed == 2  # type: ignore[union-attr]


def test_where_policy_waives_it_is_judged_by_the_same_under_the_lock(paper: PaperDesk, settings: Any) -> None:
    settings.POLICY_REQUIRE_APPROVAL = False
    change_policy(paper, rules_with(approvals={"tiers": [{"needed": "0", "roles": ["approver", "risk"]}]}))
    lost_before_events(paper)
    assert proposed(paper, told=FINE).state == "APPROVED"
    silent = proposed(paper, quantity=Decimal("0.009"))
    assert (silent.state, silent.needed) == ("AWAITING_APPROVAL", 1)


@pytest.mark.parametrize(
    ("facts", "code", "field"),
    [
        ({"has_planned_stop": "1"}, "FACT_DIFFERS", "facts.has_planned_stop"),
        ({"size_of_limit": "5"}, "FACT_DIFFERS", "facts.size_of_limit"),
        ({"bar_closed": "0.5"}, "FACT_OUT_OF_RANGE", "facts.bar_closed"),
    ],
)
def test_what_is_measured_is_not_stated_otherwise(
    paper: PaperDesk, facts: dict[str, str], code: str, field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        proposed(paper, told=facts)
    assert (refused.value.code, refused.value.field) == (code, field)
    assert not Proposal.objects.exists()
    assert not Event.objects.filter(kind__startswith="proposal.").exists()
    agreeing = proposed(paper, told={"has_planned_stop": "0"})
    assert kept(agreeing)["has_planned_stop"] == kept(proposed(paper, quantity=Decimal("0.009")))["has_planned_stop"]


def test_a_measure_that_is_missing_is_no_way_out(paper: PaperDesk) -> None:
    """No candles are kept here. Stated as fine it stays unknown; stated as broken it is."""
    lost(paper, facts=(CHASED,))
    fine = proposed(paper, told={"chase": "0"})
    assert fine.needed == 2
    assert "chase" in unknown_of(fine)
    assert (kept(fine)["chase"]["value"], "told" in kept(fine)["chase"]) == (None, False)
    broken = proposed(paper, told={"chase": "1.2"}, quantity=Decimal("0.009"))
    assert (broken.needed, evidence_of(broken.decision)["now.losses"]) == (2, "3")
    assert (kept(broken)["chase"]["value"], kept(broken)["chase"]["told"]) == ("1.2", True)


def test_what_was_said_stands_in_the_audit_log_whatever_of_it_counts(paper: PaperDesk) -> None:
    said = {"chase": "0", "minutes_to_event": "600"}
    first, second = proposed(paper, told=said), proposed(paper, quantity=Decimal("0.009"))
    told: list[Any] = [facts_of(Event.objects.get(subject=str(one.pk)))["payload"] for one in (first, second)]
    assert told[0]["told"] == said
    assert "told" not in told[1]


def test_the_case_of_its_trade_says_what_was_stated(free: PaperDesk) -> None:
    proposal = proposals.propose(
        intent=free.intent(),
        narrative=Narrative(rationale="Trend.", facts={"minutes_to_event": Decimal(30), "oos_sharpe": Decimal(1)}),
        principal=free.principal,
        idempotency_key="stated",
        now=timezone.now(),
    )
    free.approve(proposal)
    free.execute(proposal)
    free.poll(proposal)
    sale = trade(free, Side.SELL, "0.01", "60000")
    case = Case.objects.get(source_id=str(Outcome.objects.get(order__proposal=sale).pk))
    facts = {fact["name"]: fact for fact in case.facts}
    assert (facts["minutes_to_event"]["violated"], facts["minutes_to_event"]["told"]) == (True, True)
    assert {fact["name"] for fact in case.facts if fact.get("told")} == {"minutes_to_event", "oos_sharpe"}
    assert case.tags.get(tag="held_event").counts
    assert case.verdict == CaseVerdict.PROCESS_ERROR


def test_the_console_says_that_it_is_the_proposers_own_word(paper: PaperDesk) -> None:
    proposal = proposed(paper, told=BROKEN | {"oos_sharpe": "1"})
    client = enter(paper.approver)
    page = client.get(f"/admin/trades/proposalfacts/{proposal.pk}/change/").content.decode()
    assert "30 min, limit 120 - broken, as the proposer states" in page
    assert "oos_sharpe: 1 x, limit 0.5, as the proposer states" in page
    assert page.count("as the proposer states") == 2
