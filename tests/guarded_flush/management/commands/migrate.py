"""Django's migrate, for the empty SQLite database that every test process, and every installation that a test starts,
begins with: the migrations run once for one state of the code, and what they made is copied from then on.

The copy is named for all code that migrations could read, and for every installed package, so that it is never of
another state. Only settings of tests know this app.
"""

import fcntl
import gc
import hashlib
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.commands import migrate
from django.db import connections

KEPT_MAX = 4


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        whole = not (options["app_label"] or options["plan"] or options["check_unapplied"] or options["fake"])
        if connection.vendor != "sqlite" or not whole or connection.introspection.table_names():
            super().handle(*args, **options)
            return
        prepared = kept_at(Path(settings.BASE_DIR))
        with _alone(prepared.parent / "schema.lock"):
            if not prepared.exists():
                with _without_collections():
                    super().handle(*args, **options)
                _keep(connection.connection, prepared)
                return
        with closing(sqlite3.connect(prepared)) as source:
            source.backup(connection.connection)


def kept_at(root: Path) -> Path:
    """Where the copy for this state of the code is, or will be: one for all processes of this machine."""
    folder = Path(tempfile.gettempdir()) / "aika-tests"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"schema-{state_of_code(root)}.sqlite3"


def state_of_code(root: Path) -> str:
    """A name for everything that decides what the migrations make."""
    digest = hashlib.sha256(sqlite3.sqlite_version.encode())
    for package in sorted(f"{found.name}={found.version}" for found in distributions()):
        digest.update(package.encode())
    for folder in ("apps", "config", "tests/guarded_flush"):
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:20]


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time; the lock goes with its process."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _without_collections() -> Iterator[None]:
    """Migrations make hundreds of thousands of objects that all live to their end: looking for garbage is a third."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _keep(made: sqlite3.Connection, prepared: Path) -> None:
    whole = prepared.with_suffix(".part")
    whole.unlink(missing_ok=True)
    with closing(sqlite3.connect(whole)) as target:
        made.backup(target)
        # A copy in WAL mode could not be read into memory.
        target.execute("PRAGMA journal_mode=DELETE")
    whole.replace(prepared)
    older = sorted(prepared.parent.glob("schema-*.sqlite3"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in older[KEPT_MAX:]:
        path.unlink(missing_ok=True)
