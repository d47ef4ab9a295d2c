"""The feed process of a server installation: the poller that `make run` has as a thread."""

import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils.module_loading import import_string


class Command(BaseCommand):
    """Run it once per installation: two would ask the venue for everything twice."""

    help = "Keep the quote cache fresh until SIGTERM or Ctrl-C."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Poll until a signal comes; the round in hand is finished first."""
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        import_string(settings.QUOTE_POLLER)(stop)
