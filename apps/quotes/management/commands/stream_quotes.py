"""The live feed of a server installation: what `make run` has as a thread."""

import gc
from typing import Any

from django.utils import timezone

from apps.common.commands import ServiceCommand, stopped_by_signal
from apps.quotes import feed


class Command(ServiceCommand):
    """Run as many as wanted: each market is followed by one of them, and taken over within seconds if that dies."""

    help = (
        "Follow the prices of every instrument of the active connections over their venues' WebSockets, until SIGTERM "
        "or Ctrl-C. Several may run: a lease in the database lets one follow each market, and another takes over."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Follow until a signal comes."""
        stop = stopped_by_signal()
        # What was imported stays: collecting garbage need not look at it again and again.
        gc.collect()
        gc.freeze()
        self.stdout.write("Following the markets of every active connection. Ctrl-C stops.")
        self.stdout.flush()
        feed.run(stop, clock=timezone.now)
