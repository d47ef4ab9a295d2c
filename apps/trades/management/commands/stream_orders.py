"""The user channel of a server installation: what `make run` has as a thread."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from apps.common.commands import ServiceCommand, stopped_by_signal
from apps.connectors.selectors import connection_by_slug
from apps.trades.services import user_channel


class Command(ServiceCommand):
    """Run as many as wanted: each connection is followed by one of them, and taken over within seconds if that dies."""

    help = (
        "Follow the venue's own news of our orders over its user channel, for every active connection or those named, "
        "until SIGTERM or Ctrl-C. Several may run: a lease in the database lets one follow each connection."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--connection", action="append", default=[], metavar="SLUG", help="may be repeated")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Follow until a signal comes."""
        slugs: list[str] = options["connection"]
        for slug in slugs:
            if connection_by_slug(slug) is None:
                raise CommandError(f"There is no connection {slug!r}.")
        stop = stopped_by_signal()
        self.stdout.write(f"Following the orders of {', '.join(slugs) or 'every active connection'}. Ctrl-C stops.")
        self.stdout.flush()
        user_channel.run(stop, clock=timezone.now, slugs=slugs)
