"""No process takes work with a key that cannot be used, or with keys that open nothing of what rests."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography.fernet import Fernet

from tests.architecture.test_settings import PRODUCTION, ROOT

pytestmark = pytest.mark.slow

RIGHT, OTHER = (Fernet.generate_key().decode() for _ in range(2))
STARTS = {
    "web": ("gunicorn", "config.wsgi:application", "--config", "config/gunicorn.py", "--bind", "127.0.0.1:0"),
    "live": ("config.live", "--bind", "127.0.0.1:0"),
    "worker": ("celery", "-A", "config", "worker", "--queues", "execution", "--concurrency", "1"),
    "beat": ("celery", "-A", "config", "beat", "--pidfile", ""),
}
S_MAX = 120
"""A process that comes up stays up: that it does is the failure."""
Started = Callable[..., subprocess.CompletedProcess[str]]


def run(variables: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **variables}
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
        timeout=S_MAX,
    )  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A data folder whose database holds one secret, and of all tables only the one that it rests in."""
    made = {"secret_key": "k" * 50, "token_encryption_key": OTHER}
    (tmp_path / "secrets.json").write_text(json.dumps(made), encoding="utf-8")
    with closing(sqlite3.connect(tmp_path / "aika.sqlite3")) as database, database:
        database.execute("CREATE TABLE connectors_connection (id char(32) PRIMARY KEY, secret BLOB)")
        token = Fernet(RIGHT).encrypt(b"as it rests")
        database.execute("INSERT INTO connectors_connection VALUES (?, ?)", [uuid4().hex, token])
    return tmp_path


def at(home: Path, *keys: str) -> dict[str, str]:
    local = {"DJANGO_SETTINGS_MODULE": "config.settings.local", "AIKA_DATA_DIR": str(home)}
    return {**local, "TOKEN_ENCRYPTION_KEY": ",".join(keys)}


def resting(home: Path) -> list[tuple[str, bytes]]:
    with closing(sqlite3.connect(home / "aika.sqlite3")) as database:
        return database.execute("SELECT id, secret FROM connectors_connection").fetchall()


@pytest.mark.parametrize("name", sorted(STARTS))
def test_a_malformed_key_ends_each_process_with_one_line(name: str) -> None:
    ended = run({**PRODUCTION, "TOKEN_ENCRYPTION_KEY": f"{RIGHT},short"}, "-m", *STARTS[name])

    assert ended.returncode == 3, ended.stderr
    assert "TOKEN_ENCRYPTION_KEY holds a malformed key: 32 bytes in urlsafe base64.\n" in ended.stderr
    assert "Traceback" not in ended.stderr and RIGHT not in ended.stderr + ended.stdout


@pytest.mark.parametrize("name", sorted(STARTS))
def test_keys_that_open_nothing_end_each_process_and_overwrite_nothing(name: str, home: Path) -> None:
    before = resting(home)

    ended = run(at(home, OTHER), "-m", *STARTS[name])

    assert ended.returncode == 3, ended.stderr
    assert "No key in TOKEN_ENCRYPTION_KEY opens the secrets in this database" in ended.stderr
    assert "Traceback" not in ended.stderr and OTHER not in ended.stderr + ended.stdout
    assert resting(home) == before


@pytest.mark.parametrize("door", ["config.wsgi", "config.asgi"])
def test_the_doors_themselves_need_keys_whoever_serves_them(door: str) -> None:
    ended = run({**PRODUCTION, "TOKEN_ENCRYPTION_KEY": "short"}, "-c", f"import {door}")

    assert ended.returncode != 0
    assert "TOKEN_ENCRYPTION_KEY holds a malformed key" in ended.stderr.splitlines()[-1]
    assert run(PRODUCTION, "-c", f"import {door}").returncode == 0


BEGIN = "from config import start; start.require_keys(); print('goes on')"


def test_the_right_key_lets_it_go_on_in_whatever_place(home: Path) -> None:
    for keys in ([RIGHT], [OTHER, RIGHT]):
        assert run(at(home, *keys), "-c", BEGIN).stdout == "goes on\n", keys
    assert run(at(home, OTHER), "-c", BEGIN).returncode == 3


def test_one_damaged_row_and_a_database_that_is_away_keep_nobody_from_starting(home: Path) -> None:
    with closing(sqlite3.connect(home / "aika.sqlite3")) as database, database:
        database.execute("INSERT INTO connectors_connection VALUES (?, ?)", ["f" * 32, b"damaged"])
    assert run(at(home, RIGHT), "-c", BEGIN).stdout == "goes on\n"

    away = run(PRODUCTION, "-c", BEGIN)
    assert away.stdout == "goes on\n"
    assert "The database was not asked whether the keys open what rests" in away.stderr
