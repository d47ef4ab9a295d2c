"""manage.py clear_halted: cancel what is open after a halt, in this process."""

import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from apps.connectors.selectors import connection_by_slug
from apps.trades.selectors.clearing import GLOBAL, clearing_of
from apps.trades.services.clearing_here import PASSES_MAX, clear_here


class Command(BaseCommand):
    help = "Cancel what is open at the venues of everything that is halted, without broker or workers. Safe to repeat."

    def add_arguments(self, parser: CommandParser) -> None:
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
        is_clear = clear_here(scope=scope, clock=timezone.now, rest=lambda: time.sleep(1), passes_max=options["rounds"])
        found = clearing_of(scope)
        for row in found.connections:
            self.stdout.write(f"{row.connection}: {row.sentence}")
        self.stdout.write(found.sentence)
        if not is_clear:
            raise CommandError("It is not over. Run it again, and look at the venue.")
