"""manage.py clear_halted: cancel what is open after a halt, in this process."""

import time
from argparse import ArgumentParser
from itertools import count
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.utils import timezone

from apps.common.commands import Exit, LongCommand
from apps.connectors.selectors import connection_by_slug
from apps.trades.selectors.clearing import GLOBAL, clearing_of
from apps.trades.services.clearing_here import PASSES_MAX, clear_here


class Command(LongCommand):
    help = (
        "Cancel what is open at the venues of everything that is halted, without broker or workers. Safe to repeat. "
        "Exit code 2: it is not over; run it again, and look at the venue."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--connection", metavar="SLUG", help="only this connection")
        parser.add_argument("--rounds", type=int, default=PASSES_MAX, help="give up after so many, a second apart")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.HALT_CANCELS_ORDERS:
            raise CommandError("HALT_CANCELS_ORDERS is off: a halt leaves open orders alone.")
        slug = options["connection"]
        connection = connection_by_slug(slug) if slug else None
        if slug and connection is None:
            raise CommandError(f'There is no connection "{slug}".')
        scope = str(connection.pk) if connection else GLOBAL
        rounds = count(1)
        with self.progress("rounds") as progress:

            def rest() -> None:
                progress(next(rounds))
                time.sleep(1)

            is_clear = clear_here(scope=scope, clock=timezone.now, rest=rest, passes_max=options["rounds"])
        found = clearing_of(scope)
        said = {row.connection: row.sentence for row in found.connections}
        lines = [*(f"{name}: {sentence}" for name, sentence in said.items()), found.sentence]
        if not is_clear:
            lines.append("It is not over. Run it again, and look at the venue.")
        record = {"clear": is_clear, "connections": said, "sentence": found.sentence}
        self.finish(record, as_json=options["json"], lines=lines, code=Exit.WELL if is_clear else Exit.INCOMPLETE)
