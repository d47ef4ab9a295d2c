"""Documents are taken in by every door: unchanged is skipped, changed is a version, refused harms no other."""

import base64
import json
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import IntegrityError, transaction

from apps.accounts.models import Desk
from apps.audit.models import Event
from apps.audit.types import Actor
from apps.common.errors import Invalid, NotFound
from apps.lessons.models import (
    IndexEntry,
    IndexSpace,
    KnowledgeChunk,
    KnowledgeDocument,
    KnowledgeSource,
    KnowledgeTerm,
    KnowledgeVersion,
)
from apps.lessons.recall_types import Viewer
from apps.lessons.services import knowledge, knowledge_sources
from apps.lessons.services.knowledge import Item
from apps.lessons.services.knowledge_queries import KnowledgeAnswer, own_text, query_knowledge
from apps.lessons.services.reading import Source
from apps.lessons.tasks import ingest_knowledge, ingest_knowledge_by_bare_name
from apps.lessons.types import EntryKind, IngestOutcome, MediaType, SpaceState
from tests.factories.accounts import LONG_AGO, DeskFactory
from tests.lessons.documents import pdf, prose

pytestmark = pytest.mark.django_db

BY = Actor.system("test")
STOPS = "# Stops\n\nSet a stop before the order leaves.\n\n## Size\n\nRisk one percent of equity."


def item(text: str, *, id: str = "doc-1", title: str = "") -> Item:
    return Item(id=id, title=title, source=Source(raw=text.encode(), media_type=MediaType.MARKDOWN))


def take(*items: Item, now: datetime, desk: Desk | None = None) -> list[knowledge.Ingested]:
    return knowledge.ingest(items=items, desk_id=desk.pk if desk else None, actor=BY, now=now)


def ask(text: str, *desks: Desk) -> KnowledgeAnswer:
    return query_knowledge(
        text=text, desk_ids=[desk.pk for desk in desks], viewer=Viewer(key="bot"), limit=5, now=LONG_AGO
    )


def found(text: str, *desks: Desk) -> list[str]:
    answer = ask(text, *desks)
    return [one.document.external_id for one in answer.answers]


def test_what_is_new_is_added_and_the_same_again_is_skipped_and_said_so(now: datetime, desk: Desk) -> None:
    (first,) = take(item(STOPS), now=now, desk=desk)
    (again,) = take(item(STOPS.replace("\n", "\r\n") + "\n\n\n"), now=now, desk=desk)
    assert (first.outcome, first.version, first.chunks, first.title) == (IngestOutcome.ADDED, 1, 2, "Stops")
    assert (again.outcome, again.version, again.document) == (IngestOutcome.UNCHANGED, 1, first.document)
    assert KnowledgeVersion.objects.count() == 1
    assert list(Event.objects.filter(kind__startswith="knowledge.").values_list("kind", flat=True)) == [
        "knowledge.added"
    ]


def test_what_has_changed_is_a_new_version_and_the_old_one_can_still_be_read(now: datetime, desk: Desk) -> None:
    take(item(STOPS), now=now, desk=desk)
    (changed,) = take(item("# Stops\n\nTrail it behind the swing."), now=now, desk=desk)
    assert (changed.outcome, changed.version, changed.chunks) == (IngestOutcome.CHANGED, 2, 1)
    assert [(one.number, one.chunks.filter(current=True).count()) for one in KnowledgeVersion.objects.all()] == [
        (2, 1),
        (1, 0),
    ]
    assert found("percent of equity", desk) == []
    assert found("trail behind the swing", desk) == ["doc-1"]
    assert set(KnowledgeTerm.objects.values_list("chunk__current", flat=True)) == {True}
    old = KnowledgeVersion.objects.get(number=1)
    assert all(old.text[one.start : one.end] == own_text(one) for one in old.chunks.all())


def test_each_new_piece_waits_for_the_index_once(now: datetime, desk: Desk) -> None:
    space = IndexSpace.objects.create(
        name="s", provider="hash", dim=2, fingerprint="f", state=SpaceState.ACTIVE, created_at=now
    )
    take(item(prose(700)), now=now, desk=desk)
    take(item(prose(700)), now=now, desk=desk)
    waiting = IndexEntry.objects.filter(space=space, kind=EntryKind.CHUNK)
    chunks = dict(KnowledgeChunk.objects.values_list("pk", "digest"))
    assert dict(waiting.values_list("subject", "content_hash")) == chunks
    assert len(chunks) == 4


def test_what_is_refused_says_why_and_harms_neither_the_others_nor_what_was_known(now: datetime, desk: Desk) -> None:
    take(item(STOPS), now=now, desk=desk)
    bad = Item(id="doc-1", source=Source(raw=b"\xff\xfe\x00", media_type=MediaType.TEXT))
    results = take(bad, item("Fine words.", id="doc-2"), item("x", id=" "), now=now, desk=desk)
    assert [one.outcome.value for one in results] == ["REFUSED", "ADDED", "REFUSED"]
    assert [one.code for one in results] == ["TEXT_WITH_NUL", "", "DOCUMENT_ID_MALFORMED"]
    assert found("stop before the order leaves", desk) == ["doc-1"]


