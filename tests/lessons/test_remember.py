"""Every closed trade becomes a case, once; a loss teaches; a corrected outcome corrects what is remembered."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.db import transaction

from apps.accounts.models import Desk
from apps.audit.models import Event
from apps.common.errors import Misconfigured
from apps.lessons.models import Case, CaseTag, CaseViolation, IndexEntry, IndexSpace, Lesson
from apps.lessons.services import cases
from apps.lessons.types import (
    CaseVerdict,
    EntryState,
    Fact,
    MistakeTag,
    Result,
    ReviewState,
    SpaceState,
    TagFound,
    TagSource,
)
from tests.factories.accounts import DeskFactory
from tests.factories.lessons import NO_STOP, REVENGE, CaseFactory, closed_trade, remembered

pytestmark = pytest.mark.django_db


def kinds(case: Case) -> list[str]:
    return list(Event.objects.filter(stream=f"case:{case.pk}").order_by("seq").values_list("kind", flat=True))


def test_a_loss_is_remembered_with_its_lesson_tags_and_violations(desk: Desk, now: datetime) -> None:
    trade = closed_trade(desk=desk, tags=(NO_STOP, REVENGE))
    case = remembered(trade, now=now)
    lesson = case.lesson
    assert (case.result, case.verdict, case.counts) == (Result.LOST, CaseVerdict.PROCESS_ERROR, True)
    assert (lesson.state, lesson.severity, lesson.version) == (ReviewState.AUTO, Decimal("0.4233"), 1)
    tags = {row.tag: (row.source, row.counts) for row in case.tags.all()}
    assert tags == {"no_stop": ("RULE", True), "revenge": ("REPORTED", False)}
    assert [row.fact for row in case.violations.all()] == ["stop_distance"]
    assert case.thesis == trade.plan.thesis
    assert kinds(case) == ["case.remembered", "lesson.made"]


@pytest.mark.parametrize(
    ("pnl", "result"), [(Decimal(3), Result.WON), (Decimal(0), Result.FLAT), (None, Result.UNKNOWN)]
)
def test_what_did_not_lose_is_a_case_without_a_lesson(desk: Desk, pnl: Decimal | None, result: Result) -> None:
    case = CaseFactory(desk=desk, pnl=pnl)
    assert case.result == result
    assert not Lesson.objects.exists()
    assert "Cause:" not in case.summary


def test_the_same_outcome_again_changes_nothing(desk: Desk, now: datetime) -> None:
    trade = closed_trade(desk=desk)
    first = remembered(trade, now=now)
    again = remembered(trade, now=now + timedelta(hours=1))
    assert again.pk == first.pk
    assert Case.objects.get().updated_at == now
    assert (Lesson.objects.get().version, CaseTag.objects.count(), CaseViolation.objects.count()) == (1, 1, 1)
    assert kinds(first) == ["case.remembered", "lesson.made"]


def test_another_source_id_is_another_case(desk: Desk) -> None:
    CaseFactory(desk=desk)
    CaseFactory(desk=desk)
    assert Case.objects.count() == Lesson.objects.count() == 2


def test_a_corrected_outcome_corrects_the_case_and_its_texts(desk: Desk, now: datetime) -> None:
    trade = closed_trade(desk=desk)
    before = remembered(trade, now=now)
    worse = replace(trade, exit_price=Decimal(1970), pnl=Decimal(-31), r_multiple=Decimal("-3.1"), tags=(REVENGE,))
    case = remembered(worse, now=now + timedelta(hours=1))
    assert (case.pnl, case.lesson.severity, case.lesson.version) == (Decimal(-31), Decimal(1), 2)
    assert "LOSS -3.10R" in case.summary
    assert "out 1970" in case.summary
    assert [row.tag for row in case.tags.all()] == ["revenge"]
    assert case.pk == before.pk
    assert kinds(case)[2:] == ["case.corrected", "lesson.corrected"]


def test_the_lesson_of_what_turns_out_to_be_a_win_is_kept_and_retired(desk: Desk, now: datetime) -> None:
    trade = closed_trade(desk=desk)
    made = remembered(trade, now=now).lesson
    case = remembered(replace(trade, pnl=Decimal(5), r_multiple=Decimal("0.5")), now=now)
    lesson = Lesson.objects.get()
    assert lesson.pk == made.pk
    assert (lesson.state, lesson.severity, lesson.review_note) == (ReviewState.RETIRED, 0, cases.CORRECTED)
    assert (case.result, case.counts) == (Result.WON, True)
    assert "Cause:" not in case.summary


def test_a_lesson_retired_by_a_correction_stands_again_when_it_was_a_loss_after_all(desk: Desk, now: datetime) -> None:
    trade = closed_trade(desk=desk)
    first = remembered(trade, now=now)
    remembered(replace(trade, pnl=Decimal(5), r_multiple=Decimal("0.5")), now=now)
    case = remembered(trade, now=now)
    lesson = Lesson.objects.get()
    assert (lesson.state, lesson.review_note, lesson.version) == (ReviewState.AUTO, "", 3)
    assert case.summary == first.summary
    assert case.content_hash == first.content_hash


def test_what_turns_out_to_be_a_loss_gets_its_lesson(desk: Desk, now: datetime) -> None:
    trade = closed_trade(desk=desk, pnl=Decimal(5))
    remembered(trade, now=now)
    case = remembered(replace(trade, pnl=Decimal(-5), r_multiple=Decimal("-0.5")), now=now)
    assert case.lesson.state == ReviewState.AUTO
    assert kinds(case) == ["case.remembered", "case.corrected", "lesson.made"]


def test_it_is_rolled_back_with_what_closed_the_trade(desk: Desk, now: datetime) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        cases.remember(trade=closed_trade(desk=desk), now=now)
        raise RuntimeError
    assert not Case.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_outside_a_transaction_nothing_is_remembered(now: datetime) -> None:
    trade = closed_trade(desk=DeskFactory())
    with pytest.raises(Misconfigured, match="REMEMBERED_OUTSIDE_TRANSACTION"):
        cases.remember(trade=trade, now=now)
    assert not Case.objects.exists()
    assert remembered(trade, now=now).pk == Case.objects.get().pk


def test_what_is_too_long_for_a_label_is_cut_and_not_refused(desk: Desk) -> None:
    tag = TagFound(tag=MistakeTag.CHOP, source=TagSource.RULE, because="b" * 300, confidence=Decimal(7))
    case = CaseFactory(desk=desk, exit_reason="x" * 300, regime="y" * 50, tags=(tag,))
    case.refresh_from_db()
    assert (len(case.exit_reason), len(case.regime)) == (80, 20)
    assert (len(case.tags.get().because), case.tags.get().confidence) == (200, 1)


def test_of_two_who_see_the_same_mistake_the_surer_one_is_kept(desk: Desk) -> None:
    said = TagFound(tag=MistakeTag.NO_STOP, source=TagSource.REPORTED)
    case = CaseFactory(desk=desk, tags=(said, NO_STOP))
    assert [(row.source, row.counts) for row in case.tags.all()] == [("RULE", True)]


@pytest.fixture
def spaces(now: datetime) -> list[IndexSpace]:
    return [
        IndexSpace.objects.create(name=state, provider="hash", dim=4, fingerprint=state, state=state, created_at=now)
        for state in (SpaceState.ACTIVE, SpaceState.BUILDING, SpaceState.OLD)
    ]


def test_a_case_waits_for_every_space_in_use(desk: Desk, spaces: list[IndexSpace]) -> None:
    case = CaseFactory(desk=desk)
    entries = list(IndexEntry.objects.order_by("space_id"))
    assert [entry.space_id for entry in entries] == [spaces[0].pk, spaces[1].pk]
    assert {(entry.kind, entry.subject, entry.content_hash, entry.state) for entry in entries} == {
        ("CASE", case.pk, case.content_hash, EntryState.PENDING)
    }


def test_a_correction_queues_what_was_indexed_again(desk: Desk, spaces: list[IndexSpace], now: datetime) -> None:
    trade = closed_trade(desk=desk)
    remembered(trade, now=now)
    IndexEntry.objects.update(state=EntryState.INDEXED, attempts=3, error="x")
    remembered(trade, now=now)
    assert not IndexEntry.objects.filter(state=EntryState.PENDING).exists()
    case = remembered(replace(trade, notes="The stop was moved."), now=now)
    assert set(IndexEntry.objects.values_list("state", "attempts", "error", "content_hash")) == {
        (EntryState.PENDING, 0, "", case.content_hash)
    }


def test_a_text_beyond_any_reason_is_kept_whole_and_recorded_by_its_hash(desk: Desk, now: datetime) -> None:
    trade = closed_trade(desk=desk, notes="\u00e4" * 300_000)
    case = remembered(trade, now=now)
    remembered(replace(trade, notes=trade.notes + "!"), now=now)
    case.refresh_from_db()
    assert len(case.notes) == 300_001
    assert kinds(case)[-2:] == ["lesson.made", "case.corrected"]


PLANNED = Fact(name="has_planned_stop", value=Decimal(1), unit="", limit=Decimal(1), violated=False)
NO_PLANNED_STOP = replace(PLANNED, value=Decimal(0), violated=True)


def test_tags_and_verdict_follow_from_the_facts(desk: Desk) -> None:
    """Whoever hands the trade over need not have looked."""
    broken = CaseFactory(desk=desk, facts=(NO_PLANNED_STOP,), tags=())
    assert [(row.tag, row.source, row.counts) for row in broken.tags.all()] == [("no_stop", "RULE", True)]
    assert broken.verdict == CaseVerdict.PROCESS_ERROR
    kept = CaseFactory(desk=desk, facts=(PLANNED,), tags=())
    assert (kept.tags.count(), kept.verdict) == (0, CaseVerdict.PLANNED_LOSS)
    won = CaseFactory(desk=desk, facts=(PLANNED,), tags=(), pnl=Decimal(5))
    assert won.verdict == CaseVerdict.UNKNOWN
    lucky = CaseFactory(desk=desk, facts=(NO_PLANNED_STOP,), tags=(), pnl=Decimal(5))
    assert (lucky.result, lucky.verdict) == (Result.WON, CaseVerdict.PROCESS_ERROR)
