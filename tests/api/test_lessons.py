"""The memory over the API: asked by programs and people, beside a proposal, reviewed, and said to be useful or not."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any, NoReturn
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.types import Role
from apps.lessons.embeddings.hashing import HashProvider
from apps.lessons.models import Lesson, Recall, RecallFeedback
from apps.lessons.services import spaces
from apps.lessons.types import MistakeTag, Plan, ReviewState, TagFound, TagSource
from apps.trades.models import Proposal
from tests.api.conftest import Caller, with_header
from tests.factories.accounts import DeskFactory, UserFactory
from tests.factories.desk import PaperDesk
from tests.factories.lessons import LessonFactory
from tests.factories.similar import lost

pytestmark = pytest.mark.django_db

Make = Callable[..., dict[str, Any]]
SignIn = Callable[[User], Caller]
THESIS = "Price broke out above the range on heavy volume, so I bought the breakout after it had run."
CHASED = TagFound(tag=MistakeTag.CHASED_BREAKOUT, source=TagSource.RULE)


@pytest.fixture
def lesson(paper: PaperDesk) -> Lesson:
    """A loss of yesterday, of somebody else's trade."""
    closed_at = timezone.now() - timedelta(days=1)
    made: Lesson = LessonFactory(
        desk=paper.desk,
        product="BTC-USD",
        closed_at=closed_at,
        plan=Plan(thesis=THESIS, risk=Decimal(10)),
        facts=(),
        tags=(CHASED,),
    )
    return made


def test_a_text_finds_the_loss_like_it(bot: Caller, lesson: Lesson) -> None:
    for name in ("text", "question"):
        status, said = bot.post("/trades/lessons/query", {name: THESIS, "explain": True})
        assert (status, [one["lesson_id"] for one in said["results"]]) == (200, [str(lesson.pk)]), said
    (found,) = said["results"]
    assert found["components"]["severity"]
    assert found["summary"] == lesson.case.summary
    assert said["index"]["degraded"] is True
    assert said["index"]["reason"] == "INDEX_MISSING"
    kept = Recall.objects.latest("asked_at")
    assert str(kept.pk) == said["recall_id"]
    assert kept.viewer_key


def test_facts_count_and_rank(bot: Caller, lesson: Lesson) -> None:
    fact = {"name": "chase", "value": "1.2", "unit": "ATR", "limit": "0.5", "violated": True}
    status, said = bot.post("/trades/lessons/query", {"facts": [fact, {"name": "spread"}]})
    assert status == 200
    assert [one["lesson_id"] for one in said["results"]] == [str(lesson.pk)]
    assert (said["evidence"]["n"], said["evidence"]["losses"]) == (1, 1)
    assert said["evidence"]["unknown_facts"] == ["spread"]
    assert said["results"][0]["components"] is None


def test_the_count_in_words_is_held_against_the_other_trades_and_says_so(
    bot: Caller, lesson: Lesson, paper: PaperDesk
) -> None:
    """Three of the five lost, 60 % of all; of the two others none did, and few others lean to four of ten."""
    lost(paper, 2, facts=(), tags=(CHASED,))
    lost(paper, 2, facts=(), pnl=Decimal(9))
    fact = {"name": "chase", "value": "1.2", "unit": "ATR", "limit": "0.5", "violated": True}
    said = bot.post("/trades/lessons/query", {"facts": [fact]})[1]["evidence"]
    assert (said["n"], said["losses"], said["base_rate"]) == (3, 3, "0.333333")
    assert said["sentence"] == ("3 of 3 comparable trades lost in 30 days. Of this desk's other trades 33 % lose.")


