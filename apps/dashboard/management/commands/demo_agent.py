"""manage.py demo_agent: a program that keeps proposing on the demo desk, over the public API."""

import os
import time
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.utils import timezone

from apps.common.commands import AnswerCommand, Exit
from apps.common.errors import AikaError
from apps.dashboard import demo_agent
from apps.dashboard.services.demo_people import read_demo_file

EVERY_S = 20
WAITING = 6
STEP_S = 1.0


class Command(AnswerCommand):
    help = (
        "Keep proposing on the demo desk as a program does: over HTTP, with the key in demo.json of the data folder. "
        "It reads prices and the lessons beside its proposals, follows the remedy of a denial, waits as long as "
        "Retry-After says, and with enough waiting for people takes back what has waited for five minutes, or asks for "
        "nothing. Ctrl-C ends it. Never in production."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--every", type=_seconds, default=EVERY_S, help="seconds between two turns (20)")
        parser.add_argument("--once", action="store_true", help="one turn, whatever it comes to")
        parser.add_argument("--count", type=_number, help="end after so many turns that asked for something")
        parser.add_argument(
            "--waiting", type=_number, default=WAITING, help="how many waiting proposals are enough (6)"
        )
        parser.add_argument("--seed", type=int, help="what it asks for; the same for the same number")
        parser.add_argument("--parent-pid", type=int, help="end when this process is gone")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.ENVIRONMENT == "production":
            raise CommandError("The demo's program is never run in production.", returncode=Exit.INCOMPLETE)
        file = Path(settings.DATA_DIR) / "demo.json"
        known = read_demo_file(file)
        if not known.get("api_key"):
            raise CommandError(f"There is no key in {file}. Start a desk with make run.", returncode=Exit.INCOMPLETE)
        seed = demo_agent.new_seed() if options["seed"] is None else options["seed"]

        def say(line: str) -> None:
            self.stdout.write(line)
            self.stdout.flush()

        def pause(seconds: float) -> None:
            _pause(seconds, options["parent_pid"])

        api = demo_agent.Api(str(known["url"]), str(known["api_key"]), pause=pause, say=say)
        agent = demo_agent.Agent(api=api, say=say, most=options["waiting"], seed=seed, clock=timezone.now)
        try:
            asked = self._run(agent, pause, options)
        except AikaError as error:
            self.refuse(error)
        finally:
            api.close()
        self.finish({"asked": asked}, as_json=options["json"], lines=[f"Asked for {asked}."])

    def _run(self, agent: demo_agent.Agent, pause: demo_agent.Pause, options: dict[str, Any]) -> int:
        asked = int(agent.turn())
        while not options["once"] and (options["count"] is None or asked < options["count"]):
            pause(options["every"])
            asked += agent.turn()
        return asked


def _pause(seconds: float, parent_pid: int | None) -> None:
    """Wait, in steps, so that it ends soon after the process it belongs to."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if parent_pid is not None and os.getppid() != parent_pid:
            raise KeyboardInterrupt
        time.sleep(min(left, STEP_S))


def _seconds(text: str) -> int:
    return _whole(text, low=0, high=86_400)


def _number(text: str) -> int:
    return _whole(text, low=1, high=1000)


def _whole(text: str, *, low: int, high: int) -> int:
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        raise ArgumentTypeError(f"a whole number from {low} to {high}")
    return int(text)
