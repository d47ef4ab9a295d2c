"""What commits and what leaves while a test works, and whether the last thing before it was its place."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from apps.common import faults
from apps.connectors.venues import http

ROOT = Path(__file__).resolve().parents[2]
HERE = str(Path(__file__).relative_to(ROOT))
WRITES = ("INSERT", "UPDATE", "DELETE")
# Where a frame stands that only hands on.
HANDS_ON = (HERE, "apps/common/", "apps/audit/", "apps/connectors/", "apps/quotes/")
# What a client or a person looks at before they act: functions of the desk of the tests.
LOOKS = {"crossing_price", "seen"}


class Killed(BaseException):
    """The process is gone."""


class Watch:
    """What was committed and asked, and whether the last thing before it was its place."""

    def __init__(self) -> None:
        self.last = self.kill_at = ""
        self.wrote = False
        self.asking: set[str] = set()
        self.bare: set[str] = set()
        self.commits = self.requests = 0

    def point(self, label: str) -> None:
        """The hook of `faults`."""
        if label == self.kill_at:
            raise Killed
        self.last = label
        name, _, moment = label.partition(".")
        if moment == "before_call":
            self.asking.add(name)
        elif moment == "after_call":
            self.asking.discard(name)

    def statement(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        """A wrapper of `execute`."""
        if sql.lstrip().upper().startswith(WRITES):
            self.wrote, self.last = True, ""
            if not connection.in_atomic_block:
                self.commit()
        return execute(sql, params, many, context)

    def commit(self) -> None:
        """What was written so far is there for everybody from now on."""
        if self.wrote:
            self.commits += 1
            if not self.last.endswith(".before_commit"):
                self.bare.add(f"{who()}: transaction")
        self.wrote = False

    def request(self) -> None:
        """A request leaves for the venue."""
        if LOOKS & {name for _, name in callers()}:
            return
        self.requests += 1
        if not self.asking:
            self.bare.add(f"{who()}: venue")


def callers() -> Iterator[tuple[str, str]]:
    """File below the root of the project, and function: the innermost first."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_back is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(ROOT) and ".venv" not in path.parts:
            yield str(path.relative_to(ROOT)), frame.f_code.co_name
        frame = frame.f_back


def who() -> str:
    """The innermost function that does not only hand on."""
    return next(f"{path} {name}" for path, name in callers() if not path.startswith(HANDS_ON))


def watching(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """From here on, for a fixture."""
    seen = Watch()
    really: Callable[[], None] = connection.commit
    exchange = http.Http._exchange

    def commit() -> None:
        seen.commit()
        really()

    def asked(self: http.Http, *args: Any) -> Any:
        seen.request()
        return exchange(self, *args)

    monkeypatch.setattr(connection, "commit", commit)
    monkeypatch.setattr(http.Http, "_exchange", asked)
    faults.install(seen.point)
    with connection.execute_wrapper(seen.statement):
        yield seen
    faults.install(None)
