"""`rebuild_index` and `sweep_index`: what a person runs, and what they say."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from apps.accounts.models import Desk
from apps.lessons import index
from apps.lessons.index.local import LocalStore
from apps.lessons.index.values import collection_of, point_id
from apps.lessons.models import IndexEntry, IndexSpace
from apps.lessons.services import indexing
from apps.lessons.types import EntryKind, EntryState
from tests.factories.lessons import CaseFactory
from tests.lessons.index.conftest import Clock
from tests.lessons.index.standing import active, is_right, points, states
from tests.lessons.index.test_checks import stray

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> tuple[int, str]:
    """The exit code and what was printed."""
    said = StringIO()
    try:
        call_command(*arguments, stdout=said, stderr=StringIO())
    except SystemExit as ended:
        return int(ended.code or 0), said.getvalue()
    return 0, said.getvalue()


@pytest.fixture
def cases(desk: Desk) -> list[Any]:
    return [CaseFactory(desk=desk).pk for _ in range(5)]


@pytest.fixture
def space(cases: list[Any]) -> IndexSpace:
    indexing.embed_pending(clock=timezone.now)
    return active()


@pytest.fixture
def held(tmp_path: Path, settings: Any) -> LocalStore:
    """Another owner has the folder open."""
    settings.INDEX_PATH = str(tmp_path / "index")
    return LocalStore(settings.INDEX_PATH)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []
    monkeypatch.setattr(current_app, "send_task", lambda name, **extra: names.append(name))
    return names


def test_everything_is_embedded_and_compared(cases: list[Any]) -> None:
    code, said = run("rebuild_index", "--verify", "--batch", "2")
    assert code == 0
    assert "5 texts embedded, 0 failed, 0 wait." in said
    assert "5 points, as the database says." in said
    assert is_right(active())


def test_a_rehearsal_writes_nothing(space: IndexSpace, desk: Desk) -> None:
    CaseFactory(desk=desk)
    before = states(space)
    assert "6 of 6 texts to embed. Nothing was written." in run("rebuild_index", "--dry-run")[1]
    assert "1 of 6 texts to embed. Nothing was written." in run("rebuild_index", "--dry-run", "--resume")[1]
    assert (states(space), len(points(space))) == (before, 5)


def test_resuming_embeds_only_what_is_not_done(space: IndexSpace, desk: Desk) -> None:
    CaseFactory(desk=desk)
    assert "1 texts embedded" in run("rebuild_index", "--resume")[1]
    assert "6 texts embedded" in run("rebuild_index")[1]


def test_a_difference_is_said_and_ends_with_one(space: IndexSpace) -> None:
    collection = collection_of(EntryKind.CASE, space.name)
    lost = IndexEntry.objects.first()
    assert lost is not None
    index.store().delete(collection, [point_id(EntryKind.CASE, lost.subject)])
    stray(space)

    code, said = run("rebuild_index", "--dry-run", "--verify", "--json")
    record = json.loads(said)
    assert (code, record["collections"][0]) == (
        1,
        {"collection": collection, "indexed": 5, "points": 5, "missing": 1, "stale": 0, "orphans": 1},
    )
    code, said = run("rebuild_index", "--verify")
    assert (code, "0 missing, 0 out of date, 1 that the database does not know" in said) == (1, True)


def test_a_space_may_be_begun_anew(space: IndexSpace) -> None:
    IndexSpace.objects.update(fingerprint="0" * 64)
    with pytest.raises(CommandError, match="--drop"):
        run("rebuild_index")
    code, said = run("rebuild_index", "--drop", "--verify")
    assert (code, "5 texts embedded" in said) == (0, True)
    assert is_right(active())
    assert active().pk != space.pk


def test_texts_are_queued_while_another_process_has_the_index(
    held: LocalStore, cases: list[Any], sent: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        code, said = run("rebuild_index")
    assert code == 0
    assert "5 texts are queued, none was embedded here (INDEX_HELD)." in said
    assert "The process that has the index open embeds them" in said
    assert "lessons.embed_pending" in sent
    assert set(IndexEntry.objects.values_list("state", "attempts", "claimed_until")) == {(EntryState.PENDING, 0, None)}

    assert indexing.embed_pending(clock=timezone.now).stopped == "INDEX_HELD"
    held.close()
    assert indexing.embed_pending(clock=timezone.now).done == 5
    assert is_right(active())


def test_a_sweep_is_asked_for_while_another_process_has_the_index(
    held: LocalStore, sent: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        code, said = run("sweep_index")
    assert (code, sent) == (0, ["lessons.sweep_index"])
    assert "it was asked to look" in said
    held.close()


def test_a_sweep_says_what_it_did(space: IndexSpace) -> None:
    stray(space)
    assert "1 points noticed that the database does not know, 0 deleted." in run("sweep_index")[1]


@pytest.mark.parametrize("arguments", [["--batch", "0"], ["--batch", "5000"], ["--space", "nowhere"]])
def test_what_cannot_be_meant_is_refused(space: IndexSpace, arguments: list[str]) -> None:
    with pytest.raises(CommandError) as caught:
        run("rebuild_index", *arguments)
    assert caught.value.returncode == 2


def test_the_tasks_do_what_the_clock_asks_of_them(cases: list[Any], clock: Clock) -> None:
    from apps.lessons import tasks

    assert tasks.embed_pending()["done"] == 5
    assert tasks.check_index()["lost"] == 0
    assert tasks.sweep_index() == {"noticed": 0, "deleted": 0, "queued": 0}


def test_the_tasks_leave_an_index_that_another_process_has(held: LocalStore, cases: list[Any]) -> None:
    from apps.lessons import tasks

    assert tasks.embed_pending()["stopped"] == "INDEX_HELD"
    assert tasks.check_index() == tasks.sweep_index() == {"stopped": "INDEX_HELD"}
    held.close()
