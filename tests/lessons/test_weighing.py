"""The mistakes that texts speak of are kept beside their vectors, and no answer is another for it."""

import gzip
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apps.accounts.models import Desk
from apps.lessons.models import Case, IndexEntry, IndexSpace
from apps.lessons.recall_types import Question, Viewer
from apps.lessons.services import indexing, outbox, recalls, retelling, tagging
from apps.lessons.types import EntryKind, RecallPurpose
from tests.factories.lessons import CaseFactory

pytestmark = pytest.mark.django_db

Fill = Callable[..., IndexSpace]
DEVELOPMENT = Path(__file__).parent / "development"
CASES, QUESTIONS = 60, 25


def texts(name: str, field: str) -> list[str]:
    with gzip.open(DEVELOPMENT / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return sorted({json.loads(line)[field] for line in file})


def tell(case: Case, thesis: str, narrative: str) -> None:
    case.thesis_text, case.narrative_text = thesis, narrative
    case.content_hash = retelling.content_hash(case)
    case.save(update_fields=["thesis_text", "narrative_text", "content_hash"])


@pytest.fixture
def cases(desk: Desk, now: datetime) -> list[Case]:
    made = [CaseFactory(desk=desk, facts=(), tags=(), closed_at=now - timedelta(days=day)) for day in range(CASES)]
    said = zip(made, texts("queries", "thesis")[::2], texts("lessons", "narrative"), strict=False)
    for number, (case, thesis, narrative) in enumerate(said):
        tell(case, thesis, narrative if number % 3 else "")
    return made


def answers(desk: Desk, now: datetime, asked: list[str]) -> list[Any]:
    """Ids, scores and what they are made of."""
    found = []
    for text in asked:
        question = Question(text=text, product="ETH-USD", asset_class="crypto", side="BUY")
        answer = recalls.recall(
            desk=desk.pk, question=question, viewer=Viewer(key="bot"), purpose=RecallPurpose.QUERY, now=now
        )
        found.append([(one.case, one.score, one.components, one.tags) for one in answer.results])
    return found


def test_no_answer_of_the_development_set_is_another_for_what_is_kept(
    desk: Desk, now: datetime, fill: Fill, cases: list[Case]
) -> None:
    fill(cases)
    asked = texts("queries", "thesis")[1::2][:QUESTIONS]
    assert not IndexEntry.objects.filter(weights=None).exists()

    kept = answers(desk, now, asked)
    IndexEntry.objects.update(weights=None)
    assert kept == answers(desk, now, asked)
    assert sum(len(one) for one in kept) > QUESTIONS

    # And it is what the answers were made of: weights that are others give others.
    turned = np.eye(len(tagging.tagging.TAGS))[0].astype("<f8").tobytes()
    IndexEntry.objects.update(weights=turned)
    assert kept != answers(desk, now, asked)


def test_no_text_of_a_case_is_read_again(desk: Desk, now: datetime, fill: Fill, cases: list[Case]) -> None:
    fill(cases)
    tagging._weights_of.cache_clear()
    assert answers(desk, now, ["It has fallen for days and must bounce."])[0]
    assert tagging._weights_of.cache_info().misses == 1, "that of the question alone"


def test_a_text_that_changed_is_weighed_again_and_meanwhile_read(
    desk: Desk, now: datetime, fill: Fill, cases: list[Case]
) -> None:
    fill(cases)
    case, asked = cases[1], [cases[1].narrative_text]
    before = IndexEntry.objects.get(subject=case.pk).weights
    tell(case, "The stop was moved further away as it fell.", "I moved the stop, twice, and lost three times as much.")

    # Corrected, and no worker came yet: the old weights stand there, and are of no use.
    meanwhile = answers(desk, now, asked)
    IndexEntry.objects.filter(subject=case.pk).update(weights=None)
    assert meanwhile == answers(desk, now, asked)
    IndexEntry.objects.filter(subject=case.pk).update(weights=before)

    outbox.enqueue(kind=EntryKind.CASE, subject=case.pk, content_hash=case.content_hash, now=now)
    assert IndexEntry.objects.get(subject=case.pk).weights is None
    indexing.embed_pending(clock=lambda: now)
    after = IndexEntry.objects.get(subject=case.pk).weights
    assert after is not None
    assert (bytes(after) != bytes(before or b""), tagging.tags_kept(bytes(after))) == (
        True,
        tagging.tags_of(case.narrative_text),
    )


def test_another_way_of_finding_mistakes_weighs_all_again(
    desk: Desk, now: datetime, fill: Fill, cases: list[Case]
) -> None:
    space = fill(cases)
    asked = texts("queries", "thesis")[1::2][:5]
    right = answers(desk, now, asked)
    turned = np.eye(len(tagging.tagging.TAGS))[0].astype("<f8").tobytes()
    IndexEntry.objects.update(weights=turned)
    IndexSpace.objects.filter(pk=space.pk).update(weighed_by="an earlier release")

    assert answers(desk, now, asked) == right, "what an earlier release kept does not hold"
    indexing.embed_pending(clock=lambda: now)
    assert not IndexEntry.objects.filter(weights__in=(turned,)).exists()
    assert not IndexEntry.objects.filter(weights=None).exists()
    assert answers(desk, now, asked) == right


def test_rows_of_before_are_weighed_in_a_turn_with_nothing_to_embed(
    desk: Desk, now: datetime, fill: Fill, cases: list[Case]
) -> None:
    fill(cases)
    IndexEntry.objects.update(weights=None)
    assert indexing.embed_pending(clock=lambda: now, seconds=0).done == 0
    assert IndexEntry.objects.filter(weights=None).count() == CASES
    indexing.embed_pending(clock=lambda: now)
    assert not IndexEntry.objects.filter(weights=None).exists()
