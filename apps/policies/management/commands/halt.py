"""manage.py halt: stop trading at once."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from apps.audit.types import Actor
from apps.connectors.selectors import connection_by_slug
from apps.policies.services import trading_state


class Command(BaseCommand):
    help = "Halt trading, on everything or on one connection. Safe to repeat. Resuming takes two people, in the admin."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--connection", metavar="SLUG", help="only this connection")
        parser.add_argument("--reason", required=True, help="why, in a sentence everybody will see")

    def handle(self, *args: Any, **options: Any) -> None:
        slug = options["connection"]
        connection = connection_by_slug(slug) if slug else None
        if slug and connection is None:
            raise CommandError(f'There is no connection "{slug}". Without --connection everything is halted.')
        row = trading_state.halt(
            connection_id=connection.pk if connection else None,
            actor=Actor.system("manage.py halt"),
            reason=options["reason"],
            now=timezone.now(),
        )
        what = connection.name if connection else "Everything"
        self.stdout.write(f"{what} is halted since {row.changed_at:%Y-%m-%d %H:%M:%S} UTC: {row.reason}")
