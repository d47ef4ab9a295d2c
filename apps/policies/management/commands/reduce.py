"""manage.py reduce: let only orders pass that shrink a position."""

from argparse import ArgumentParser
from typing import Any

from django.utils import timezone

from apps.audit.types import Actor
from apps.common.commands import AnswerCommand
from apps.policies.management.scope import add_scope, connection_of, state_record
from apps.policies.services import trading_state


class Command(AnswerCommand):
    help = "Let only orders pass that shrink a position, on everything or one connection. Loosening takes two people."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        add_scope(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        connection = connection_of(options)
        row = trading_state.reduce(
            connection_id=connection.pk if connection else None,
            actor=Actor.system("manage.py reduce"),
            reason=options["reason"],
            now=timezone.now(),
        )
        what = connection.name if connection else "Everything"
        said = f"{what}: {row.state} since {row.changed_at:%Y-%m-%d %H:%M:%S} UTC: {row.reason}"
        self.finish(state_record(row, connection), as_json=options["json"], lines=[said])
