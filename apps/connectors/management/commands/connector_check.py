"""Ask a venue, read-only, what its documentation leaves open: for the first real key, and after its changes."""

from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from apps.common.commands import AnswerCommand
from apps.common.errors import AikaError
from apps.connectors import selectors
from apps.connectors.services import checkup


class Command(AnswerCommand):
    help = "Ask a connection's venue, read-only, what its documentation leaves open; print and keep the answers."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--connection", required=True, help="the connection's short name")

    def handle(self, *args: Any, **options: Any) -> None:
        connection = selectors.connection_by_slug(options["connection"])
        if connection is None:
            raise CommandError(f"There is no connection {options['connection']!r}.")
        try:
            check = checkup.run(connection=connection, now=timezone.now())
        except AikaError as error:
            raise CommandError(f"{error} {error.fix}".strip()) from error
        warnings = checkup.warnings_of(check)
        lines = [
            f"{connection.name}: {connection.environment_words}, {connection.api_base}",
            *_lines(check.answers),
            *(self.style.WARNING(f"look: {warning}") for warning in warnings),
            f"kept as check {check.pk}",
        ]
        self.finish({"answers": check.answers, "warnings": warnings}, as_json=options["json"], lines=lines)


def _lines(value: Mapping[str, Any], depth: int = 0) -> Iterator[str]:
    for name, item in value.items():
        if isinstance(item, Mapping):
            yield f"{'  ' * depth}{name}:"
            yield from _lines(item, depth + 1)
        elif isinstance(item, list):
            yield f"{'  ' * depth}{name}: {'; '.join(str(each) for each in item) or 'none'}"
        elif item != "":
            yield f"{'  ' * depth}{name}: {item}"
