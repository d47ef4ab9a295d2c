"""What is recalled: by words, by tags and facts, without an index, and by whom."""

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import Desk
from apps.lessons import index
from apps.lessons.models import Case, IndexSpace, Lesson, Recall, RecallItem
from apps.lessons.recall_types import Question, RecallAnswer, Viewer
from apps.lessons.selectors import recalled
from apps.lessons.services import recalls
from apps.lessons.types import Fact, Filters, MistakeTag, Plan, RecallPurpose, ReviewState
from tests.factories.accounts import DeskFactory
from tests.factories.lessons import NO_STOP, TOO_TIGHT, CaseFactory

pytestmark = pytest.mark.django_db

Fill = Callable[..., IndexSpace]

BROKEN = Plan(thesis="Price broke out above the range on heavy volume, so I bought the breakout after it had run.")
KNIFE = Plan(thesis="It has fallen for five days and must bounce; I keep buying because it is cheap now.")
CALM = Plan(thesis="The dividend is safe and the pullback to the moving average gives a quiet entry.")


def case(desk: Desk, now: datetime, **changes: Any) -> Case:
    """A loss of yesterday without tags or facts, unless told otherwise."""
    values: dict[str, Any] = {"closed_at": now - timedelta(days=1), "facts": (), "tags": ()}
    made: Case = CaseFactory(desk=desk, **(values | changes))
    return made


def ask(desk: Desk, now: datetime, **changes: Any) -> RecallAnswer:
    question = Question(**{"product": "ETH-USD", "asset_class": "crypto", "side": "BUY", **changes})
    return recalls.recall(
        desk=desk.pk, question=question, viewer=Viewer(key="bot"), purpose=RecallPurpose.QUERY, now=now
    )


def test_a_loss_in_other_words_comes_first_and_a_win_last(desk: Desk, now: datetime, fill: Fill) -> None:
    chased = case(desk, now, plan=BROKEN)
    calm = case(desk, now, plan=CALM)
    won = case(desk, now, plan=BROKEN, pnl=Decimal(20))
    fill([chased, calm, won])

    found = ask(desk, now, text="Bought the breakout late, after a run above the range on strong volume.")

    assert [one.case for one in found.losses][:1] == [chased.pk]
    assert found.counter_example is not None
    assert found.counter_example.case == won.pk
    assert not found.index.degraded
    assert found.losses[0].lesson == Lesson.objects.get(case=chased).pk


def test_nothing_similar_is_an_empty_answer(desk: Desk, now: datetime, fill: Fill) -> None:
    fill([case(desk, now, plan=CALM, product="GLD", asset_class="etf") for _ in range(12)])
    assert ask(desk, now, text="Zebra xylophone quasar.", product="", asset_class="").results == ()


def test_a_desk_that_remembers_nothing_is_told_so_and_nothing_is_kept(desk: Desk, now: datetime) -> None:
    found = ask(desk, now, text="Anything.")
    assert (found.id, found.results) == (None, ())
    assert found.evidence is not None
    assert (found.evidence.n, found.evidence.p_above_base) == (0, None)
    assert not Recall.objects.exists()


def test_the_same_tags_and_facts_are_found_without_a_word(desk: Desk, now: datetime, fill: Fill) -> None:
    same = case(desk, now, tags=(NO_STOP,), facts=(TOO_TIGHT,))
    other = case(desk, now)
    fill([same, other])

    found = ask(desk, now, tags=("no_stop",), facts=(TOO_TIGHT,))

    assert [one.case for one in found.losses] == [same.pk]
    assert (found.losses[0].tags, found.losses[0].facts) == (("no_stop",), ("stop_distance",))
    assert found.losses[0].measured == {"stop_distance": "0.4 ATR, the limit is 1"}
    assert found.evidence is not None
    assert (found.evidence.n, found.evidence.losses, found.evidence.case_ids) == (1, 1, (same.pk,))


def test_without_an_index_the_answer_comes_from_the_database_and_says_so(
    desk: Desk, now: datetime, settings: Any
) -> None:
    chased = case(desk, now, plan=BROKEN)
    case(desk, now, plan=CALM)

    found = ask(desk, now, text="I bought the breakout above the range on heavy volume.")

    assert (found.index.degraded, found.index.reason) == (True, "INDEX_MISSING")
    assert [one.case for one in found.losses][:1] == [chased.pk]
    assert Recall.objects.get().degraded


def test_an_index_that_is_down_changes_the_screen_and_never_the_count(
    desk: Desk, now: datetime, fill: Fill, settings: Any
) -> None:
    same = case(desk, now, tags=(NO_STOP,), plan=KNIFE)
    fill([same])
    up = ask(desk, now, text="It must bounce, it is cheap.", tags=("no_stop",))
    index.close()
    settings.QDRANT_URL = "http://127.0.0.1:9"

    down = ask(desk, now, text="It must bounce, it is cheap.", tags=("no_stop",))

    assert (up.index.degraded, down.index.degraded, down.index.reason) == (False, True, "INDEX_DOWN")
    assert down.evidence == up.evidence
    assert [one.case for one in down.losses] == [one.case for one in up.losses] == [same.pk]


def test_another_desks_losses_stay_there(desk: Desk, now: datetime, fill: Fill) -> None:
    theirs = case(DeskFactory(slug="other"), now, plan=BROKEN, tags=(NO_STOP,))
    mine = case(desk, now, plan=BROKEN)
    fill([theirs, mine])
    assert [one.case for one in ask(desk, now, text=BROKEN.thesis, tags=("no_stop",)).losses] == [mine.pk]


