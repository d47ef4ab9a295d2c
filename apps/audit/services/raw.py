"""Reading rows past Django's converters, so that a broken value is a finding and never a crash."""

from datetime import datetime

from django.db import connection

from apps.common.decimals import instant_text, parse_instant
from apps.common.errors import Invalid


def columns(names: tuple[str, ...], *, table: str = "") -> str:
    """The columns; on SQLite as bytes unless they hold an integer.

    A SQLite column holds whatever a file editor wrote, and text that is not UTF-8 would stop the reading.
    """
    named = [f'{table}."{name}"' if table else f'"{name}"' for name in names]
    if connection.vendor == "postgresql":
        return ", ".join(named)
    return ", ".join(f"CASE typeof({name}) WHEN 'integer' THEN {name} ELSE CAST({name} AS BLOB) END" for name in named)


def plain(value: object) -> str:
    """A column's text, whatever it holds."""
    if type(value) is str:
        return value
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def octets(value: object) -> bytes:
    """A column's bytes; none for anything else."""
    if type(value) is bytes:
        return value
    return bytes(value) if isinstance(value, memoryview) else b""


def same_instant(column: object, said: object) -> bool:
    """SQLite hands out the text it holds, and every byte of that counts; PostgreSQL an instant, or its written form."""
    if type(column) is str:
        return column == said
    if isinstance(column, datetime):
        return instant_text(column) == said
    try:
        return plain(column) == str(parse_instant(said, field="recorded_at").replace(tzinfo=None))
    except Invalid:
        return False