def test_nothing_similar_is_an_empty_answer_and_no_sign_of_safety(bot: Caller, lesson: Lesson) -> None:
    status, said = bot.post("/trades/lessons/query", {"text": "Zebra xylophone quasar."})
    assert (status, said["results"]) == (200, [])
    assert said["evidence"]["sentence"] == "No comparable trades (n=0) in 30 days. That is not a sign of safety."


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "QUESTION_EMPTY", "text"),
        ({"text": "a", "question": "b"}, "QUESTION_TWICE", "question"),
        ({"text": "a", "k": 51}, "NUMBER_OUT_OF_RANGE", "k"),
        ({"text": "a", "purpose": "both"}, "CHOICE_UNKNOWN", "purpose"),
        ({"text": "a", "filters": {"side": "LONG"}}, "CHOICE_UNKNOWN", "filters.side"),
        ({"text": "a", "filters": {"tags": ["greed"]}}, "TAG_UNKNOWN", "filters.tags"),
        ({"facts": [{"value": "1"}]}, "FIELD_MISSING", "facts[0].name"),
        ({"text": "x" * 4001}, "TEXT_TOO_LONG", "text"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(
    bot: Caller, lesson: Lesson, body: dict[str, Any], code: str, field: str
) -> None:
    status, said = bot.post("/trades/lessons/query", body)
    assert (status, said["code"], said["field"]) == (400, code, field)


def test_a_proposal_of_ones_own_is_compared_and_nobody_elses(
    bot: Caller, lesson: Lesson, body: Make, signed_in: SignIn
) -> None:
    _, made = bot.propose(body(rationale=THESIS))
    status, said = bot.post("/trades/lessons/query", {"proposal_id": made["id"]})
    assert (status, [one["lesson_id"] for one in said["results"]]) == (200, [str(lesson.pk)])
    stranger = signed_in(UserFactory(username="far", role=Role.TRADER, desk=DeskFactory(slug="far")))
    assert stranger.post("/trades/lessons/query", {"proposal_id": made["id"]})[0] == 404
    assert stranger.post("/trades/lessons/query", {"text": THESIS})[1]["code"] == "CONNECTION_UNKNOWN"


def test_the_answer_to_a_proposal_says_what_happened_before_and_says_it_again(
    bot: Caller, lesson: Lesson, body: Make
) -> None:
    sent, key = body(rationale=THESIS), str(uuid4())
    status, made = bot.propose(sent, key)
    assert status == 201
    assert [one["lesson_id"] for one in made["lessons"]["results"]] == [str(lesson.pk)]
    assert bot.propose(sent, key)[1] == made
    assert bot.get(f"/trades/proposals/{made['id']}")[1]["lessons"] == made["lessons"]
    kept = Recall.objects.get()
    assert (str(kept.proposal_id), kept.purpose) == (made["id"], "PROPOSAL")


def test_a_desk_without_a_memory_says_so_beside_a_proposal(bot: Caller, body: Make) -> None:
    made = bot.propose(body())[1]["lessons"]
    assert (made["results"], made["known"], made["evidence"]["n"]) == ([], True, 0)
    assert not Recall.objects.exists()


def test_a_memory_that_breaks_fails_no_proposal(bot: Caller, lesson: Lesson, body: Make, settings: Any) -> None:
    settings.EMBEDDINGS_PROVIDER = "nothing"
    settings.QDRANT_URL = "http://127.0.0.1:9"
    status, made = bot.propose(body(rationale=THESIS))
    assert (status, made["state"], made["lessons"]["index"]["degraded"]) == (201, "AWAITING_APPROVAL", True)


def break_down(provider: HashProvider, text: str) -> NoReturn:
    raise ZeroDivisionError("Nobody foresaw this.")


def test_an_answer_that_cannot_be_read_again_fails_no_look_at_its_proposal(
    bot: Caller, lesson: Lesson, body: Make
) -> None:
    made = bot.propose(body(rationale=THESIS))[1]
    Recall.objects.update(evidence={"evidence": {}})
    status, told = bot.get(f"/trades/proposals/{made['id']}")
    assert (status, told["state"], told["lessons"]["known"]) == (200, "AWAITING_APPROVAL", False)


@pytest.mark.parametrize("broken", ["embeddings", "database"])
def test_what_nobody_foresaw_fails_no_proposal(
    bot: Caller, lesson: Lesson, body: Make, monkeypatch: Any, caplog: Any, broken: str
) -> None:
    """The answer is stored by then: whatever breaks in the memory, it is given, and so is its repeat."""
    sent, key = body(rationale=THESIS), str(uuid4())
    if broken == "embeddings":
        spaces.ensure(now=timezone.now())
        monkeypatch.setattr(HashProvider, "embed_query", break_down)
    else:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE lessons_recallitem RENAME COLUMN score TO gone")
    for _ in range(2):
        status, made = bot.propose(sent, key)
        assert (status, made["state"]) == (201, "AWAITING_APPROVAL")
        assert (made["lessons"]["known"], made["lessons"]["results"]) == (False, [])
        assert made["lessons"]["index"]["reason"] == "MEMORY_UNAVAILABLE"
    assert Proposal.objects.count() == 1
    assert bot.get(f"/trades/proposals/{made['id']}")[1]["state"] == "AWAITING_APPROVAL"
    assert not Recall.objects.exists()
    assert [record.exc_info is not None for record in caplog.records if "not recalled" in record.message] == [True] * 2


def test_a_lesson_is_looked_at_by_its_desk_alone(bot: Caller, lesson: Lesson, signed_in: SignIn) -> None:
    status, said = bot.get(f"/lessons/{lesson.pk}")
    assert (status, said["id"], said["tags"][0]["tag"]) == (200, str(lesson.pk), "chased_breakout")
    stranger = signed_in(UserFactory(username="far", role=Role.APPROVER, desk=DeskFactory(slug="far")))
    assert stranger.get(f"/lessons/{lesson.pk}")[0] == 404


def test_an_approver_reviews_and_the_version_seen_must_stand(
    lesson: Lesson, paper: PaperDesk, signed_in: SignIn, bot: Caller
) -> None:
    mara, review = signed_in(paper.approver), f"/lessons/{lesson.pk}/review"
    told = {"version": 1, "confirm_tags": ["chased_breakout"], "cause": "Late.", "next_time": "Wait for the retest."}
    assert bot.post(review, told)[1]["code"] == "PERSON_REQUIRED"
    assert mara.post(review, told | {"confirm_tags": ["greed"]})[1]["code"] == "TAG_UNKNOWN"
    status, said = mara.post(review, told)
    assert (status, said["state"], said["next_time"]) == (200, ReviewState.REVIEWED, "Wait for the retest.")
    assert mara.post(review, told)[0] == 409


def test_useful_or_not_similar_is_said_of_what_was_recalled(
    bot: Caller, lesson: Lesson, paper: PaperDesk, signed_in: SignIn
) -> None:
    said = bot.post("/trades/lessons/query", {"text": THESIS})[1]
    mara, feedback = signed_in(paper.approver), f"/lessons/{lesson.pk}/feedback"
    for verdict in ("USEFUL", "NOT_SIMILAR", "NOT_SIMILAR"):
        status, kept = mara.post(feedback, {"verdict": verdict, "recall_id": said["recall_id"], "reason": "Range."})
        assert (status, kept["verdict"]) == (200, verdict)
    assert RecallFeedback.objects.count() == 1
    assert mara.post(feedback, {"verdict": "USEFUL", "recall_id": str(uuid4())})[0] == 404
    assert bot.post(feedback, {"verdict": "USEFUL", "recall_id": said["recall_id"]})[0] == 403
    stranger = signed_in(UserFactory(username="far", role=Role.APPROVER, desk=DeskFactory(slug="far")))
    assert stranger.post(feedback, {"verdict": "USEFUL", "recall_id": said["recall_id"]})[0] == 404


def test_a_key_that_may_not_read_may_not_ask(paper: PaperDesk, lesson: Lesson) -> None:
    assert with_header("Bearer aika_nobody_nothing").post("/trades/lessons/query", {"text": THESIS})[0] == 401
