"""Many reads that see one moment, while others go on writing."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


@contextmanager
def one_moment() -> Iterator[None]:
    """Every query in the block sees the database as it was at the first of them, and nobody waits for it.

    Inside a transaction that is already open there is nothing to choose any more: its own rules hold. Read only; on
    SQLite a write in the block fails where somebody else wrote meanwhile.
    """
    if connection.in_atomic_block:
        yield
        return
    if connection.vendor == "sqlite":
        with _deferred(), transaction.atomic():
            yield
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


@contextmanager
def _deferred() -> Iterator[None]:
    """Elsewhere transactions begin as writers, and only one may write; a reader of a WAL needs no lock at all."""
    connection.ensure_connection()
    mode = connection.transaction_mode  # type: ignore[attr-defined]  # SQLite's wrapper has it, the base class not
    connection.transaction_mode = "DEFERRED"  # type: ignore[attr-defined]
    try:
        yield
    finally:
        connection.transaction_mode = mode  # type: ignore[attr-defined]
