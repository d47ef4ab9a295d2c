"""The poller of a server installation, which `make run` has as a thread: the net below the feed (stream_quotes)."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from apps.common.commands import ServiceCommand, stopped_by_signal
from apps.trades.services import market


class Command(ServiceCommand):
    """Run it once per installation: two would ask the venue for everything twice."""

    help = (
        "Ask for balances, and for the prices that the feed does not have, of every instrument with something waiting, "
        "open or held: one round a second "
        "over every active connection, until SIGTERM or Ctrl-C. Run exactly one."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--once", action="store_true", help="one round, then end; exit code 2 if a venue did not answer"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Poll until a signal comes; the round in hand is finished first."""
        if options["once"]:
            self._once()
            return
        stop = stopped_by_signal()
        self.stdout.write(f"Prices are asked for every {market.POLL_INTERVAL_S:g} s. Ctrl-C stops.")
        self.stdout.flush()
        market.run_poller(stop, clock=timezone.now)

    def _once(self) -> None:
        failing: set[str] = set()
        market.poll_all(failing, clock=timezone.now)
        if failing:
            raise CommandError(f"Not refreshed: {', '.join(sorted(failing))}. The lines above say why.")
        self.stdout.write("One round done.")