def test_one_id_twice_and_too_many_at_once_are_refused(now: datetime) -> None:
    assert {one.code for one in take(item("a"), item("b"), now=now)} == {"DOCUMENT_ID_TWICE"}
    with pytest.raises(Invalid, match="TOO_MANY_ITEMS"):
        take(*[item("a", id=str(number)) for number in range(101)], now=now)
    assert not KnowledgeDocument.objects.exists()


def test_a_desk_finds_its_own_and_everybodys_and_never_anothers(now: datetime, desk: Desk) -> None:
    other = DeskFactory(slug="other")
    for owner, name in ((desk, "own"), (other, "theirs"), (None, "all")):
        take(item(f"# {name}\n\nThe volatility halt rule.", id=name), now=now, desk=owner)
    assert sorted(found("volatility halt rule", desk)) == ["all", "own"]
    assert sorted(found("volatility halt rule", other)) == ["all", "theirs"]
    assert found("volatility halt rule") == ["all"]


def test_one_id_is_one_document_also_where_it_is_everybodys(now: datetime) -> None:
    take(item(STOPS), now=now)
    row = KnowledgeDocument.objects.get()
    row.pk = uuid4()
    with pytest.raises(IntegrityError), transaction.atomic():
        row.save(force_insert=True)


def test_removing_takes_it_out_of_answers_and_taking_in_brings_it_back(now: datetime, desk: Desk) -> None:
    take(item(STOPS), now=now, desk=desk)
    row = KnowledgeDocument.objects.get()
    assert knowledge.remove(document=row, actor=BY, now=now)
    assert not knowledge.remove(document=row, actor=BY, now=now)
    assert found("stop before the order", desk) == []
    (back,) = take(item(STOPS), now=now, desk=desk)
    assert (back.outcome, back.version) == (IngestOutcome.CHANGED, 2)
    assert found("stop before the order", desk) == ["doc-1"]


def test_nothing_similar_is_an_empty_answer(now: datetime, desk: Desk) -> None:
    take(item(STOPS), now=now, desk=desk)
    for question in ("weather in Lisbon tomorrow", "the and of it", "!!!", "x" * 3000):
        assert found(question, desk) == []


def test_a_citation_leads_to_the_characters_it_says(now: datetime, desk: Desk) -> None:
    take(item(prose(500) + "\n\n# Gaps\n\nWeekend gaps jump over stops."), now=now, desk=desk)
    (best, *_) = ask("weekend gaps over stops", desk).answers
    text = KnowledgeVersion.objects.get(document=best.document, number=best.chunk.version.number).text
    assert text[best.chunk.start : best.chunk.end] == best.text
    assert best.text.endswith("Weekend gaps jump over stops.")


def test_the_task_takes_one_object_and_answers_to_its_bare_name(now: datetime) -> None:
    items: list[dict[str, Any]] = [
        {"id": "doc-1", "text": "Set a stop."},
        {"id": "doc-2.pdf", "content_base64": base64.b64encode(pdf("Keep it small.")).decode()},
        {"id": "doc-3", "text": "a", "media_type": "application/zip"},
    ]
    done = ingest_knowledge.apply(args=[{"items": items}]).get()
    assert (done["added"], done["refused"], done["refusals"][0]["code"]) == (2, 1, "MEDIA_TYPE_UNKNOWN")
    assert ingest_knowledge_by_bare_name.apply(args=[{"items": items[:2]}]).get()["unchanged"] == 2
    assert ingest_knowledge_by_bare_name.name == "ingest_knowledge"


@pytest.mark.parametrize(
    "payload", [{}, {"items": {}}, {"items": [1]}, {"items": [{"text": "a"}]}, {"items": [], "x": 1}]
)
def test_a_task_of_another_form_is_refused_whole(payload: Any) -> None:
    with pytest.raises(Invalid, match="PAYLOAD_MALFORMED"):
        ingest_knowledge(payload)


def test_a_task_for_a_desk_that_is_not_there_is_refused() -> None:
    with pytest.raises(NotFound, match="DESK_UNKNOWN"):
        ingest_knowledge({"items": [{"id": "a", "text": "b"}], "desk": "nowhere"})


def run(*arguments: object, **options: Any) -> dict[str, Any]:
    out = StringIO()
    try:
        call_command("ingest_knowledge", *map(str, arguments), "--json", stdout=out, stderr=StringIO(), **options)
    except SystemExit as end:
        return {**json.loads(out.getvalue()), "exit": end.code}
    return {**json.loads(out.getvalue()), "exit": 0}


