"""manage.py ingest_knowledge: files and folders of this machine into knowledge."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from apps.accounts.selectors import desk_by_slug
from apps.audit.types import Actor
from apps.common.commands import Exit, LongCommand
from apps.common.errors import AikaError
from apps.lessons.services import knowledge_files
from apps.lessons.services.knowledge_files import Run
from apps.lessons.services.knowledge_items import summary_of
from apps.lessons.types import IngestOutcome

ACTOR = Actor.system("manage.py ingest_knowledge")


class Command(LongCommand):
    help = (
        "Take in text (.txt), Markdown (.md), HTML and PDF files, or folders of them. What is unchanged is skipped; "
        "links are not followed. Exit code 0: all of it is in; 2: something was refused, and the rest is in."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("paths", nargs="+", type=Path, metavar="PATH")
        parser.add_argument("--desk", help="short name of the desk whose knowledge it is; without it, everybody's")
        parser.add_argument("--prune", action="store_true", help="remove documents of files that are gone from PATH")

    def handle(self, *args: Any, **options: Any) -> None:
        desk = None if options["desk"] is None else desk_by_slug(options["desk"])
        if options["desk"] is not None and desk is None:
            raise CommandError(f"There is no desk {options['desk']!r}.", returncode=Exit.INCOMPLETE)
        desk_id = desk.pk if desk else None
        results, removed = [], list[str]()
        with self.progress("files") as progress:
            for path in options["paths"]:
                run = self._run(path.absolute(), desk_id, options["prune"], progress)
                results += run.results
                if options["prune"]:
                    removed += knowledge_files.prune(
                        path=path.absolute(), run=run, desk_id=desk_id, actor=ACTOR, now=timezone.now()
                    )
        record = {**summary_of(results), "removed": removed}
        lines = [f"refused {one.id}: {one.message} {one.fix}" for one in results if one.code]
        lines += [f"removed {name}" for name in removed]
        counts = ", ".join(f"{record[one.value.lower()]} {one.value.lower()}" for one in IngestOutcome)
        code = Exit.INCOMPLETE if record["refused"] else Exit.WELL
        self.finish(record, as_json=options["json"], lines=[*lines, f"{counts}, {len(removed)} removed."], code=code)

    def _run(self, path: Path, desk_id: Any, prune: bool, progress: Any) -> Run:
        try:
            return knowledge_files.take_in(path=path, desk_id=desk_id, actor=ACTOR, now=timezone.now(), report=progress)
        except AikaError as error:
            if prune and error.code == "PATH_MISSING" and knowledge_files.is_known(path, desk_id=desk_id):
                return Run()
            self.refuse(error)
