"""manage.py halt: stop trading at once."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from apps.audit.types import Actor
from apps.policies.management.scope import add_scope, connection_of
from apps.policies.services import trading_state


class Command(BaseCommand):
    help = "Halt trading, on everything or on one connection. Safe to repeat. Resuming takes two people, in the admin."

    def add_arguments(self, parser: CommandParser) -> None:
        add_scope(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        connection = connection_of(options)
        row = trading_state.halt(
            connection_id=connection.pk if connection else None,
            actor=Actor.system("manage.py halt"),
            reason=options["reason"],
            now=timezone.now(),
        )
        what = connection.name if connection else "Everything"
        self.stdout.write(f"{what} is halted since {row.changed_at:%Y-%m-%d %H:%M:%S} UTC: {row.reason}")
