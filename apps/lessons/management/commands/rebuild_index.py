"""Make the vector index anew from the database."""

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from apps.common.commands import Exit, LongCommand
from apps.common.errors import AikaError
from apps.lessons.services import indexing, rebuilding
from apps.lessons.services.index_checks import Comparison
from apps.lessons.services.rebuilding import Rebuilt

BATCH_MAX = 2048


class Command(LongCommand):
    help = (
        "Embed every case and every piece of knowledge again and write them to the vector index, in their places: "
        "questions are answered meanwhile. While another process has a local index open, everything is queued for that "
        "process. Exit code 1: the index and the database differ (--verify)."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--space", default="", help="which space; the one of EMBEDDINGS_PROVIDER by default")
        parser.add_argument("--batch", type=int, default=indexing.BATCH, help="texts embedded at once")
        parser.add_argument("--resume", action="store_true", help="only what is not indexed yet")
        parser.add_argument("--drop", action="store_true", help="remove the space's collections first")
        parser.add_argument("--dry-run", action="store_true", help="say what there is to do; write nothing")
        parser.add_argument("--verify", action="store_true", help="compare the index with the database afterwards")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["batch"] <= BATCH_MAX:
            raise CommandError(f"--batch is from 1 to {BATCH_MAX}.", returncode=Exit.INCOMPLETE)
        try:
            record, lines, code = self._dry(options) if options["dry_run"] else self._rebuild(options)
        except AikaError as error:
            self.refuse(error)
        self.finish(record, as_json=options["json"], lines=lines, code=code)

    def _dry(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str], Exit]:
        space = rebuilding.space_named(name=options["space"], now=timezone.now())
        plan = rebuilding.plan(space=space, resume=options["resume"])
        lines = [f"{plan.space}: {plan.due:,} of {plan.texts:,} texts to embed. Nothing was written."]
        return self._verified(asdict(plan), lines, Exit.WELL, space, options)

    def _rebuild(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str], Exit]:
        now = timezone.now()
        choose = rebuilding.drop if options["drop"] else rebuilding.space_named
        space = choose(name=options["space"], now=now)
        with self.progress("texts") as progress:
            rebuilt = rebuilding.rebuild(
                space=space, resume=options["resume"], batch=options["batch"], clock=timezone.now, progress=progress
            )
        code = Exit.INCOMPLETE if not rebuilt.queued and (rebuilt.waiting or rebuilt.failed) else Exit.WELL
        return self._verified(asdict(rebuilt), list(_said(rebuilt)), code, space, options)

    def _verified(
        self, record: dict[str, Any], lines: list[str], code: Exit, space: Any, options: dict[str, Any]
    ) -> tuple[dict[str, Any], list[str], Exit]:
        if not options["verify"]:
            return record, lines, code
        found = rebuilding.verify(space=space)
        record["collections"] = [_record(one) for one in found]
        lines += [_line(one) for one in found]
        return record, lines, code if all(one.agrees for one in found) else Exit.DIFFERS


def _said(rebuilt: Rebuilt) -> list[str]:
    if rebuilt.queued:
        return [
            f"{rebuilt.space}: {rebuilt.waiting:,} texts are queued, none was embedded here ({rebuilt.stopped}).",
            "The process that has the index open embeds them; look at manage.py rebuild_index --dry-run --resume.",
        ]
    lines = [f"{rebuilt.space}: {rebuilt.done:,} texts embedded, {rebuilt.failed:,} failed, {rebuilt.waiting:,} wait."]
    if rebuilt.stopped:
        lines.append(f"Stopped early: {rebuilt.stopped}. What waits is embedded by the workers, or by --resume.")
    if rebuilt.activated:
        lines.append("It holds all there is, and questions are asked in it from now on.")
    return lines


def _record(found: Comparison) -> dict[str, Any]:
    numbers = {name: len(getattr(found, name)) for name in ("missing", "stale", "orphans")}
    return {"collection": found.collection, "indexed": found.indexed, "points": found.standing, **numbers}


def _line(found: Comparison) -> str:
    if found.agrees:
        return f"{found.collection}: {found.standing:,} points, as the database says."
    return (
        f"{found.collection}: {found.standing:,} points, {found.indexed:,} indexed; {len(found.missing):,} missing, "
        f"{len(found.stale):,} out of date, {len(found.orphans):,} that the database does not know."
    )
