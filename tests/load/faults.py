"""What is done to the installation while it works, each once and apart; and the service manager that starts again what
ended."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from tests.load.diary import Diary
from tests.load.stores import Postgres, Qdrant, Redis
from tests.scenarios.server_profile import Server

# What `restart: unless-stopped` and systemd's RestartSec come to, more or less.
RESTART_S: Final = 1.0
LOOK_S: Final = 0.2
DATABASE_AWAY_S: Final = 5.0
REFUSED_S: Final = 5


@dataclass(frozen=True)
class Installation:
    """All that can be broken."""

    server: Server
    postgres: Postgres
    redis: Redis
    qdrant: Qdrant


def restart_postgres(all_of: Installation) -> None:
    """Switched off, away for five seconds, started again."""
    all_of.postgres.down()
    time.sleep(DATABASE_AWAY_S)
    all_of.postgres.up()


def flush_redis(all_of: Installation) -> None:
    """Redis forgets everything."""
    all_of.redis.flush()


def kill_worker(all_of: Installation) -> None:
    """The worker of everything but orders, with its children."""
    all_of.server.kill("worker")


def kill_execution(all_of: Installation) -> None:
    """The worker that sends orders, with its children, whatever they have in hand."""
    all_of.server.kill("worker-execution")


def cut_feed(all_of: Installation) -> None:
    """The venue resets the sockets of its market, and takes no new ones for five seconds."""
    all_of.server.simulator.add_socket_fault("refuse", "market", lasts=REFUSED_S)
    all_of.server.simulator.add_socket_fault("drop", "market")


def kill_feed(all_of: Installation) -> None:
    """The process that follows the market."""
    all_of.server.kill("feed")


FAULTS: Final[dict[str, Callable[[Installation], None]]] = {
    "PostgreSQL restarted": restart_postgres,
    "Redis flushed": flush_redis,
    "worker killed": kill_worker,
    "execution worker killed": kill_execution,
    "feed cut": cut_feed,
    "feed killed": kill_feed,
}


class Manager:
    """Starts again what ended by itself or was killed, as compose does, from `start` to `stop`."""

    def __init__(self, server: Server, diary: Diary) -> None:
        self._server, self._diary = server, diary
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="manager")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """From now on nothing is started again."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(LOOK_S):
            for name, service in list(self._server.services.items()):
                code = service.process.poll()
                if code is not None and not self._over.wait(RESTART_S):
                    self._diary.mark("process ended", f"{name} with {code}")
                    self._server.start_service(name)


def break_apart(
    names: Iterable[str], installation: Installation, diary: Diary, *, apart_s: float, say: Callable[[str], None]
) -> None:
    """Each in turn, the first after a while of its own; comes back one such while after the last."""
    for name in names:
        time.sleep(apart_s)
        say(name)
        with diary.fault(name):
            FAULTS[name](installation)
    time.sleep(apart_s)
