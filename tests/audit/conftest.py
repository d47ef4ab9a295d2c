"""A small log, and a hand that changes it as its owner would: with the guards off."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from apps.audit.models import Event
from apps.audit.services import events
from apps.audit.types import Actor, ActorKind
from apps.common import guard_triggers
from apps.common.guards import expected_guards

Record = Callable[..., Event]


@pytest.fixture
def empty_log(unguarded: Callable[..., None]) -> None:
    """Nothing recorded yet, whatever setting up the database has recorded."""
    unguarded("DELETE FROM audit_event", "DELETE FROM audit_streamhead")


@pytest.fixture
def record(empty_log: None, now: Any) -> Record:
    """Records one event with believable facts; every fact can be set."""

    def one(stream: str = "proposal:1", **facts: Any) -> Event:
        actor = Actor(ActorKind.API_KEY, "key-1", "momentum-bot", on_behalf_of="user-1")
        with transaction.atomic():
            return events.record(
                **{
                    "stream": stream,
                    "kind": "proposal.proposed",
                    "actor": actor,
                    "subject": stream,
                    "payload": {"note": "as asked"},
                    "now": now,
                    **facts,
                }
            )

    return one


@pytest.fixture
def log(record: Record) -> list[Event]:
    """Two streams, interleaved: a b a b a."""
    return [record(stream=f"proposal:{name}", payload={"n": n}) for n, name in enumerate("ababa")]


@pytest.fixture
def unguarded(db: None) -> Callable[..., None]:
    """Runs statements as the owner of the database may: guards off, the deed, guards on again."""

    def run(*statements: Any) -> None:
        items = [item for table, item in expected_guards(connection).items() if table.startswith("audit_")]
        with connection.cursor() as cursor:
            for item in items:
                for sql in guard_triggers.drop_statements(connection, item.table):
                    cursor.execute(sql)
            for statement in statements:
                cursor.execute(*([statement] if isinstance(statement, str) else statement))
            for item in items:
                for sql in guard_triggers.create_statements(connection, item.table, item.refusals):
                    cursor.execute(sql)

    return run
