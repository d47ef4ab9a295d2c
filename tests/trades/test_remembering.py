"""Every closed trade becomes a case, in the transaction that books it; a memory that fails loses no fill."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from apps.audit.models import Alarm
from apps.connectors.selectors import market_of
from apps.connectors.types import Candle, Side
from apps.lessons.models import Case, Lesson
from apps.lessons.services import cases
from apps.lessons.types import CaseVerdict, Result
from apps.quotes.rules.candles import Source
from apps.quotes.services.candles import keep_candles
from apps.trades.models import Fill, Outcome, ProposalFacts
from apps.trades.services import proposals, remembering
from apps.trades.tasks import remember_outcomes
from apps.trades.types import Narrative
from tests.factories.desk import PaperDesk
from tests.factories.tampering import tamper
from tests.trades.test_fills_corrections import correct, free, trade

__all__ = ["free"]

pytestmark = pytest.mark.django_db

BUY, SELL = Side.BUY, Side.SELL


def case_of(outcome: Outcome) -> Case:
    return Case.objects.get(source="OUTCOME", source_id=str(outcome.pk))


def test_a_loss_is_a_case_with_a_lesson_and_a_win_is_a_case_without(free: PaperDesk) -> None:
    entry = trade(free, BUY, "0.02", "64000")
    win, loss = trade(free, SELL, "0.01", "66000"), trade(free, SELL, "0.01", "60000")
    won, lost = (Outcome.objects.get(order__proposal=sale) for sale in (win, loss))

    case = case_of(won)
    assert (case.result, case.pnl, case.side, case.product) == (Result.WON, won.pnl, "BUY", "BTC-USD")
    assert not Lesson.objects.filter(case=case).exists()

    case = case_of(lost)
    assert (case.result, case.pnl, case.desk_id) == (Result.LOST, lost.pnl, free.desk.pk)
    assert (case.proposal_id, case.proposer_id) == (entry.pk, free.trader.pk)
    assert case.approver_ids == [str(free.approver.pk)]
    assert case.thesis == entry.rationale
    assert case.pnl is not None and case.entry_price is not None
    assert case.pnl_pct == round(100 * case.pnl / (case.entry_price * case.quantity), 8)
    assert Lesson.objects.get(case=case).severity > 0
    assert {outcome.remembered_at is None for outcome in Outcome.objects.all()} == {False}


def test_what_was_known_at_the_proposal_is_what_the_case_says(free: PaperDesk) -> None:
    entry = trade(free, BUY, "0.01", "64000")
    frozen = ProposalFacts.objects.get(proposal=entry)
    sale = trade(free, SELL, "0.01", "60000")
    case = case_of(Outcome.objects.get(order__proposal=sale))
    then = {fact["name"]: fact for fact in frozen.facts}
    assert then["adds_to_loser"]["value"] == "0"
    assert then["chase"]["value"] is None  # no candles are kept here
    now = {fact["name"]: fact for fact in case.facts}
    assert {name: now[name] for name in then} == then
    assert now["minutes_held"]["value"] is not None


def test_adding_to_a_loser_is_seen_when_it_is_proposed_and_counts_when_it_has_lost(free: PaperDesk) -> None:
    trade(free, BUY, "0.01", "64000")
    second = trade(free, BUY, "0.01", "60000")
    known = {fact["name"]: fact for fact in ProposalFacts.objects.get(proposal=second).facts}
    assert known["adds_to_loser"]["violated"] is True

    sale = trade(free, SELL, "0.02", "58000")
    case = case_of(Outcome.objects.get(order__proposal=sale))
    assert case.verdict == CaseVerdict.PROCESS_ERROR
    tags = {tag.tag: (tag.source, tag.counts) for tag in case.tags.all()}
    assert tags["averaged_down"] == ("RULE", True)
    assert "adds_to_loser" in {row.fact for row in case.violations.all()}


def test_a_plan_gives_multiples_of_its_risk(free: PaperDesk) -> None:
    now = timezone.now()
    proposal = proposals.propose(
        intent=free.intent(),
        narrative=Narrative(rationale="Trend.", setup="pullback", stop=Decimal(60000), target=Decimal(70000)),
        principal=free.principal,
        idempotency_key="plan",
        now=now,
    )
    free.approve(proposal)
    free.execute(proposal)
    free.poll(proposal)
    sale = trade(free, SELL, "0.01", "62000")
    outcome = Outcome.objects.get(order__proposal=sale)
    case = case_of(outcome)
    assert outcome.pnl is not None and outcome.entry_price is not None
    assert case.planned_risk == (outcome.entry_price - 60000) * Decimal("0.01")
    assert case.planned_risk is not None
    assert case.r_multiple == round(outcome.pnl / case.planned_risk, 8)
    assert (case.setup, case.planned_stop, case.planned_target) == ("pullback", 60000, 70000)


def test_a_corrected_outcome_corrects_its_case(free: PaperDesk) -> None:
    trade(free, BUY, "0.01", "64000")
    sale = trade(free, SELL, "0.01", "60000")
    outcome = Outcome.objects.get(order__proposal=sale)
    case = case_of(outcome)
    assert case.result == Result.LOST

    correct(free, sale)

    outcome.refresh_from_db()
    case.refresh_from_db()
    assert (case.pnl, case.quantity, case.closed_at) == (outcome.pnl, outcome.quantity, outcome.closed_at)
    assert Case.objects.count() == Outcome.objects.count()


def test_a_memory_that_fails_loses_no_fill_and_the_sweep_makes_up_for_it(
    free: PaperDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    trade(free, BUY, "0.01", "64000")
    real = cases.remember

    def broken(**given: object) -> None:
        real(**given)  # type: ignore[arg-type]
        raise ValueError("The memory is broken.")

    with monkeypatch.context() as patch:
        patch.setattr(cases, "remember", broken)
        sale = trade(free, SELL, "0.01", "60000")
        outcome = Outcome.objects.get(order__proposal=sale)
        assert Fill.objects.filter(order__proposal=sale).exists()
        assert (Case.objects.count(), outcome.remembered_at) == (0, None)
        assert Alarm.objects.get(code=remembering.ALARM).cleared_at is None
        assert remembering.sweep(now=timezone.now()) == 0

    assert remember_outcomes() == 1
    assert case_of(outcome).pnl == outcome.pnl
    assert Alarm.objects.get(code=remembering.ALARM).cleared_at is not None
    assert remember_outcomes() == 0


def test_candles_that_are_kept_make_facts_of_a_proposal_and_excursions_of_its_outcome(free: PaperDesk) -> None:
    now = timezone.now()
    hour = now.replace(minute=0, second=0, microsecond=0)
    minutes = [
        Candle(hour - timedelta(minutes=n), *[Decimal(64_000 - n)] * 4, Decimal(1)) for n in range(60 * 80, 0, -1)
    ]
    keep_candles(market_of(free.connection), {"BTC-USD": minutes}, source=Source.VENUE)
    entry = trade(free, BUY, "0.01", "64000")
    known = {fact["name"]: fact for fact in ProposalFacts.objects.get(proposal=entry).facts}
    assert Decimal(known["with_trend"]["value"]) > 0
    assert known["chase"]["value"] is not None
    assert ProposalFacts.objects.get(proposal=entry).regime

    sale = trade(free, SELL, "0.01", "63000")
    outcome = Outcome.objects.get(order__proposal=sale)
    tamper(outcome, opened_at=hour - timedelta(hours=3), closed_at=hour - timedelta(hours=1))
    tamper(entry_fill := Fill.objects.get(order__proposal=entry), occurred_at=hour - timedelta(hours=3))
    assert entry_fill.price
    frozen = ProposalFacts.objects.get(proposal=entry)
    tamper(frozen, stop=Decimal(60_000))
    remembering.hand_over(outcome_ids=[outcome.pk], now=now)
    case = case_of(outcome)
    outcome.refresh_from_db()
    assert outcome.entry_price is not None
    risk = outcome.entry_price - 60_000
    # The best and the worst of the minutes in between, and the exit itself.
    assert case.mfe_r == round(max(64_000 - 61 - outcome.entry_price, Decimal(0)) / risk, 8)
    assert case.mae_r == round((outcome.entry_price - min(Decimal(64_000 - 180), outcome.exit_price)) / risk, 8)
