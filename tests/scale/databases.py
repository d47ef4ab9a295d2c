"""The databases of a run, thrown away afterwards: the one that grows, and its copy from when it was small."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg

URL: Final = os.environ.get("SCALE_DATABASE_URL", "postgres://root@127.0.0.1/aika_scale_bench")
NAME: Final = urlsplit(URL).path.lstrip("/")
FEW: Final = f"{NAME}_few"


def create(name: str, *, like: str = "template1") -> None:
    """A database of this name, instead of the one that there is; a copy of `like`, to which nobody is connected."""
    _admin(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', f'CREATE DATABASE "{name}" TEMPLATE "{like}"')


def drop() -> None:
    """Both."""
    _admin(*(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)' for name in (NAME, FEW)))


def _admin(*statements: str) -> None:
    url = urlsplit(URL)._replace(scheme="postgresql", path="/postgres").geturl()
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


class Databases:
    """A connection to each of several databases; `at` makes one of them Django's, and both stay open meanwhile."""

    def __init__(self, *names: str) -> None:
        from django.db import connections

        self._own = connections["default"]
        self._open: dict[str, Any] = {}
        for name in names:
            made = connections.create_connection("default")
            made.settings_dict = {**made.settings_dict, "NAME": name}
            self._open[name] = made

    @contextmanager
    def at(self, name: str) -> Iterator[None]:
        """Everything in this block asks that database."""
        from django.db import connections

        connections["default"] = self._open[name]
        try:
            yield
        finally:
            connections["default"] = self._own

    def close(self) -> None:
        for one in self._open.values():
            one.close()
