"""A small log, and a hand that changes it as its owner would: with the guards off."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction

from apps.audit.models import Event
from apps.audit.services import events, keys, sealing
from apps.audit.services.keys import SigningKey
from apps.audit.types import Actor, ActorKind
from apps.common import guard_triggers
from apps.common.guards import expected_guards

Record = Callable[..., Event]


@pytest.fixture
def empty_log(unguarded: Callable[..., None]) -> None:
    """Nothing recorded yet, whatever setting up the database has recorded."""
    tables = ("audit_event", "audit_streamhead", "audit_seal", "audit_checkpoint")
    unguarded(*(f"DELETE FROM {table}" for table in tables))  # noqa: S608  constants


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


@pytest.fixture
def key(tmp_path: Path, settings: Any) -> SigningKey:
    """A sealing key in a file of its own, believed, and a folder for anchors."""
    settings.AUDIT_SEAL_KEY_FILE = str(tmp_path / "seal.pem")
    settings.AUDIT_SEAL_PUBLIC_KEYS = [keys.generate(path=tmp_path / "seal.pem").hex()]
    settings.AUDIT_ANCHOR_DIR = str(tmp_path / "anchors")
    return keys.signing_key()


@pytest.fixture
def sealed(record: Record, key: SigningKey, now: datetime) -> list[Event]:
    """Three checkpoints of 3, 2 and 1 events of two streams, and one event that is not sealed."""
    found = []
    for turn, names in enumerate(("aba", "ba", "b")):
        found += [record(stream=f"proposal:{name}", payload={"turn": turn}) for name in names]
        sealing.seal(now=now + timedelta(seconds=10 * turn))
    return [*found, record(stream="proposal:a", payload={"turn": "late"})]
