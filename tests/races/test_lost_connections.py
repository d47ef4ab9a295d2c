"""A database that was restarted: no connection from before is handed out, by a pool or to the next task of a worker."""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery.fixups.django import DjangoWorkerFixup
from django.conf import settings
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import ConnectionHandler
from pytest_django import DjangoDbBlocker

from config import celery as ours
from config.settings.base import database

pytestmark = pytest.mark.postgres

MINE = "SELECT pg_backend_pid()"
OPEN = "SELECT count(*) FROM pg_stat_activity WHERE application_name = current_setting('application_name')"
END = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = %s"
ALIAS = "as-served"


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, django_db_blocker: DjangoDbBlocker) -> Iterator[BaseDatabaseWrapper]:
    """A connection with the settings of a server installation, pool and all, to the database of the tests."""
    there = deepcopy(database(settings.DATABASE_URL, Path()))
    there["NAME"] = settings.DATABASES["default"]["NAME"]
    there["OPTIONS"]["application_name"] = ALIAS
    monkeypatch.setattr(settings, "DATABASES", {"default": {}, ALIAS: there})
    handler = ConnectionHandler(settings.DATABASES)
    with django_db_blocker.unblock():
        yield handler[ALIAS]
        handler[ALIAS].close()
        if there["OPTIONS"].get("pool"):
            handler[ALIAS].close_pool()  # type: ignore[attr-defined]


def asked(served: BaseDatabaseWrapper, query: str = MINE) -> int:
    with served.cursor() as cursor:
        cursor.execute(query)
        return int(cursor.fetchone()[0])


def end_them_all() -> None:
    """As a restart does."""
    with connection.cursor() as cursor:
        cursor.execute(END, [ALIAS])
        assert cursor.fetchone()[0] > 0


@pytest.mark.django_db(transaction=True)
def test_a_pool_hands_out_no_connection_that_was_ended(served: BaseDatabaseWrapper) -> None:
    before = asked(served)
    served.close()
    end_them_all()
    assert asked(served) != before


class Worker:
    """What Celery does around the tasks of a child of a prefork worker, ours included."""

    def __init__(self, served: BaseDatabaseWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
        self.served = served
        self.fixup = DjangoWorkerFixup(ours.make_app(current=False))
        self.fixup.worker = SimpleNamespace(pool_cls="celery.concurrency.prefork:TaskPool")
        monkeypatch.setattr("django.db.connections", ConnectionsOf(served))
        self.task = SimpleNamespace(request=SimpleNamespace(is_eager=False))

    def run(self) -> int:
        """A task that asks for its backend."""
        self.fixup.on_task_prerun(self.task)
        ours.let_go(task=self.task)
        found = asked(self.served)
        self.fixup.on_task_postrun(self.task)
        ours.let_go(task=self.task)
        return found


class ConnectionsOf(list[BaseDatabaseWrapper]):
    """As django.db.connections, of one."""

    def __init__(self, served: BaseDatabaseWrapper) -> None:
        super().__init__([served])

    def all(self, *, initialized_only: bool = False) -> list[BaseDatabaseWrapper]:
        return list(self)


@pytest.mark.django_db(transaction=True)
def test_a_worker_keeps_one_connection_over_its_tasks_and_gets_another_where_that_was_ended(
    served: BaseDatabaseWrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours.one_connection_each()
    worker = Worker(served, monkeypatch)

    before = worker.run()
    assert [worker.run() for _ in range(3)] == [before] * 3
    assert asked(served, OPEN) == 1
    end_them_all()
    assert worker.run() != before
