"""`python -m config.serve --port P`: one process that prepares the desk and then serves it.

In order: take the port and the data folder, start the venue simulator, migrate, roles, schedule, demo desk, serve.
`make run` ends here; it expects the environment to be installed.
"""

import argparse
import fcntl
import gc
import io
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import IO, TYPE_CHECKING

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")

import django
import uvicorn
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import CommandError, SystemCheckError

from config import demo_application
from config.agent_process import AgentProcess
from config.venue_process import VenueProcess, VenueUnavailable

if TYPE_CHECKING:
    pass

REQUESTS_STOP_S_MAX = 1
UNWIND_S_MAX = 2
# Web, workers, beat and feed share one interpreter here. At Python's own 5 ms a turn an order on its way to the venue
# waits for each of them at every step: the slowest approvals took twice as long (docs/benchmarks.md).
THREAD_TURN_S = 0.0001

_asked_to_stop = threading.Event()


class Trouble(Exception):
    """Expected trouble. The message is the one line that a person reads."""


def say(line: str) -> None:
    """One line for the person at the terminal, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def take_port(port: int) -> socket.socket:
    """The socket that will be listened on, bound now so that nobody takes the port during the preparation."""
    # The protocol is named so that asyncio sends small answers at once: else they wait 40 ms for an acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise Trouble(f"Port {port} cannot be used ({error.strerror}). Try: make run PORT={port + 1}") from error
    return listener


def take_home(home: Path) -> IO[bytes]:
    """Hold the data folder for this process; the lock goes with the process, however it ends."""
    held = (home / "lock").open("wb")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held.close()
        raise Trouble(f"Aika runs already with its data in {home}. Stop it first, or set AIKA_DATA_DIR.") from None
    return held


def prepare(venue: VenueProcess, url: str) -> None:
    """The database at its newest shape, with roles, schedule and demo desk. Everything here may be repeated."""
    quietly = {"verbosity": 0, "stdout": io.StringIO()}
    call_command("migrate", interactive=False, **quietly)
    call_command("audit_keygen", if_missing=True, **quietly)
    call_command("sync_roles", **quietly)
    call_command("sync_beat", **quietly)
    call_command("check", tags=["lessons"], **quietly)
    venue.wait_until_ready()
    call_command("seed_demo", url=url, simulator_url=venue.url, simulator_key_file=str(venue.key_file), **quietly)


class Server(uvicorn.Server):
    """uvicorn that tells the person where to go once it listens, and starts the demo's program where there is one."""

    def __init__(self, config: uvicorn.Config, greeting: str, agent: AgentProcess | None) -> None:
        super().__init__(config)
        self._greeting = greeting
        self._agent = agent

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then greet."""
        await super().startup(sockets=sockets)
        say(self._greeting)
        if self._agent is not None:
            self._agent.start()
            say(self._agent.greeting)


def greeting(home: Path, url: str) -> str:
    """Where to go and whom to sign in as, from the demo.json that seed_demo wrote."""
    lines = [f"Aika runs at {url}  (paper money, simulated venue)"]
    demo = home / "demo.json"
    if demo.exists():
        users = json.loads(demo.read_text(encoding="utf-8"))["users"]
        lines += [f"  {role:<10} {user['username']:<12} {user['password']}" for role, user in users.items()]
        lines.append(f"The same, and an API key, in {demo}. Ctrl-C stops everything.")
        lines.append("The charts' past is being fetched: it is there within a minute.")
    return "\n".join(lines)


def serve(port: int, *, with_agent: bool) -> None:
    """Prepare and serve until a signal comes. Trouble and the exceptions of main() say what stood in the way."""
    listener = take_port(port)
    django.setup()
    from django.conf import settings

    # Imported after setup: these modules reach models.
    from config.asgi import application
    from config.embedded import with_desk
    from config.sockets import OPTIONS, SocketProtocol
    from config.static import with_static

    home: Path = settings.DATA_DIR
    url = f"http://localhost:{port}"
    with take_home(home):
        venue = VenueProcess(home)
        agent = AgentProcess(home) if with_agent else None
        if settings.COINBASE_CLIENT_ID in ("", demo_application.CLIENT_ID):
            registered = demo_application.register(home, url=url, venue_port=venue.port)
            venue.arguments = demo_application.arguments(home, registered)
            for name, value in registered.items():
                setattr(settings, name, value)
        venue.start()
        try:
            prepare(venue, url)
            # All that is imported stays: collecting garbage need not halt every thread to look at it again and again.
            gc.collect()
            gc.freeze()
            config = uvicorn.Config(
                with_desk(with_static(application), venue),
                lifespan="on",
                ws=SocketProtocol,
                **OPTIONS,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=REQUESTS_STOP_S_MAX,
            )
            Server(config, greeting(home, url), agent).run(sockets=[listener])
        finally:
            if agent is not None:
                agent.stop()
            venue.stop()


def end(_signal: int, _frame: FrameType | None) -> None:
    """Ctrl-C or SIGTERM outside the server's own handling."""
    _asked_to_stop.set()
    raise KeyboardInterrupt


def end_at_last() -> None:
    """End the process where the exception of `end` did not: Python drops one that is raised inside a finalizer, and a
    call that hangs lets none through. The simulator ends with its parent; the next run finds the rest."""
    _asked_to_stop.wait()
    time.sleep(UNWIND_S_MAX)
    os.write(sys.stdout.fileno(), b"\nStopped.\n")
    os._exit(0)


def main(arguments: list[str]) -> int:
    """0 after a stop by signal, 1 after one line that says what is wrong."""
    parser = argparse.ArgumentParser(prog="config.serve", description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--without-agent", action="store_true", help="no program that keeps proposing")
    chosen = parser.parse_args(arguments)
    sys.setswitchinterval(THREAD_TURN_S)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    threading.Thread(target=end_at_last, name="end-at-last", daemon=True).start()
    try:
        serve(chosen.port, with_agent=not chosen.without_agent)
    except (Trouble, VenueUnavailable, ImproperlyConfigured, CommandError, SystemCheckError) as trouble:
        say(str(trouble))
        return 1
    except KeyboardInterrupt:
        say("\nStopped.")
    return 0


if __name__ == "__main__":
    status = main(sys.argv[1:])
    logging.shutdown()
    sys.stdout.flush()
    # Not sys.exit: that would wait for a thread inside a hung call, and Ctrl-C has to end everything within 3 s.
    os._exit(status)
