"""Lessons are found again as well as they were: two points less fails. On the development set, which we looked at, and
on 1,000 lessons in the words of somebody who had not read ours."""

import json
from collections.abc import Hashable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from apps.common.errors import Invalid
from apps.lessons import embeddings
from apps.lessons.recall_types import K_DEFAULT
from apps.lessons.rules.prototypes import prototypes
from apps.lessons.rules.ranking import similar
from apps.lessons.rules.retrieval_figures import DEEP, figures, ndcg
from apps.lessons.services import recall_quality

DEVELOPMENT = Path(__file__).parent / "development"
UNSEEN = Path(__file__).parent / "unseen"
LOSS_MAX = 0.02
# nDCG@10 and P@5 that are aimed at, on other wording.
AIMS = {"hash": (0.0, 0.0), "static": (0.25, 0.40), "sentence_transformers": (0.40, 0.55)}
# The optional provider takes part where a model is at hand.
AVAILABLE = ("hash", "static", *(("sentence_transformers",) if settings.EMBEDDINGS_MODEL else ()))


def files_of(folder: Path) -> dict[str, Path]:
    return {name: folder / f"{name}.jsonl.gz" for name in ("lessons", "queries", "qrels")}


@pytest.fixture(scope="module")
def labelled() -> recall_quality.Labelled:
    return recall_quality.read(**files_of(DEVELOPMENT))


def check_is_no_worse(folder: Path, name: str, labelled: recall_quality.Labelled) -> None:
    measured = asdict(recall_quality.in_use(labelled, embeddings.provider_named(name)).figures)
    ndcg, precision = AIMS[name]
    assert measured["ndcg"] >= ndcg
    assert measured["precision"] >= precision
    # Of the optional provider only the aims are written down.
    baseline = json.loads((folder / "baseline.json").read_text(encoding="utf-8")).get(name, {})
    lost = {figure: (was, measured[figure]) for figure, was in baseline.items() if measured[figure] < was - LOSS_MAX}
    assert not lost, f"worse than {folder.name}/baseline.json; measured {measured}"


@pytest.mark.parametrize("name", ["hash", "static"])
def test_recall_on_the_development_set_is_no_worse_than_it_was(name: str, labelled: recall_quality.Labelled) -> None:
    check_is_no_worse(DEVELOPMENT, name, labelled)


def check_hash_is_better_than_naive(labelled: recall_quality.Labelled, *, whole: bool) -> None:
    """By cosine alone, of the very same texts: what signs, pairs and pieces of words are for."""
    naive = asdict(recall_quality.by_text(labelled, "naive", recall_quality.naive_hash, whole=whole).figures)
    words = embeddings.provider_named("hash").embed_documents
    hashed = asdict(recall_quality.by_text(labelled, "hash", words, whole=whole).figures)
    for figure in ("ndcg", "precision"):
        assert hashed[figure] > naive[figure] + LOSS_MAX, (figure, hashed, naive)


def test_hash_is_better_than_the_naive_one_it_is_compared_with(labelled: recall_quality.Labelled) -> None:
    """Of whole texts: what a lesson tells of itself alone is too short here to tell the two apart (docs/lessons.md)."""
    check_hash_is_better_than_naive(labelled, whole=True)


