"""Keys are rotated while secrets are replaced: nobody's write is lost, and none keeps the old key."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from threading import Event
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.db import connection
from django.test import override_settings

from apps.common import resealing
from apps.common.resealing import Place
from apps.connectors.models import Connection
from tests.factories.connectors import ConnectionFactory
from tests.races.conftest import together

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))
PLACES = [Place(Connection, "secret")]
ROUNDS = 15


def writer(pk: Any) -> Callable[[], str]:
    """Replaces one connection's secret again and again; the last one written."""

    def write() -> str:
        secret = ""
        for number in range(ROUNDS):
            row = Connection.objects.get(pk=pk)
            row.secret = secret = f"{pk}-{number}"
            row.save(update_fields=["secret"])
        return secret

    return write


def rotator() -> resealing.Tally:
    tally = resealing.Tally()
    for _ in range(3):
        tally = resealing.reseal(PLACES, report=lambda done, total: None)
    return tally


def test_no_secret_is_lost_when_it_is_replaced_while_keys_are_rotated() -> None:
    with override_settings(TOKEN_ENCRYPTION_KEYS=(OLD,)):
        rows = [ConnectionFactory(secret="first") for _ in range(6)]
    with override_settings(TOKEN_ENCRYPTION_KEYS=(NEW, OLD)):
        *written, tally, _ = together([*(writer(row.pk) for row in rows[:4]), rotator, rotator])
    assert isinstance(tally, resealing.Tally) and tally.problems == []
    with override_settings(TOKEN_ENCRYPTION_KEYS=(NEW,)):
        found = [Connection.objects.get(pk=row.pk).secret.reveal() for row in rows]
    assert found == [*written, "first", "first"]


@pytest.mark.parametrize("is_naive", [False, True])
def test_a_secret_replaced_between_reading_and_writing_stays(monkeypatch: pytest.MonkeyPatch, is_naive: bool) -> None:
    """The naive rotation, which writes whatever the row holds by then, brings the old secret back."""
    with override_settings(TOKEN_ENCRYPTION_KEYS=(OLD,)):
        row = ConnectionFactory(secret="before")
    swap, was_replaced = resealing._swap, []

    def replaced_meanwhile(sql: str, stored: Any, token: bytes, renewed: bytes) -> bool:
        if not was_replaced:
            was_replaced.append(True)
            replacing = Connection.objects.get(pk=row.pk)
            replacing.secret = "after"
            replacing.save(update_fields=["secret"])
        if is_naive:
            with connection.cursor() as cursor:
                cursor.execute(sql.rpartition(" AND ")[0], [renewed, stored])
            return True
        return swap(sql, stored, token, renewed)

    monkeypatch.setattr(resealing, "_swap", replaced_meanwhile)
    with override_settings(TOKEN_ENCRYPTION_KEYS=(NEW, OLD)):
        resealing.reseal(PLACES, report=lambda done, total: None)
        assert Connection.objects.get(pk=row.pk).secret == ("before" if is_naive else "after")


KILLED_AFTER, ROWS = 7, 20
ROTATING = """
import time, django
django.setup()
from django.conf import settings
from django.test import override_settings
from apps.common import resealing
from apps.common.resealing import Place
from apps.connectors.models import Connection

def said(done, total):
    print(done, flush=True)
    time.sleep(0.02)

with override_settings(TOKEN_ENCRYPTION_KEYS=({new!r}, {old!r})):
    resealing.reseal([Place(Connection, "secret")], report=said)
"""


def writer_until(ended: Event, pk: Any) -> Callable[[], None]:
    """Replaces one connection's secret for as long as the rotation lives."""

    def write() -> None:
        while not ended.wait(0.01):
            writer(pk)()

    return write


def killed_in_the_middle(ended: Event) -> int:
    """A rotation in a process of its own, ended by SIGKILL after so many secrets; its exit code."""
    database = urlsplit(settings.DATABASE_URL)._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    environment = {**os.environ, "DATABASE_URL": database, "DJANGO_SETTINGS_MODULE": "config.settings.test"}
    script = ROTATING.format(new=NEW, old=OLD)
    with subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= KILLED_AFTER:
                process.kill()
                break
        code = process.wait(30)
    ended.set()
    return code


def opens_with(key: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM connectors_connection")
        tokens = [bytes(token) for (token,) in cursor.fetchall()]
    found = 0
    for token in tokens:
        with suppress(InvalidToken):
            Fernet(key).decrypt(token)
            found += 1
    return found


def test_a_rotation_that_was_killed_under_writers_and_run_again_loses_nothing() -> None:
    with override_settings(TOKEN_ENCRYPTION_KEYS=(OLD,)):
        rows = [ConnectionFactory(secret=f"first {number}") for number in range(ROWS)]
    with override_settings(TOKEN_ENCRYPTION_KEYS=(NEW, OLD)):
        ended = Event()
        *_, code = together([*(writer_until(ended, row.pk) for row in rows[:4]), lambda: killed_in_the_middle(ended)])
        assert code == -signal.SIGKILL
        assert opens_with(OLD) > 0 and opens_with(NEW) >= KILLED_AFTER, "it was killed too early or too late"
        *written, tally = together([*(writer(row.pk) for row in rows[:4]), rotator])
        assert isinstance(tally, resealing.Tally) and tally.problems == []
    assert opens_with(OLD) == 0
    with override_settings(TOKEN_ENCRYPTION_KEYS=(NEW,)):
        found = [Connection.objects.get(pk=row.pk).secret.reveal() for row in rows]
    assert found == [*written, *(f"first {number}" for number in range(4, ROWS))]
