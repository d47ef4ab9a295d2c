"""Where a run plays: a database as it was at the start, an empty broker, a venue without orders."""

import os
import shutil
import sqlite3
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from django.conf import settings
from django.core.cache import cache
from django.core.management import call_command
from django.db import connections
from redis import Redis

from apps.audit.services import keys
from apps.connectors.models import Connection
from apps.trades import tasks
from config.celery import app
from tests.crash.clock import Clock
from tests.crash.processes import let_go, warm
from tests.factories.desk import PaperDesk, paper_desk
from tests.factories.oauth import OAuthSimulator

QUEUES = ("execution", "default")
# Databases of runs that are over, some 15 MB each, before they are dropped.
ASIDE_MAX = 50


def began(at: datetime) -> None:
    """What this process, and those forked from it, remember as the moment their worker began."""
    tasks.STARTED_AT = at  # type: ignore[misc]


class Stage:
    """One desk, prepared once and put back before every run."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.simulator = OAuthSimulator()
        self.paper: PaperDesk
        self.running_since: datetime
        self._aside: list[str] = []
        self._registered = ExitStack()

    @property
    def database(self) -> str:
        return "PostgreSQL and Redis" if settings.DATABASE_URL else "SQLite and files"

    def start(self) -> "Stage":
        """Migrate, set up the desk, and keep the database as it is then."""
        self.simulator.start()
        self._registered.enter_context(self.simulator.registered())
        app.loader.import_default_modules()
        warm()
        if settings.DATABASE_URL:
            self._drop([self._name, *map(self._copy, (f"aside_{number}" for number in range(ASIDE_MAX)))])
            self._postgres(f'CREATE DATABASE "{self._name}"')
        else:
            (Path(settings.BROKER_DIR) / "queue").mkdir(parents=True, exist_ok=True)
            (Path(settings.BROKER_DIR) / "taken").mkdir(exist_ok=True)
        keys.generate(path=Path(settings.AUDIT_SEAL_KEY_FILE))
        call_command("migrate", verbosity=0)
        call_command("sync_roles", verbosity=0)
        self._empty_cache()
        self.paper = paper_desk(self.simulator)
        self.compare()
        self._declare()
        self.keep("start")
        return self

    def stop(self) -> None:
        """End the venue; drop what was made outside the data folder."""
        let_go()
        self._registered.close()
        self.simulator.stop()
        if settings.DATABASE_URL:
            self._drop([self._name, *(self._copy(kept) for kept in ("start", "backup")), *self._aside])
            self._empty_cache()
            self._empty_broker()

    def compare(self) -> None:
        """The desk runs: its connection has been compared with the venue since its workers began."""
        assert tasks.reconcile(str(self.paper.connection.pk)) == "CLEAN"
        self.running_since = tasks.STARTED_AT

    def begin(self) -> None:
        """Everything as it was at the start, and the clock right."""
        self.clock.reset()
        began(self.running_since)
        self.restore("start")
        self._empty_broker()
        self._empty_cache()
        self.simulator.reset()
        self.paper.connection = Connection.objects.get(pk=self.paper.connection.pk)

    def keep(self, name: str) -> None:
        """A backup of the database."""
        let_go()
        if settings.DATABASE_URL:
            copy = self._copy(name)
            self._postgres(
                f'DROP DATABASE IF EXISTS "{copy}" WITH (FORCE)',
                f'CREATE DATABASE "{copy}" TEMPLATE "{self._name}" STRATEGY WAL_LOG',
            )
            return
        with sqlite3.connect(self._file) as source:
            source.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        source.close()
        shutil.copyfile(self._file, self._file.with_suffix(f".{name}"))

    def restore(self, name: str) -> None:
        """The database goes back to a backup."""
        let_go()
        if settings.DATABASE_URL:
            # To drop one makes the server write all its memory to disk, for everybody on it: put aside, many at once.
            self._aside.append(self._copy(f"aside_{len(self._aside)}"))
            self._postgres(
                f'ALTER DATABASE "{self._name}" RENAME TO "{self._aside[-1]}"',
                f'CREATE DATABASE "{self._name}" TEMPLATE "{self._copy(name)}" STRATEGY WAL_LOG',
            )
            if len(self._aside) == ASIDE_MAX:
                self._drop(self._aside)
            return
        for suffix in ("-wal", "-shm"):
            Path(f"{self._file}{suffix}").unlink(missing_ok=True)
        shutil.copyfile(self._file.with_suffix(f".{name}"), self._file)

    def _declare(self) -> None:
        with app.connection_for_write() as broker:
            for queue in app.amqp.queues.values():
                queue(broker.default_channel).declare()

    def _empty_broker(self) -> None:
        if settings.REDIS_URL:
            with app.connection_for_write() as broker:
                broker.default_channel.client.delete(*QUEUES, "unacked", "unacked_index")
            return
        for folder in ("queue", "taken"):
            for entry in os.scandir(Path(settings.BROKER_DIR) / folder):
                os.unlink(entry.path)

    def _empty_cache(self) -> None:
        """Its own keys alone: `clear` empties a whole database of Redis, and takes the messages of the processes beside
        this one."""
        if not settings.REDIS_URL:
            cache.clear()
            return
        with Redis.from_url(settings.REDIS_URL) as server:
            for key in server.scan_iter(f"{settings.CACHES['default']['KEY_PREFIX']}:*"):
                server.delete(key)

    @property
    def _file(self) -> Path:
        return Path(connections["default"].settings_dict["NAME"])

    @property
    def _name(self) -> str:
        return urlsplit(settings.DATABASE_URL).path.lstrip("/")

    def _copy(self, name: str) -> str:
        return f"{self._name}_{name}"

    def _drop(self, names: list[str]) -> None:
        self._postgres(*(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)' for name in names))
        self._aside.clear()

    def _postgres(self, *statements: str) -> None:
        """On the server's own database: nobody may be connected to one that is copied."""
        url = urlsplit(settings.DATABASE_URL)._replace(scheme="postgresql", path="/postgres").geturl()
        with psycopg.connect(url, autocommit=True) as connection:
            # Whoever was killed may not have been noticed by the server yet.
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [self._name]
            )
            for statement in statements:
                connection.execute(statement.encode())