def test_the_command_takes_a_folder_in_and_prunes_what_is_gone(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.md").write_text(STOPS)
    (tmp_path / "deep" / "b.html").write_text("<h1>Gaps</h1><p>Weekend gaps.</p>")
    (tmp_path / "deep" / "c.pdf").write_bytes(pdf("Keep it small."))
    (tmp_path / "d.zip").write_bytes(b"PK")
    first = run(tmp_path)
    assert (first["added"], first["refused"], first["exit"]) == (3, 0, 0)
    (tmp_path / "a.md").write_text(STOPS + "\n\nMore.")
    (tmp_path / "deep" / "b.html").unlink()
    assert run(tmp_path)["removed"] == []
    second = run(tmp_path, "--prune")
    assert (second["unchanged"], second["removed"]) == (2, [f"file:{tmp_path}/deep/b.html"])
    (tmp_path / "a.md").unlink()
    assert run(tmp_path / "a.md", "--prune")["removed"] == [f"file:{tmp_path}/a.md"]
    with pytest.raises(CommandError, match="PATH_MISSING"):
        run(tmp_path / "a.md", "--prune")


def test_the_command_follows_no_link_and_keeps_what_it_can(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    folder = tmp_path / "folder"
    outside.mkdir()
    folder.mkdir()
    (outside / "secret.md").write_text("secret")
    (folder / "a.md").write_text(STOPS)
    (folder / "link.md").symlink_to(outside / "secret.md")
    (folder / "dir").symlink_to(outside)
    done = run(folder)
    assert (done["added"], done["refused"], done["exit"]) == (1, 2, 2)
    assert {one["code"] for one in done["refusals"]} == {"FILE_IS_LINK"}
    with pytest.raises(CommandError, match="PATH_IS_LINK"):
        run(folder / "link.md")


@pytest.fixture
def root(tmp_path: Path, settings: Any) -> Path:
    folder = tmp_path / "root"
    (folder / "books").mkdir(parents=True)
    settings.KNOWLEDGE_ROOT = str(folder)
    return folder


def source(desk: Desk | None, now: datetime, path: str = "books", **options: Any) -> KnowledgeSource:
    return knowledge_sources.keep(source=KnowledgeSource(desk=desk, path=path, **options), actor=BY, now=now)


def test_a_watched_folder_gives_what_changed_and_what_is_gone_is_removed(now: datetime, desk: Desk, root: Path) -> None:
    (root / "books" / "a.md").write_text(STOPS)
    (root / "books" / "b.md").write_text("# Gaps\n\nWeekend gaps.")
    watched = source(desk, now, prune=True)
    assert knowledge_sources.watch(now=now)["taken"] == 2
    assert knowledge_sources.watch(now=now) == {"taken": 0, "removed": 0, "refused": 0}
    (root / "books" / "b.md").unlink()
    (root / "books" / "a.md").write_bytes(b"\x00")
    assert knowledge_sources.watch(now=now) == {"taken": 0, "removed": 1, "refused": 1}
    watched.refresh_from_db()
    assert "a.md" in watched.problem
    assert found("stop before the order leaves", desk) == ["file:books/a.md"]


def test_a_watched_folder_that_is_empty_or_gone_loses_nothing(now: datetime, desk: Desk, root: Path) -> None:
    (root / "books" / "a.md").write_text(STOPS)
    watched = source(desk, now, prune=True)
    knowledge_sources.watch(now=now)
    (root / "books" / "a.md").unlink()
    assert knowledge_sources.watch(now=now)["removed"] == 0
    (root / "books").rmdir()
    assert knowledge_sources.watch(now=now)["removed"] == 0
    watched.refresh_from_db()
    assert watched.problem
    assert found("stop before the order leaves", desk) == ["file:books/a.md"]


@pytest.mark.parametrize("path", ["/etc", "../outside", "books/../../outside", "way/in", "/etc/passwd", "nothing"])
def test_a_source_outside_its_root_is_refused(path: str, now: datetime, desk: Desk, root: Path) -> None:
    (root.parent / "outside").mkdir()
    (root.parent / "outside" / "in").mkdir()
    (root / "way").symlink_to(root.parent / "outside")
    with pytest.raises(Invalid) as refusal:
        source(desk, now, path)
    assert refusal.value.code == ("PATH_MISSING" if path == "nothing" else "PATH_OUTSIDE_ROOT")
    assert not KnowledgeSource.objects.exists()


def test_a_source_whose_folder_becomes_a_link_afterwards_reads_nothing(now: datetime, desk: Desk, root: Path) -> None:
    (root.parent / "outside").mkdir()
    (root.parent / "outside" / "secret.md").write_text("secret words")
    watched = source(desk, now)
    (root / "books").rmdir()
    (root / "books").symlink_to(root.parent / "outside")
    knowledge_sources.watch(now=now)
    watched.refresh_from_db()
    assert "no link leads to it" in watched.problem
    assert not KnowledgeDocument.objects.exists()


def test_without_a_root_there_is_no_source(now: datetime, desk: Desk) -> None:
    with pytest.raises(Invalid, match="KNOWLEDGE_ROOT_UNSET"):
        source(desk, now, "/etc")
