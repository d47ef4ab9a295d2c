"""The demo desk: people, two paper connections, a policy, and proposals in every state worth seeing."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.utils import timezone

from apps.common.commands import LongCommand
from apps.common.errors import AikaError
from apps.dashboard.services import demo


class Command(LongCommand):
    help = (
        "Make or refresh the demo desk: five people with random passwords, two paper connections to the venue "
        "simulator, a policy activated by two people, and proposals that wait, were denied and were filled. "
        "Running it again keeps everything and asks again for what no longer waits. Never in production."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--url", default="http://localhost:8000", help="where Aika will be served")
        parser.add_argument("--simulator-url", required=True, help="address of the running venue simulator")
        parser.add_argument("--simulator-key-file", required=True, help="key file the simulator wrote")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.ENVIRONMENT == "production":
            raise CommandError("The demo desk has known names and paper money. It is never made in production.")
        try:
            key = json.loads(Path(options["simulator_key_file"]).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CommandError(f"The simulator's key file cannot be read: {error}") from error
        file = Path(settings.DATA_DIR) / "demo.json"
        venue = demo.SimulatedVenue(url=options["simulator_url"], key_name=key["name"], secret=key["privateKey"])
        try:
            with self.progress("steps") as progress:
                troubles = demo.seed(venue=venue, url=options["url"], file=file, clock=timezone.now, report=progress)
        except AikaError as error:
            raise CommandError(f"{error.message} {error.fix}".strip()) from error
        for trouble in troubles:
            self.stderr.write(trouble)
        if options["verbosity"] > 0:
            lines = [f"The demo desk is ready. Names and passwords: {file}"]
            self.finish({"file": str(file), "troubles": troubles}, as_json=options["json"], lines=lines)
