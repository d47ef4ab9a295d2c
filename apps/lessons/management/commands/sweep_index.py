"""Remove points of the vector index that the database does not know, and queue what it lost or has in old words."""

from dataclasses import asdict
from typing import Any

from django.utils import timezone

from apps.common.commands import LongCommand
from apps.common.errors import AikaError
from apps.common.tasks import publish
from apps.lessons.services import index_checks


class Command(LongCommand):
    help = (
        "Look at every point of the vector index. One that the database does not know is noticed at the first look and "
        "deleted at the second, ten minutes later at the earliest; a text whose point is lost or out of date is queued "
        "to be embedded again. While another process has a local index open, that process is asked to."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with self.progress("points") as progress:
                sweep = index_checks.sweep_orphans(now=timezone.now(), report=progress)
        except AikaError as error:
            if error.code != "INDEX_HELD":
                self.refuse(error)
            publish("lessons.sweep_index")
            said = "Another process has the index open: it was asked to look."
            self.finish({"queued": True}, as_json=options["json"], lines=[said])
            return
        lines = [f"{sweep.noticed:,} points noticed that the database does not know, {sweep.deleted:,} deleted."]
        if sweep.queued:
            lines.append(f"{sweep.queued:,} texts queued, whose points are lost or out of date.")
        self.finish(asdict(sweep), as_json=options["json"], lines=lines)
