"""A plugin of pytest (`-p tests.left_out`): writes which tests were skipped, for a run where they are not.

What one database cannot show is skipped on it. `.ci/run` runs everything on PostgreSQL, and then on SQLite what that
run left out, from the file named by `AIKA_LEFT_OUT`.
"""

import os
from pathlib import Path

import pytest

_skipped: set[str] = set()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Hears of every worker's tests, in the process that started them."""
    if report.skipped:
        _skipped.add(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """One to a line, as pytest takes them with `@FILE`."""
    if not hasattr(session.config, "workerinput"):
        lines = "".join(f"{name}\n" for name in sorted(_skipped))
        Path(os.environ["AIKA_LEFT_OUT"]).write_text(lines, encoding="utf-8")