@pytest.mark.slow
def test_hash_is_better_than_the_naive_one_in_words_nobody_had_read() -> None:
    unseen = recall_quality.read(**files_of(UNSEEN))
    check_hash_is_better_than_naive(unseen, whole=True)
    check_hash_is_better_than_naive(unseen, whole=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", AVAILABLE)
def test_recall_of_a_thousand_lessons_in_words_nobody_had_read(name: str) -> None:
    unseen = recall_quality.read(**files_of(UNSEEN))
    assert len(unseen.lessons) == 1_000
    check_is_no_worse(UNSEEN, name, unseen)


@pytest.mark.parametrize("name", AVAILABLE)
def test_the_same_wording_is_always_among_the_first_five(name: str, labelled: recall_quality.Labelled) -> None:
    texts = [one.text for one in prototypes() if one.tag and one.kind == "narrative"][::4]
    like = labelled.lessons[: len(texts)]
    lessons = [replace(one, narrative=text) for one, text in zip(like, texts, strict=True)]
    queries = [
        recall_quality.LabelledQuery(
            text=one.narrative,
            whole=one.narrative,
            product=one.product,
            asset_class=one.asset_class,
            side=one.side,
            grades={one.name: 3},
        )
        for one in lessons
    ]
    said = recall_quality.Labelled(lessons=lessons, queries=queries)
    assert recall_quality.in_use(said, embeddings.provider_named(name)).figures.recall == 1.0


def alike(*narratives: str) -> recall_quality.Labelled:
    """Lessons that tell it so, the newest first, and one query that is like all of them."""
    now = datetime(2026, 3, 1, tzinfo=UTC)
    rows = [
        {"id": f"l{place}", "closed_at": str(now - timedelta(days=place)), "narrative": text}
        for place, text in enumerate(narratives)
    ]
    return recall_quality.Labelled(
        lessons=[recall_quality.lesson_of(row) for row in rows],
        queries=[recall_quality.query_of({"thesis": narratives[0]}, {f"l{len(rows) - 1}": 3})],
    )


def test_what_is_measured_is_the_order_that_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of twelve that say the same two are served, and the one that says it otherwise. By score alone it is the last of
    thirteen and never seen: that is the mutant, and what it measures is an order nobody gets."""
    said = alike(
        *["The stop was moved away from the market twice."] * 12, "The stop was moved away, then it was removed."
    )
    provider = embeddings.provider_named("hash")
    assert recall_quality.in_use(said, provider).figures.recall == 1.0
    monkeypatch.setattr(
        recall_quality, "rank", lambda asked, found, now, weights, limit: similar(asked, found, now, weights)[:limit]
    )
    assert recall_quality.in_use(said, provider).figures.recall == 0.0


def test_as_many_are_measured_as_are_served_unless_another_number_is_asked_for() -> None:
    assert K_DEFAULT == DEEP


def test_figures_of_a_list_that_can_be_reckoned_by_hand() -> None:
    grades: dict[Hashable, int] = {"a": 3, "b": 1, "c": 3}
    assert ndcg(["a", "c", "b"], grades) == 1.0
    found = figures([["x", "a", "y", "b"]], [grades])
    assert found.recall == 0.5
    assert found.hit == 1.0
    assert found.precision == 0.4
    assert found.ndcg == pytest.approx((3 / 1.58496 + 1 / 2.32193) / (3 + 3 / 1.58496 + 1 / 2), abs=1e-4)


def test_a_query_without_labels_is_left_out_and_no_query_is_zeros() -> None:
    assert figures([["a"], ["b"]], [{"a": 1}, {}]) == figures([["a"]], [{"a": 1}])
    assert figures([], []).ndcg == 0.0


def test_the_command_prints_a_row_for_each_way_of_finding_and_needs_no_database(tmp_path: Path) -> None:
    lessons, queries, qrels = (tmp_path / f"{name}.jsonl" for name in ("lessons", "queries", "qrels"))
    row = {"id": "l1", "closed_at": "2026-03-01T10:00:00+00:00", "narrative": "The stop was moved away.", "mode": "x"}
    lessons.write_text(json.dumps(row) + "\n")
    queries.write_text(json.dumps({"id": "q1", "text": "No stop on this one."}) + "\n")
    qrels.write_text(json.dumps({"query": "q1", "lesson": "l1", "grade": 3}) + "\n")
    out = StringIO()
    files = {"lessons": lessons, "queries": queries, "qrels": qrels}
    call_command("evaluate_recall", **files, provider="static", stdout=out)
    printed = out.getvalue()
    for name in ("nDCG@10", "ms/query", "naive hash, whole text", "hash", "static x structure", "static, as served"):
        assert name in printed
    assert printed.splitlines()[-1].split()[-5:-1] == ["1.000"] * 3 + ["0.200"]
    out = StringIO()
    call_command("evaluate_recall", "--json", **files, provider="static", stdout=out)
    told = json.loads(out.getvalue())
    assert (told["lessons"], told["queries"], told["ways"][-1]["ndcg"]) == (1, 1, 1.0)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad").write_text('{"id": 1}\n')
    with pytest.raises(Invalid) as refused:
        recall_quality.read(**(files_of(DEVELOPMENT) | {"lessons": tmp_path / "bad"}))
    assert refused.value.code == "RECALL_FILES_INVALID"
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("evaluate_recall", **(files_of(DEVELOPMENT) | {"qrels": tmp_path / "none"}), provider="hash")
