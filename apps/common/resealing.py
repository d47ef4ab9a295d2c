"""Giving secrets at rest the first key, while the application goes on working with them.

A ciphertext is replaced only where it is still the one that was read (compare-and-swap): who writes meanwhile wins, and
their row is looked at again. What no key opens stays as it is and is told.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.apps import apps
from django.conf import settings
from django.db import connection, models, transaction

from apps.common.encryption import SEALED_PREFIX, EncryptedTextField, require_keys

BATCH: Final = 200
TRIES_MAX: Final = 5
Report = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class Place:
    """Where secrets are kept: a sealed column, or a column of JSON with sealed texts in it."""

    model: type[models.Model]
    column: str
    is_json: bool = False

    @property
    def name(self) -> str:
        """`app.Model.field`"""
        return f"{self.model._meta.label}.{self.column}"


@dataclass(slots=True)
class Tally:
    """What became of the secrets of some places: given the first key, having it already, or told as `problems`."""

    rotated: int = 0
    current: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def seen(self) -> int:
        """How many were looked at."""
        return self.rotated + self.current + len(self.problems)


class _Keys:
    """The first key alone, and all of them. Raises ImproperlyConfigured where one cannot be used."""

    def __init__(self) -> None:
        require_keys()
        keys = [Fernet(key) for key in settings.TOKEN_ENCRYPTION_KEYS]
        self.first, self.all = keys[0], MultiFernet(keys)

    def renewed(self, token: bytes) -> bytes | None:
        """The same secret under the first key; None where it has that already. Raises InvalidToken."""
        try:
            self.first.decrypt(token)
        except InvalidToken:
            return self.all.rotate(token)
        return None


def sealed_columns() -> list[Place]:
    """Every sealed column of every model there is."""
    return [
        Place(model, column.name)
        for model in apps.get_models()
        for column in model._meta.local_concrete_fields
        if isinstance(column, EncryptedTextField)
    ]


def count(places: list[Place]) -> int:
    """How many secrets there are to look at, at most."""
    return sum(_rows(place).count() for place in places)


def reseal(places: list[Place], *, report: Report, dry_run: bool = False) -> Tally:
    """Give every secret of these places the first key. Safe to stop and repeat: what has it already is skipped.

    Raises ImproperlyConfigured without usable keys.
    """
    keys, tally, total = _Keys(), Tally(), count(places)
    for place in places:
        for pk in _ids(place):
            (_reseal_json if place.is_json else _reseal_column)(place, pk, keys, tally, dry_run)
            report(tally.seen, max(total, tally.seen))
    return tally


def unreadable(places: list[Place], *, limit: int) -> list[str]:
    """The places with a secret that no key opens, looking at so many rows of each at most."""
    keys, found = _Keys(), []
    for place in places:
        tally = Tally()
        for pk in list(_rows(place).order_by("-pk").values_list("pk", flat=True)[:limit]):
            (_reseal_json if place.is_json else _reseal_column)(place, pk, keys, tally, True)
        if tally.problems:
            found.append(place.name)
    return found


def opens_none(places: list[Place], *, limit: int) -> bool:
    """Whether there are secrets, and no key opens any of the newest so many of each place."""
    keys, tally = _Keys(), Tally()
    for place in places:
        for pk in list(_rows(place).order_by("-pk").values_list("pk", flat=True)[:limit]):
            (_reseal_json if place.is_json else _reseal_column)(place, pk, keys, tally, True)
            if tally.rotated or tally.current:
                return False
    return bool(tally.problems)


def _rows(place: Place) -> models.QuerySet[Any]:
    return place.model._base_manager.filter(**{f"{place.column}__isnull": False})


def _ids(place: Place) -> Iterator[Any]:
    """In order of their keys, some at a time: rows that are added meanwhile have the first key anyway."""
    last = None
    while True:
        rows = _rows(place).order_by("pk")
        ids = list((rows if last is None else rows.filter(pk__gt=last)).values_list("pk", flat=True)[:BATCH])
        if not ids:
            return
        yield from ids
        last = ids[-1]


def _reseal_column(place: Place, pk: Any, keys: _Keys, tally: Tally, dry_run: bool) -> None:
    meta: Any = place.model._meta
    quote, key = connection.ops.quote_name, meta.pk
    table, where = quote(meta.db_table), f"{quote(key.column)} = %s"
    named = quote(meta.get_field(place.column).column)
    stored = key.get_db_prep_value(pk, connection)
    for _ in range(TRIES_MAX):
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {named} FROM {table} WHERE {where}", [stored])  # noqa: S608  names of our models
            row = cursor.fetchone()
        if row is None or row[0] is None:
            return
        token = bytes(row[0])
        try:
            renewed = keys.renewed(token)
        except InvalidToken:
            tally.problems.append(f"{place.name} of {pk}: no key opens it")
            return
        if renewed is None:
            tally.current += 1
            return
        if dry_run or _swap(f"UPDATE {table} SET {named} = %s WHERE {where} AND {named} = %s", stored, token, renewed):  # noqa: S608  as above
            tally.rotated += 1
            return
    tally.problems.append(f"{place.name} of {pk}: changed again and again, look once more")


def _swap(sql: str, stored: Any, token: bytes, renewed: bytes) -> bool:
    """Whether the row still held `token`, and holds `renewed` now."""
    binary = connection.Database.Binary  # type: ignore[attr-defined]  # each backend's DB-API module
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, [binary(renewed), stored, binary(token)])
        return bool(cursor.rowcount == 1)


def _reseal_json(place: Place, pk: Any, keys: _Keys, tally: Tally, dry_run: bool) -> None:
    """Under the row's lock: its owner is a library, which reads and writes the whole value."""
    with transaction.atomic():
        row = place.model._base_manager.select_for_update().filter(pk=pk).first()
        if row is None:
            return
        before = getattr(row, place.column)
        mine = Tally()
        after = _walked(before, keys, mine, f"{place.name} of {pk}")
        if after != before and not dry_run:
            setattr(row, place.column, after)
            row.save(update_fields=[place.column])
    tally.rotated += mine.rotated
    tally.current += mine.current
    tally.problems += mine.problems


def _walked(value: Any, keys: _Keys, tally: Tally, name: str) -> Any:
    if isinstance(value, dict):
        return {key: _walked(inner, keys, tally, name) for key, inner in value.items()}
    if isinstance(value, list):
        return [_walked(inner, keys, tally, name) for inner in value]
    if not isinstance(value, str) or not value.startswith(SEALED_PREFIX):
        return value
    try:
        renewed = keys.renewed(value.removeprefix(SEALED_PREFIX).encode())
    except InvalidToken:
        tally.problems.append(f"{name}: no key opens it")
        return value
    if renewed is None:
        tally.current += 1
        return value
    tally.rotated += 1
    return SEALED_PREFIX + renewed.decode()


def existing(places: list[Place]) -> list[Place]:
    """Those whose migrations have run."""
    introspection = connection.introspection
    with connection.cursor() as cursor:
        tables = set(introspection.table_names(cursor))
        found = {
            table: {column.name for column in introspection.get_table_description(cursor, table)}
            for table in {place.model._meta.db_table for place in places} & tables
        }
    return [
        place
        for place in places
        if place.model._meta.get_field(place.column).column in found.get(place.model._meta.db_table, ())  # type: ignore[union-attr]
    ]
