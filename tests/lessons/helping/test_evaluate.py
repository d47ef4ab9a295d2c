"""An evaluation: what it keeps, that nothing later is in it, and how few it says are too few."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from apps.accounts.models import Desk, User
from apps.lessons.models import Case, CaseTag, Evaluation, Lesson, RecallFeedback
from apps.lessons.rules import help_words, holdout
from apps.lessons.rules.holdout import Shown
from apps.lessons.rules.shares import FEW, share_of
from apps.lessons.rules.walkforward import WARM_UP
from apps.lessons.rules.warnings import WarningKind
from apps.lessons.selectors import past
from apps.lessons.services import feedback, helping, reviews
from apps.lessons.tasks import evaluate
from apps.lessons.types import CaseSource, Fact, FeedbackVerdict, MistakeTag, Plan, RecallPurpose, TagFound, TagSource
from tests.factories.accounts import DeskFactory, UserFactory
from tests.factories.lessons import NO_STOP, CaseFactory, LessonFactory, confirmed
from tests.factories.memory import RecallFactory

pytestmark = pytest.mark.django_db

WITHOUT_STOP = Fact(name="has_planned_stop", value=Decimal(0), unit="yes", limit=Decimal(1), violated=True)
AFTERWARDS = Fact(name="given_back", value=Decimal(2), unit="", limit=Decimal(1), violated=True)
TRADES = 180


def trade(desk: Desk, hours: int, now: datetime, **changes: Any) -> Case:
    """Closed so many hours before now, without a mistake; it won, unless told otherwise."""
    values = {"closed_at": now - timedelta(hours=hours), "facts": (), "tags": (), "pnl": Decimal(5)}
    made: Case = CaseFactory(desk=desk, **(values | changes))
    return made


def a_desk_that_repeats(desk: Desk, now: datetime) -> None:
    """Every third trade has no stop and loses; of the others every third loses."""
    for number in range(TRADES):
        hours = 6 * (TRADES - number)
        if number % 3 == 0:
            plan = Plan(thesis=f"No stop is needed, it must come back {number}.")
            trade(desk, hours, now, pnl=Decimal(-9), facts=(WITHOUT_STOP,), tags=(NO_STOP,), plan=plan)
        else:
            plan = Plan(thesis=f"Range held at level {number}, stop below it.")
            trade(desk, hours, now, pnl=Decimal(-4 if number % 9 == 1 else 5), plan=plan)


def words_of(row: Evaluation) -> dict[str, str]:
    return {one["warning"]: help_words.figure(one["recall"]) for one in row.figures["warnings"]}


def test_a_desk_that_remembers_nothing_is_not_measured_and_said_so(desk: Desk, now: datetime) -> None:
    assert helping.evaluate(now=now) == ()
    out = StringIO()
    call_command("lessons_help", stdout=out, stderr=StringIO())
    assert out.getvalue() == "No closed trade is remembered: nothing to measure.\n"
    assert not Evaluation.objects.exists()


def test_few_trades_give_counts_and_no_share(desk: Desk, now: datetime) -> None:
    trade(desk, 5, now)
    (row,) = helping.evaluate(now=now)
    assert (row.cases, row.judged, row.repeats, row.answered, row.held_out) == (1, 0, 0, 0, 0)
    assert set(words_of(row).values()) == {"none yet"}
    assert help_words.catches(row.figures).startswith(f"Nothing to say yet: {WARM_UP} trades")
    assert "Nobody knows: no proposal is held out." in help_words.compared(row.figures["holdout"], percent=0)
    assert "20 % of proposals are held out" in help_words.compared(row.figures["holdout"], percent=20)


def test_a_desk_that_repeats_itself_is_measured_and_kept(desk: Desk, now: datetime) -> None:
    a_desk_that_repeats(desk, now)
    other = DeskFactory()
    trade(other, 5, now)
    heard: list[tuple[int, int]] = []
    rows = {row.desk_id: row for row in helping.evaluate(now=now, progress=lambda *so_far: heard.append(so_far))}
    row = rows[desk.pk]
    assert Evaluation.objects.count() == 2
    assert (row.cases, row.as_of, row.made_at, row.code) == (TRADES, now, now, helping.code_of_rules())
    assert 30 <= row.repeats < row.judged < TRADES
    assert heard[-1] == (TRADES + 1, TRADES + 1)
    assert words_of(row)["shown"] == "none yet"
    assert " % (" in words_of(row)["counted"]
    recalls = {one["warning"]: one["recall"] for one in row.figures["warnings"]}
    assert Decimal(recalls["counted"]["low"]) > Decimal("0.5") > Decimal(recalls["chance"]["share"])
    (said,) = past.desks_to_measure()[:1]
    assert said == min(rows, key=str)


def test_the_newest_are_walked_up_to_a_bound(desk: Desk, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    newest = [trade(desk, hours, now).pk for hours in (1, 2, 3)][:2]
    monkeypatch.setattr(past, "CASES_MAX", 2)
    assert [one.id for one in past.past_of(desk.pk, as_of=now, space="")[0]] == newest


def test_by_the_clock_what_was_measured_longest_ago_comes_first(desk: Desk, now: datetime) -> None:
    trade(desk, 5, now)
    assert evaluate() == {"desks": 1}
    other = DeskFactory()
    trade(other, 5, now)
    assert past.desks_to_measure() == [other.pk, desk.pk]
    assert evaluate() == {"desks": 2}
    assert Evaluation.objects.count() == 3


def test_nothing_later_than_the_day_is_in_it(desk: Desk, approver: User, now: datetime) -> None:
    day = now - timedelta(hours=8)
    early = trade(desk, 10, now, pnl=Decimal(-5), tags=(TagFound(tag=MistakeTag.CHOP, source=TagSource.REPORTED),))
    recall = RecallFactory(case=early, proposal_id=uuid4(), asked_at=now - timedelta(hours=9))

    def said(at: datetime) -> None:
        RecallFeedback.objects.create(item=recall.items.get(), person=approver, verdict="NOT_SIMILAR", said_at=at)

    before = helping.evaluate(now=day)[0]
    trade(desk, 2, now)
    said(now - timedelta(hours=1))
    RecallFactory(case=early, proposal_id=uuid4(), withheld=True, asked_at=now)
    lesson = Lesson.objects.get(case=early)
    reviews.review(lesson_id=lesson.pk, reviewer=approver, version=1, confirm_tags=[MistakeTag.CHOP], now=now)
    reviews.dispute(lesson_id=lesson.pk, reviewer=approver, version=2, note="No.", now=now)
    confirmed(lesson, UserFactory(role="risk", desk=desk), now)
    again, today = helping.evaluate(now=now, as_of=day)[0], helping.evaluate(now=now)[0]
    names = ("cases", "judged", "repeats", "answered", "held_out", "figures")
    assert [getattr(again, name) for name in names] == [getattr(before, name) for name in names]
    assert (today.cases, today.answered, today.held_out) == (2, 1, 1)


def test_what_is_known_of_a_trade_at_each_moment(desk: Desk, approver: User, now: datetime) -> None:
    reported = TagFound(tag=MistakeTag.REVENGE, source=TagSource.REPORTED)
    case = trade(
        desk, 10, now, pnl=Decimal(-5), facts=(WITHOUT_STOP, AFTERWARDS), tags=(reported,), source=CaseSource.REPORTED
    )

    def known() -> Any:
        return past.past_of(desk.pk, as_of=now, space="")[0][0]

    one = known()
    assert (one.seen, one.broken, one.told) == ({"no_stop"}, {"has_planned_stop"}, True)
    ruled = set(CaseTag.objects.filter(case=case, counts=True).values_list("tag", flat=True))
    assert one.mistakes_at(case.closed_at) == ruled
    assert one.mistakes_at(case.closed_at - timedelta(seconds=1)) == frozenset()
    lesson, later = Lesson.objects.get(case=case), now - timedelta(hours=3)
    reviews.review(
        lesson_id=lesson.pk,
        reviewer=approver,
        version=1,
        confirm_tags=[MistakeTag.REVENGE],
        dispute_tags=[MistakeTag.NO_STOP],
        now=later,
    )
    colleague = UserFactory(role="risk", desk=desk)
    confirmed(lesson, colleague, later)
    one = known()
    assert one.mistakes_at(later - timedelta(seconds=1)) == ruled
    assert one.mistakes_at(later) == ruled - {"no_stop"} | {"revenge"}
    reviews.dispute(lesson_id=lesson.pk, reviewer=approver, version=3, note="No.", now=now)
    confirmed(lesson, colleague, now)
    one = known()
    assert (one.counts_at(now - timedelta(seconds=1)), one.counts_at(now)) == (True, False)


def test_the_score_shown_is_of_the_first_recall_of_the_space(desk: Desk, now: datetime) -> None:
    lesson, proposal = trade(desk, 50, now, pnl=Decimal(-5)), uuid4()
    case = trade(desk, 10, now, proposal_id=proposal)
    for score, hours, changes in (
        ("0.4", 12, {}),
        ("0.9", 11, {}),
        ("0.8", 13, {"space": "other"}),
        ("0.7", 14, {"degraded": True}),
        ("0.6", 15, {"purpose": RecallPurpose.QUERY}),
    ):
        values = {"space": "s", "purpose": RecallPurpose.PROPOSAL, "asked_at": now - timedelta(hours=hours)}
        RecallFactory(case=lesson, score=Decimal(score), proposal_id=proposal, **(values | changes))
    shown = {one.id: one.shown for one in past.past_of(desk.pk, as_of=now, space="s")[0]}
    assert shown == {case.pk: 0.4, lesson.pk: None}


def test_what_was_held_out_is_compared_with_what_saw_lessons(desk: Desk, now: datetime) -> None:
    lesson = trade(desk, 500, now, pnl=Decimal(-5))

    def asked(hours: int, *, withheld: bool, pnl: int | None, proposal: Any = None, **changes: Any) -> Any:
        proposal = proposal or uuid4()
        at = now - timedelta(hours=hours)
        RecallFactory(case=lesson, proposal_id=proposal, withheld=withheld, asked_at=at, **changes)
        if pnl is not None:
            trade(desk, 1, now, pnl=Decimal(pnl), proposal_id=proposal)
        return proposal

    asked(90, withheld=False, pnl=-5)  # before anything was held out
    first = asked(50, withheld=True, pnl=-5)
    asked(40, withheld=False, pnl=3)
    asked(40, withheld=False, pnl=None)
    asked(40, withheld=False, pnl=-5, purpose=RecallPurpose.POLICY)
    asked(40, withheld=False, pnl=-5, counter_example=True)
    mixed = asked(40, withheld=False, pnl=-5)
    asked(30, withheld=True, pnl=None, proposal=mixed)
    trade(desk, 1, now, pnl=Decimal(9), proposal_id=first)  # the other part of it: together it won
    held = helping.evaluate(now=now)[0].figures["holdout"]
    assert held["mixed"] == 1
    counts = {
        arm: [(held[arm][of]["hits"], held[arm][of]["of"]) for of in ("of_proposals", "of_closed")]
        for arm in ("shown", "withheld")
    }
    assert counts == {"shown": [(0, 2), (0, 1)], "withheld": [(0, 1), (0, 1)]}
    said = [help_words.compared(held, percent=percent) for percent in (20, 0)]
    assert said[0] == "Too few to say: 1 were held out and 2 saw lessons; 30 of each are needed."
    assert said[1] == f"{said[0]} Nothing is held out any more: LESSONS_HOLDOUT_SHARE is 0."


@pytest.mark.parametrize(
    ("shown", "withheld", "says"),
    [
        (10, 30, "lost less often: the share that lost differs by −"),
        (30, 10, "they do not help"),
        (20, 21, "No difference can be told"),
    ],
)
def test_a_difference_is_said_where_the_interval_leaves_no_other(
    now: datetime, shown: int, withheld: int, says: str
) -> None:
    def arm(lost: int, *, withheld: bool) -> Iterator[Shown]:
        for number in range(60):
            yield Shown(proposal=uuid4(), asked_at=now, withheld=withheld, lost=number < lost)

    found = holdout.compare([*arm(shown, withheld=False), *arm(withheld, withheld=True)])
    record = {
        "shown": {"of_proposals": helping._figure(found.shown.of_proposals)},
        "withheld": {"of_proposals": helping._figure(found.withheld.of_proposals)},
        "by": helping._difference(found.by),
    }
    assert says in help_words.compared(record, percent=50)


@pytest.mark.parametrize(
    ("own", "other", "of", "says"),
    [
        (40, 8, 60, "catches more repeat losses than anything"),
        (8, 40, 60, "it does not help"),
        (14, 8, 60, "No difference can be told yet"),
        (20, 2, FEW - 1, f"Too few to say: {FEW - 1} repeat losses were judged"),
        (0, 0, 0, "Nothing to say yet"),
    ],
)
def test_it_helps_where_its_interval_lies_above_that_of_everything_else(
    own: int, other: int, of: int, says: str
) -> None:
    recalls = {kind: helping._figure(share_of(other, of)) for kind in WarningKind}
    recalls[WarningKind.COUNTED] = helping._figure(share_of(own, of))
    recalls[WarningKind.SHOWN] = helping._figure(share_of(0, 0))

    def said(false_alarms: int) -> str:
        alarms = helping._figure(share_of(false_alarms, 2 * of))
        rows = [{"warning": kind.value, "recall": one, "false_alarms": alarms} for kind, one in recalls.items()]
        return help_words.catches({"warnings": rows})

    assert says in said(of // 5)
    assert ("warned too often to be compared" in said(of)) == (of >= FEW)


def test_no_share_is_said_of_fewer_than_it_takes() -> None:
    said = {of: help_words.figure(helping._figure(share_of(of // 2, of))) for of in (0, 1, FEW - 1, FEW)}
    assert said[0] == "none yet"
    assert said[1] == "too few to say, 0 of 1"
    assert "%" not in said[FEW - 1]
    assert said[FEW] == f"50 % (33 to 67 %), {FEW // 2} of {FEW}"


def test_the_command_says_how_often_lessons_were_called_not_similar(desk: Desk, approver: User, now: datetime) -> None:
    lesson = LessonFactory(desk=desk, closed_at=now - timedelta(days=2))

    def rated(
        times: int, verdict: FeedbackVerdict, *, of: Lesson = lesson, by: User = approver, **changes: Any
    ) -> None:
        for _ in range(times):
            recall = RecallFactory(case=of.case, asked_at=now)
            feedback.say(item_id=recall.items.get().pk, person=by, verdict=verdict, now=now)

    def said() -> set[str]:
        out = StringIO()
        call_command("lessons_help", stdout=out, stderr=StringIO())
        return {line for line in out.getvalue().splitlines() if "not similar" in line}

    rated(2, FeedbackVerdict.NOT_SIMILAR)
    assert said() == {"Called not similar, of those rated: too few to say, 2 of 2. Shown: 2."}
    rated(22, FeedbackVerdict.NOT_SIMILAR)
    rated(16, FeedbackVerdict.USEFUL)
    # Shown and not rated, held out, beside the losses, and what another desk says of its own.
    RecallFactory(case=lesson.case, asked_at=now)
    RecallFactory(case=lesson.case, asked_at=now, withheld=True)
    RecallFactory(case=lesson.case, asked_at=now, counter_example=True)
    theirs = LessonFactory(closed_at=now - timedelta(days=2))
    rated(5, FeedbackVerdict.USEFUL, of=theirs, by=UserFactory(role="approver", desk=theirs.case.desk))
    assert said() == {
        "Called not similar, of those rated: 60 % (45 to 74 %), 24 of 40. Shown: 41.",
        "Called not similar, of those rated: too few to say, 0 of 5. Shown: 5.",
    }


def test_the_command_prints_a_table_and_keeps_it(desk: Desk, now: datetime) -> None:
    trade(desk, 30, now, pnl=Decimal(-5))
    trade(desk, 2, now)
    out = StringIO()
    call_command("lessons_help", "--as-of", (now - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ"), stdout=out)
    said = out.getvalue()
    assert f"{desk.name}, as of 2026-03-01T14:46:00+00:00: 1 closed trades, 0 judged" in said
    for name, _ in help_words.WARNINGS.values():
        assert name in said
    out = StringIO()
    call_command("lessons_help", "--json", stdout=out)
    (row,) = json.loads(out.getvalue())
    assert (row["desk"], row["cases"], len(row["figures"]["warnings"])) == ("main", 2, len(help_words.WARNINGS))
    assert Evaluation.objects.count() == 2
    with pytest.raises(CommandError, match="--as-of"):
        call_command("lessons_help", "--as-of", "soon")
