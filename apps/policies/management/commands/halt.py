"""manage.py halt: stop trading at once."""

from argparse import ArgumentParser
from typing import Any

from django.utils import timezone

from apps.audit.types import Actor
from apps.common.commands import AnswerCommand
from apps.policies.management.scope import add_scope, connection_of, state_record
from apps.policies.services import trading_state


class Command(AnswerCommand):
    help = "Halt trading, on everything or on one connection. Safe to repeat. Resuming takes two people, in the admin."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
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
        said = f"{what} is halted since {row.changed_at:%Y-%m-%d %H:%M:%S} UTC: {row.reason}"
        self.finish(state_record(row, connection), as_json=options["json"], lines=[said])
