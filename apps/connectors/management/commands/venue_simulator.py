"""`manage.py venue_simulator`: the venue to practise against, in the foreground."""

import argparse
import sys
from typing import Any

from apps.common.commands import ServiceCommand
from apps.connectors.simulator import serve


class Command(ServiceCommand):
    """Parse the arguments and hand over; nothing of Django's is used, its database least of all."""

    help = "Run the venue simulator: Coinbase Advanced Trade's REST API and WebSockets on a port of this machine."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """The simulator's own arguments."""
        serve.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until stopped."""
        code = serve.serve(argparse.Namespace(**options))
        if code:
            sys.exit(code)