@pytest.mark.parametrize("state", [ReviewState.DISPUTED, ReviewState.SUPERSEDED, ReviewState.RETIRED])
def test_what_people_put_away_is_not_recalled_though_the_index_still_has_it(
    desk: Desk, now: datetime, fill: Fill, state: ReviewState
) -> None:
    gone, stays = case(desk, now, plan=BROKEN), case(desk, now, plan=replace(BROKEN, setup="other"))
    fill([gone, stays])
    before = ask(desk, now, text=BROKEN.thesis)
    Lesson.objects.filter(case=gone).update(state=state)
    after = ask(desk, now, text=BROKEN.thesis)
    assert {one.case for one in before.losses} == {gone.pk, stays.pk}
    assert [one.case for one in after.losses] == [stays.pk]


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("name", "fits", "fits_not"),
    [
        ("product", "ETH-USD", "BTC-USD"),
        ("asset_class", "crypto", "equity"),
        ("side", "BUY", "SELL"),
        ("regime", "trend_up/1", "range/1"),
        ("setup", "breakout", "support"),
        ("verdict", "PROCESS_ERROR", "PLANNED_LOSS"),
        ("tags", (MistakeTag.NO_STOP,), (MistakeTag.REVENGE,)),
        ("since", -DAY, timedelta(hours=-23)),
        ("until", timedelta(hours=-23), -DAY),
    ],
)
def test_filters_hold(desk: Desk, now: datetime, fill: Fill, name: str, fits: Any, fits_not: Any) -> None:
    """What it fits is found, and nothing is where it does not; of times, from `since` on and before `until`."""

    def found(value: Any) -> list[object]:
        filters = Filters(**{name: now + value if isinstance(value, timedelta) else value})
        return [one.case for one in ask(desk, now, text=BROKEN.thesis, tags=("no_stop",), filters=filters).losses]

    plan = replace(BROKEN, setup="breakout")
    made = case(desk, now, plan=plan, tags=(NO_STOP,), regime="trend_up/1", closed_at=now - DAY)
    fill([made])
    assert found(fits) == [made.pk]
    assert found(fits_not) == []


def test_every_filter_there_is_is_tried() -> None:
    tried = {row[0] for row in test_filters_hold.pytestmark[0].args[1]}
    assert tried == {one.name for one in fields(Filters)}


def test_ten_times_the_cases_are_read_in_as_many_statements(desk: Desk, now: datetime, fill: Fill) -> None:
    def statements(**asked: Any) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert ask(desk, now, **asked).losses
        return len(captured)

    def measure() -> tuple[int, int]:
        return statements(text=BROKEN.thesis), statements(tags=("no_stop",), facts=(TOO_TIGHT,))

    fill([case(desk, now, plan=BROKEN, tags=(NO_STOP,), facts=(TOO_TIGHT,)) for _ in range(2)])
    measure()
    few = measure()
    fill([case(desk, now, plan=BROKEN, tags=(NO_STOP,), facts=(TOO_TIGHT,)) for _ in range(18)])
    # On PostgreSQL three of them are one.
    assert measure() == few == ((12, 16) if connection.vendor == "postgresql" else (14, 18))


def test_only_what_counts_where_that_is_asked(desk: Desk, now: datetime, fill: Fill) -> None:
    counted, only_similar = case(desk, now, plan=BROKEN, tags=(NO_STOP,)), case(desk, now, plan=KNIFE)
    fill([counted, only_similar])
    asked = {"text": f"{BROKEN.thesis} {KNIFE.thesis}", "tags": ("no_stop",)}
    assert len(ask(desk, now, **asked).losses) == 2
    assert [one.case for one in ask(desk, now, **asked, counted_only=True).losses] == [counted.pk]


def test_every_recall_is_kept_with_rank_score_space_and_viewer(desk: Desk, now: datetime, fill: Fill) -> None:
    space = fill([case(desk, now, plan=BROKEN), case(desk, now, plan=KNIFE)])
    found = ask(desk, now, text=BROKEN.thesis)
    kept = Recall.objects.get()
    assert (kept.pk, kept.desk_id, kept.space, kept.viewer_key, kept.purpose) == (
        found.id,
        desk.pk,
        space.name,
        "bot",
        "QUERY",
    )
    items = list(RecallItem.objects.order_by("rank"))
    assert [item.rank for item in items] == list(range(1, len(found.results) + 1))
    assert all(item.score > 0 and item.components["severity"] for item in items)
    assert recalled.answer_of(kept).results == found.results


def test_the_share_held_out_sees_nothing_and_is_kept(desk: Desk, now: datetime, fill: Fill, settings: Any) -> None:
    fill([case(desk, now, plan=BROKEN)])
    settings.LESSONS_HOLDOUT_SHARE = 50
    seen = {}
    for _ in range(40):
        proposal = uuid4()
        answers = [ask(desk, now, text=BROKEN.thesis, proposal_id=proposal) for _ in range(2)]
        assert answers[0].withheld == answers[1].withheld
        seen[answers[0].withheld] = answers[0]
    assert (len(seen[False].results), seen[True].results) == (1, ())
    hidden = Recall.objects.filter(withheld=True).first()
    assert hidden is not None
    assert hidden.items.count() == 1
    assert recalled.answer_of(hidden).results == ()


def test_a_fact_nobody_knows_is_named(desk: Desk, now: datetime) -> None:
    unknown = Fact(name="spread", value=None, unit="bps")
    found = ask(desk, now, facts=(unknown,))
    assert found.evidence is not None
    assert tuple(found.evidence.unknown_facts) == ("spread",)
