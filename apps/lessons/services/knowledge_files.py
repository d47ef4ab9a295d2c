"""Files and folders of this machine into knowledge. Nothing is read through a link, and nothing outside of its folder.

A file's document is called `file:` and its path, below KNOWLEDGE_ROOT where it lies there.
"""

import os
import stat
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

from django.conf import settings
from django.db.models import Q

from apps.audit.types import Actor
from apps.common.errors import AikaError, Invalid
from apps.lessons.models import KnowledgeDocument
from apps.lessons.services import knowledge
from apps.lessons.services.knowledge import Ingested, Item
from apps.lessons.services.reading import BYTES_MAX, ENDINGS, Source, media_type_of
from apps.lessons.types import IngestOutcome

if TYPE_CHECKING:
    from apps.lessons.models import KnowledgeSource

FILES_MAX: Final = 5_000
Report = Callable[[int, int | None], None]
# What was refused, by id: the state of the file, code, message and fix.
Refusals = dict[str, list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file as a walk finds it; `read` may be called until the walk goes on."""

    id: str
    name: str
    stamp: str
    read: Callable[[], bytes]


@dataclass(kw_only=True)
class Run:
    """What a walk over files came to. `is_whole` where all there is was seen, and what is not seen is gone."""

    results: list[Ingested] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    removed: list[str] = field(default_factory=list)
    refusals: Refusals = field(default_factory=dict)
    is_whole: bool = True


def take_in(
    *,
    path: Path,
    desk_id: UUID | None,
    actor: Actor,
    now: datetime,
    source: "KnowledgeSource | None" = None,
    report: Report = lambda done, total: None,
) -> Run:
    """Ingest a file, or what a folder holds of the kinds that are read. A file that did not change since is not read.

    Raises Invalid PATH_MISSING, PATH_IS_LINK. Links and what cannot be read are refusals of their own.
    """
    run = Run()
    known = _stamps(desk_id)
    refused_before: Refusals = source.refused if source is not None else {}
    for found in _walk(path):
        if len(run.seen) >= FILES_MAX:
            run.is_whole = False
            run.results.append(knowledge.refused(name_of(path), _too_many()))
            break
        run.seen.add(found.id)
        report(len(run.seen), None)
        if isinstance(found, Ingested):
            run.results.append(found)
        elif known.get(found.id) == found.stamp:
            run.results.append(Ingested(id=found.id, outcome=IngestOutcome.UNCHANGED))
        elif (before := refused_before.get(found.id)) is not None and before[0] == found.stamp:
            run.refusals[found.id] = before
        else:
            result = _one(found, desk_id=desk_id, actor=actor, now=now, source=source)
            run.results.append(result)
            if result.outcome is IngestOutcome.REFUSED:
                run.refusals[found.id] = [found.stamp, result.code, result.message, result.fix]
    return run


def prune(*, path: Path, run: Run, desk_id: UUID | None, actor: Actor, now: datetime) -> list[str]:
    """Remove documents of files at or below `path` that the run did not see. A run that is not whole removes none."""
    if not run.is_whole:
        return []
    gone = [row for row in _under(name_of(path), desk_id) if row.external_id not in run.seen]
    run.removed = [row.external_id for row in gone if knowledge.remove(document=row, actor=actor, now=now)]
    return run.removed


def is_known(path: Path, *, desk_id: UUID | None) -> bool:
    """Whether documents stand under this path, wherever it is now."""
    return bool(_under(name_of(path), desk_id))


def name_of(path: Path) -> str:
    """The id of the document of this file."""
    plain = Path(os.path.abspath(path))
    root = Path(settings.KNOWLEDGE_ROOT).resolve() if settings.KNOWLEDGE_ROOT else None
    shown = plain.relative_to(root) if root is not None and plain.is_relative_to(root) else plain
    return unicodedata.normalize("NFC", f"file:{shown.as_posix()}")


def _under(top: str, desk_id: UUID | None) -> list[KnowledgeDocument]:
    """Documents that stand for this file, or for files below this folder. SQLite compares beginnings without case."""
    below = "file:" if top == "file:." else f"{top.rstrip('/')}/"
    rows = KnowledgeDocument.objects.filter(desk=desk_id, removed_at=None).order_by("pk")
    found = rows.filter(Q(external_id=top) | Q(external_id__startswith=below))
    return [row for row in found if row.external_id == top or row.external_id.startswith(below)]


def _stamps(desk_id: UUID | None) -> dict[str, str]:
    rows = KnowledgeDocument.objects.filter(desk=desk_id, removed_at=None).exclude(stamp="")
    return dict(rows.values_list("external_id", "stamp"))


def _one(
    found: File, *, desk_id: UUID | None, actor: Actor, now: datetime, source: "KnowledgeSource | None"
) -> Ingested:
    try:
        kind = media_type_of(found.name)
        item = Item(id=found.id, source=Source(raw=found.read(), media_type=kind), stamp=found.stamp)
    except AikaError as error:
        return knowledge.refused(found.id, error)
    except OSError as error:
        return knowledge.refused(found.id, _unreadable(error))
    return knowledge.ingest(items=[item], desk_id=desk_id, actor=actor, now=now, source=source)[0]


def _walk(top: Path) -> Iterator[File | Ingested]:
    """Files below, by name, hidden ones and other kinds left out; a file that is named itself is of any kind.

    Folders are entered by their descriptors, so that nothing put in their place meanwhile leads elsewhere.
    """
    try:
        mode = top.lstat().st_mode
    except OSError as error:
        raise Invalid(
            "PATH_MISSING", f"{top} cannot be found ({type(error).__name__}).", fix="Check the path.", field="path"
        ) from error
    if stat.S_ISLNK(mode):
        raise Invalid("PATH_IS_LINK", f"{top} is a link.", fix="Name what it leads to.", field="path")
    if not stat.S_ISDIR(mode):
        folder = os.open(top.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield _found(top, folder)
        finally:
            os.close(folder)
        return
    for where, folders, names, descriptor in os.fwalk(top, follow_symlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(folders):
            if stat.S_ISLNK(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode):
                folders.remove(name)
                yield knowledge.refused(name_of(Path(where, name)), _link())
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in ENDINGS:
                yield _found(Path(where, name), descriptor)


def _found(path: Path, folder: int) -> File | Ingested:
    try:
        seen = os.stat(path.name, dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        return knowledge.refused(name_of(path), _unreadable(error))
    if stat.S_ISLNK(seen.st_mode):
        return knowledge.refused(name_of(path), _link())
    if not stat.S_ISREG(seen.st_mode):
        return knowledge.refused(
            name_of(path), Invalid("FILE_NOT_PLAIN", "It is no plain file.", fix="Name a file.", field="path")
        )
    stamp = f"{seen.st_size}:{seen.st_ino}:{seen.st_mtime_ns}:{seen.st_ctime_ns}"
    return File(id=name_of(path), name=path.name, stamp=stamp, read=partial(_bytes, path.name, folder))


def _bytes(name: str, folder: int) -> bytes:
    """What is in a file: one byte more than is taken, at most. Never through a link, and never waiting for a pipe."""
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("no plain file")
        return file.read(BYTES_MAX + 1)


def _link() -> Invalid:
    return Invalid("FILE_IS_LINK", "Links are not followed.", fix="Put the file itself there.", field="path")


def _unreadable(error: OSError) -> Invalid:
    return Invalid("FILE_UNREADABLE", f"It cannot be read ({type(error).__name__}).", fix="Check who may read it.")


def _too_many() -> Invalid:
    return Invalid(
        "TOO_MANY_FILES",
        f"There are more than {FILES_MAX} files; the rest was left.",
        fix="Name its folders one by one.",
        field="path",
    )
