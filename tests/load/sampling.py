"""What is measured every few seconds, from outside: /proc, Redis and the database."""

import os
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psycopg
import redis

from tests.load.diary import Diary
from tests.load.watchers import Watchers
from tests.scenarios.server_profile import Server

PAGE_KB: Final = os.sysconf("SC_PAGE_SIZE") // 1024
TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")
# What waits in rows, each of them a queue that somebody works off.
WAITING: Final[dict[str, str]] = {
    "proposals that wait": "SELECT count(*) FROM trades_proposal WHERE state = 'AWAITING_APPROVAL'",
    "orders not sent": "SELECT count(*) FROM trades_order WHERE state = 'INITIALIZED'",
    "orders in flight or unknown": "SELECT count(*) FROM trades_order WHERE state IN ('SUBMITTED', 'UNKNOWN')",
    "orders open": "SELECT count(*) FROM trades_order WHERE state IN ('ACCEPTED', 'PARTIALLY_FILLED')",
    "texts not in the index": "SELECT count(*) FROM lessons_indexentry WHERE state = 'PENDING'",
    "alarm notices owed": "SELECT count(*) FROM audit_notice WHERE state = 'OWED'",
    "events not sealed": "SELECT (SELECT count(*) FROM audit_event) - coalesce(max(last_seq), 0) FROM audit_checkpoint",
}  # fmt: skip
CONNECTIONS: Final = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"


@dataclass(frozen=True)
class Process:
    """One process at one moment. `part` is its service, with what tells it from the others of it."""

    part: str
    pid: int
    rss_kb: int
    files: int
    sockets: int
    cpu_s: float


@dataclass
class Sample:
    """One moment. A queue that could not be asked is missing."""

    at: float
    load: float
    processes: list[Process] = field(default_factory=list)
    queues: dict[str, int] = field(default_factory=dict)
    connections: int | None = None
    sockets_open: int = 0
    grey: int = 0


def children() -> dict[int, list[int]]:
    """Who started whom, of all processes of this machine."""
    found: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, IndexError, ValueError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                found.setdefault(parent, []).append(int(entry.name))
    return found


def tree(pid: int, of: dict[int, list[int]]) -> list[int]:
    """A process and all below it, the oldest first."""
    return [pid, *(below for child in sorted(of.get(pid, [])) for below in tree(child, of))]


def look(part: str, pid: int) -> Process | None:
    """What a process has; None where it is gone or is another's."""
    try:
        folder = Path(f"/proc/{pid}")
        pages = int((folder / "statm").read_text().split()[1])
        words = (folder / "stat").read_text().rpartition(")")[2].split()
        names = []
        for entry in (folder / "fd").iterdir():
            with suppress(OSError):
                names.append(os.readlink(entry))
    except (OSError, IndexError, ValueError):
        return None
    used = (int(words[11]) + int(words[12])) * TICK_S
    return Process(part, pid, pages * PAGE_KB, len(names), sum(name.startswith("socket:") for name in names), used)


class Sampler:
    """A thread that looks every few seconds, from `start` to `stop`."""

    def __init__(
        self, server: Server, watchers: Watchers, others: dict[str, int], diary: Diary, every_s: float
    ) -> None:
        self._server, self._watchers, self._others = server, watchers, others
        self._diary, self._every_s = diary, every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler")
        self.samples: list[Sample] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """After one more look."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        due = self._diary.now()
        while not self._over.is_set():
            self.samples.append(self.sample())
            due = max(due + self._every_s, self._diary.now())
            self._over.wait(due - self._diary.now())
        self.samples.append(self.sample())

    def sample(self) -> Sample:
        """Everything, now."""
        found = Sample(self._diary.now(), os.getloadavg()[0])
        found.sockets_open, found.grey = self._watchers.open, self._watchers.grey
        of = children()
        roots = {name: service.process.pid for name, service in self._server.services.items()} | self._others
        for name, root in roots.items():
            for number, pid in enumerate(tree(root, of)):
                seen = look(f"{name}/{number}" if number else name, pid)
                if seen is not None:
                    found.processes.append(seen)
        with suppress(redis.RedisError):
            client, prefix = self._server.redis, self._server.prefix
            for queue in ("default", "execution"):
                found.queues[f"messages: {queue}"] = int(client.llen(f"{prefix}{queue}"))  # type: ignore[arg-type]
            found.queues["messages in hand"] = self._server.taken_messages()
        with suppress(psycopg.Error), psycopg.connect(self._server.owner_url, connect_timeout=2) as connection:
            for name, query in WAITING.items():
                ((found.queues[name],),) = connection.execute(query.encode()).fetchall()
            ((found.connections,),) = connection.execute(CONNECTIONS.encode()).fetchall()
        return found
