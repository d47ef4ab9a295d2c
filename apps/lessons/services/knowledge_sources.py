"""Folders that are looked at by the clock. They lie in KNOWLEDGE_ROOT: who sets one up cannot read the rest of the
machine through it."""

from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import transaction

from apps.audit.services import events
from apps.audit.types import Actor
from apps.common.errors import AikaError, Conflict, Invalid
from apps.lessons.models import KnowledgeDocument, KnowledgeSource
from apps.lessons.services import knowledge_files
from apps.lessons.services.knowledge_files import Run

WATCHER: Final = Actor.system("knowledge watcher")
PROBLEMS_SHOWN: Final = 20


def checked_path(text: str) -> str:
    """The path of a source as it is kept, below KNOWLEDGE_ROOT.

    Raises Invalid KNOWLEDGE_ROOT_UNSET, PATH_OUTSIDE_ROOT, PATH_MISSING.
    """
    if not settings.KNOWLEDGE_ROOT:
        raise Invalid(
            "KNOWLEDGE_ROOT_UNSET",
            "No folder of this machine is open to sources.",
            fix="Have an operator of the machine set KNOWLEDGE_ROOT.",
            field="path",
        )
    root = Path(settings.KNOWLEDGE_ROOT).resolve()
    wanted = PurePosixPath(text.strip())
    below = wanted.relative_to(root) if wanted.is_relative_to(root) else wanted
    if below.is_absolute() or ".." in below.parts or "\x00" in text:
        raise _outside(root)
    full = root / below
    # Also where a part of the way is a link that leads back in: what is named is what is read.
    if full.resolve() != full:
        raise _outside(root)
    if not full.exists():
        raise Invalid(
            "PATH_MISSING", f"There is no {below} in the folder of sources.", fix="Check the path.", field="path"
        )
    return below.as_posix()


def keep(*, source: KnowledgeSource, actor: Actor, now: datetime) -> KnowledgeSource:
    """Make or change a source; what is refused in it is looked at anew. Raises as `checked_path`."""
    source.path = checked_path(source.path)
    source.refused, source.problem = {}, ""
    is_new = source._state.adding
    with transaction.atomic():
        source.save(force_insert=is_new)
        events.record(
            stream=f"knowledge_source:{source.pk}",
            kind="knowledge_source.made" if is_new else "knowledge_source.changed",
            actor=actor,
            subject=f"knowledge_source:{source.pk}",
            payload={
                "path": source.path,
                "desk": str(source.desk_id or ""),
                "prune": source.prune,
                "enabled": source.enabled,
            },
            now=now,
        )
    return source


def watch(*, now: datetime) -> dict[str, int]:
    """Look at every enabled source once. Returns how many documents were added or changed, removed, and refused."""
    counts = {"taken": 0, "removed": 0, "refused": 0}
    for source in KnowledgeSource.objects.filter(enabled=True).order_by("path"):
        run = _looked(source, now=now)
        if run is not None:
            counts["taken"] += sum(one.version is not None for one in run.results if one.outcome != "UNCHANGED")
            counts["removed"] += len(run.removed)
            counts["refused"] += len(run.refusals)
    return counts


def look(*, source_id: UUID, now: datetime) -> Run:
    """Look at one source now. Raises Conflict SOURCE_LOOKED_AT where another worker has just begun to."""
    source = KnowledgeSource.objects.get(pk=source_id)
    run = _looked(source, now=now)
    if run is None:
        raise Conflict("SOURCE_LOOKED_AT", "It is being looked at.", fix="Wait a moment.")
    return run


def _looked(source: KnowledgeSource, *, now: datetime) -> Run | None:
    """None where another worker was faster. What goes wrong is written on the source and stops no other."""
    mine = KnowledgeSource.objects.filter(pk=source.pk, looked_at=source.looked_at).update(looked_at=now)
    if mine != 1:
        return None
    run = Run()
    try:
        path = Path(settings.KNOWLEDGE_ROOT).resolve() / checked_path(source.path)
        run = knowledge_files.take_in(path=path, desk_id=source.desk_id, actor=WATCHER, now=now, source=source)
        problem = _problem(run)
        if source.prune and not run.seen and _has_documents(source):
            problem = "There is no file in it any more. Nothing was removed: it may be a disk that is not mounted."
        elif source.prune:
            knowledge_files.prune(path=path, run=run, desk_id=source.desk_id, actor=WATCHER, now=now)
    except AikaError as error:
        problem, run.refusals = f"{error.message} {error.fix}".strip(), source.refused
    KnowledgeSource.objects.filter(pk=source.pk).update(problem=problem, refused=run.refusals)
    return run


def _has_documents(source: KnowledgeSource) -> bool:
    return KnowledgeDocument.objects.filter(source=source, removed_at=None).exists()


def _problem(run: Run) -> str:
    lines = [f"{name}: {message} {fix}".strip() for name, (_, _, message, fix) in sorted(run.refusals.items())]
    lines += [f"{one.id}: {one.message} {one.fix}" for one in run.results if one.code and one.id not in run.refusals]
    more = [f"and {len(lines) - PROBLEMS_SHOWN} more"] if len(lines) > PROBLEMS_SHOWN else []
    return "\n".join([*lines[:PROBLEMS_SHOWN], *more])


def _outside(root: Path) -> Invalid:
    return Invalid(
        "PATH_OUTSIDE_ROOT",
        f"A source lies in {root}, and no link leads to it.",
        fix="Name a file or folder in it, such as playbooks.",
        field="path",
    )
