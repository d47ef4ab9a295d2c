"""One pytest session that is warmed once and then forked: for what each test runs, and for each mutant.

A child is a copy of a process that has imported, collected and made its database, so it starts within milliseconds; it
shares a memory database with nobody, and ends at the first test that fails. What the tests of an area run is recorded
first, by line: a mutant is shown to the tests that run its line, and to no other.
"""

import contextlib
import itertools
import json
import os
import resource
import select
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import coverage
import pytest

from tests.mutants.operators import ROOT, Mutant
from tests.mutants.patching import Patcher

# For one child: so many times what its tests took unchanged, and this much more. Beyond it a mutant hangs: it is found.
TIME_FACTOR = 8
TIME_MORE_S = 20
# On the clock, for a mutant that waits instead of computing; the machine may be busy with other things.
CLOCK_FACTOR = 10

# CPU seconds of tests that a mutant is shown: what is not noticed within them survives.
PATIENCE_S = 20

# The tests of warm.py, in their order, each with what tells that a test needs it.
WARM: tuple[Callable[[pytest.Item], bool], ...] = (
    lambda item: item.get_closest_marker("django_db") is not None or "db" in item.fixturenames,
    lambda item: "simulator_process" in item.fixturenames,
)

OPTIONS = ("-p", "no:xdist", "-p", "no:cacheprovider", "-p", "no:randomly", "--no-header", "-q")


@dataclass(frozen=True, slots=True)
class Record:
    """What the unchanged tests did."""

    ran: dict[str, dict[str, list[str]]]
    """path -> line -> node ids of the tests that ran it."""
    seconds: dict[str, float]
    """node id -> CPU seconds."""

    @classmethod
    def together(cls, shares: Iterable["Record"]) -> "Record":
        """The record of all tests, from those of some each."""
        ran: dict[str, dict[str, list[str]]] = {}
        seconds: dict[str, float] = {}
        for share in shares:
            seconds |= share.seconds
            for path, lines in share.ran.items():
                for line, tests in lines.items():
                    ran.setdefault(path, {}).setdefault(line, []).extend(tests)
        return cls(ran, seconds)

    def near(self, mutant: Mutant) -> set[str]:
        """The tests that run the changed line."""
        lines = self.ran.get(mutant.path, {})
        return {test for line in mutant.lines for test in lines.get(str(line), ())}


@dataclass(frozen=True, slots=True)
class Verdict:
    """`by` is the test that found it, `time` where it was stopped, or empty where it survives."""

    key: str
    by: str
    tried: int
    """Tests that run the changed line; 0 means that no test does."""


class Unclean(Exception):
    """A test fails without any mutant, or a child ended in a way that proves nothing."""


def run(tests: list[str], work: Callable[["Session"], None], log: Path) -> None:
    """Collect `tests`, warm up, and hand the session to `work`. Raises Unclean with the end of the log."""
    plugin = _Loop(work)
    with log.open("w", encoding="utf-8") as stream, _output_to(stream.fileno()):
        code = pytest.main([*OPTIONS, str(ROOT / "tests/mutants/warm.py"), *tests], plugins=[plugin])
    if plugin.error:
        raise plugin.error
    if not plugin.worked:
        raise Unclean(f"The session ended with {code}:\n{log.read_text(encoding='utf-8')[-3000:]}")


class Session:
    """The warmed process. `record` and `judge` fork; nothing that runs in a child comes back but what is written."""

    def __init__(self, session: pytest.Session) -> None:
        self.session = session
        self.items = {item.nodeid: item for item in session.items[len(WARM) :]}
        self.patcher: Patcher | None = None
        self.trusted: set[str] = set()
        self.seconds: dict[str, float] = {}

    def record(self, paths: list[str], share: int, of: int) -> Record:
        """Run every `of`-th test, from `share` on, and keep which lines of `paths` each runs."""
        items = [*self.items.values()][share::of]

        def child(tell: Callable[[str], None]) -> None:
            reports = _Reports(stop=None)
            self.session.config.pluginmanager.register(reports)
            measuring = coverage.Coverage(
                data_file=None, config_file=False, include=[str(ROOT / path) for path in paths], messages=False
            )
            measuring.start()
            seconds = {}
            for item, following in zip(items, [*items[1:], None], strict=True):
                measuring.switch_context(item.nodeid)
                began = time.process_time()
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                seconds[item.nodeid] = round(time.process_time() - began, 4)
            measuring.stop()
            data = measuring.get_data()
            ran = {}
            for path in paths:
                by_line = data.contexts_by_lineno(str(ROOT / path))
                ran[path] = {str(line): [test for test in tests if test] for line, tests in by_line.items()}
            tell(json.dumps({"failed": reports.failed, "ran": ran, "seconds": seconds}))

        answer = json.loads(_forked(child, cpu_s=3600, clock_s=7200) or "{}")
        if answer.get("failed", True):
            raise Unclean(f"These fail without any mutant: {answer.get('failed', 'the recording itself')}")
        return Record(answer["ran"], answer["seconds"])

    def judge(self, mutants: list[Mutant], record: Record) -> Iterator[Verdict]:
        """Each mutant shown to its tests, those first that found the ones before it."""
        self.patcher = self.patcher or Patcher(sorted({mutant.path for mutant in mutants}))
        self.seconds = record.seconds
        found: Counter[str] = Counter()
        for mutant in mutants:
            near = record.near(mutant) & self.items.keys()
            by = self._shown(mutant, self._in_order(near, found))
            self._trust(by)
            found[by] += 1
            yield Verdict(mutant.key, by, len(near))

    def _in_order(self, tests: set[str], found: Counter[str]) -> list[str]:
        """The ones that find much, then the quick ones, for as long as patience lasts; those that empty tables last."""
        ordered = sorted(tests, key=lambda test: (-found[test], self.seconds.get(test, 0)))
        spent = itertools.accumulate(self.seconds.get(test, 0) for test in ordered)
        within = [test for test, s in zip(ordered, spent, strict=True) if s <= PATIENCE_S] or ordered[:1]
        return sorted(within, key=lambda test: _flushes(self.items[test]))

    def _trust(self, test: str) -> None:
        """That a test fails says something only if it passes, alone and unchanged, in such a process too."""
        if test in self.items and test not in self.trusted:
            if self._shown(None, [test]):
                raise Unclean(f"{test} fails without any mutant when it runs alone")
            self.trusted.add(test)

    def _shown(self, mutant: Mutant | None, tests: list[str]) -> str:
        if not tests:
            return ""
        items = [self.items[test] for test in tests]

        def child(tell: Callable[[str], None]) -> None:
            if mutant is not None:
                assert self.patcher is not None
                self.patcher.put(mutant)
            self.session.config.pluginmanager.register(_Reports(stop=tell))
            for item, following in zip(items, [*items[1:], None], strict=True):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            tell("survives")

        cpu_s = TIME_MORE_S + TIME_FACTOR * sum(self.seconds.get(test, 0) for test in tests)
        answer = _forked(child, cpu_s=int(cpu_s), clock_s=cpu_s * CLOCK_FACTOR)
        if not answer:
            raise Unclean(f"A child ended without a word, with {mutant.key if mutant else tests}")
        return "" if answer == "survives" else answer


class _Loop:
    """Takes the place of pytest's own loop over the tests."""

    def __init__(self, work: Callable[[Session], None]) -> None:
        self.work = work
        self.worked = False
        self.error: Exception | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_load_initial_conftests(self) -> None:
        """Before the tests' conftest asks for the profile, and not before pytest has marked hypothesis as a plugin."""
        _steady_hypothesis()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        made, items = session.items[: len(WARM)], session.items[len(WARM) :]
        if session.testsfailed or not items:
            return None
        reports = _Reports(stop=None)
        session.config.pluginmanager.register(reports)
        for item, is_needed in zip(made, WARM, strict=True):
            if any(map(is_needed, items)):
                session.config.hook.pytest_runtest_protocol(item=item, nextitem=_Anything(session))
        session.config.pluginmanager.unregister(reports)
        try:
            if reports.failed:
                raise Unclean(f"Nothing can be warmed: {reports.failed}")
            self.work(Session(session))
            self.worked = True
        except Exception as error:  # noqa: BLE001  raised again by `run`, outside of pytest, which would only print it
            self.error = error
        return True


class _Anything:
    """A next test of which nothing is known but its session: all else is torn down, so that any test may follow."""

    def __init__(self, session: pytest.Session) -> None:
        self.session = session

    def listchain(self) -> list[pytest.Session]:
        """As pytest asks it, to see what stays."""
        return [self.session]


class _Reports:
    """Hears of every failure; with `stop`, says the first one and ends the process there."""

    def __init__(self, stop: Callable[[str], None] | None) -> None:
        self.stop = stop
        self.failed: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)
            if self.stop is not None:
                self.stop(report.nodeid)


def _flushes(item: Any) -> bool:
    marker = item.get_closest_marker("django_db")
    return bool(marker and marker.kwargs.get("transaction")) or "transactional_db" in item.fixturenames


def _steady_hypothesis() -> None:
    """The same examples each time, none kept on disk, and no time spent on making a failing one small."""
    from hypothesis import HealthCheck, Phase, settings

    settings.register_profile(
        "mutants",
        deadline=None,
        max_examples=25,
        database=None,
        derandomize=True,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    os.environ["HYPOTHESIS_PROFILE"] = "mutants"


def _forked(child: Callable[[Callable[[str], None]], None], *, cpu_s: int, clock_s: float) -> str:
    """What the child said before it ended; `time` where it had to be stopped. All that it started ends with it."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reading)
        _as_child(child, writing, cpu_s)
    os.close(writing)
    said = b""
    until = time.monotonic() + clock_s
    stopped = False
    while True:
        ready, _, _ = select.select([reading], [], [], max(0, until - time.monotonic()))
        part = os.read(reading, 65536) if ready else b""
        if not part:
            stopped = not ready
            break
        said += part
    os.close(reading)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    if said:
        return said.decode()
    ran_out = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU
    return "time" if stopped or ran_out or usage.ru_utime + usage.ru_stime >= cpu_s else ""


def _as_child(child: Callable[[Callable[[str], None]], None], writing: int, cpu_s: int) -> NoReturn:
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def tell(text: str) -> None:
        left = text.encode()
        while left:
            left = left[os.write(writing, left) :]
        os._exit(0)

    try:
        child(tell)
    finally:
        os._exit(1)


@contextlib.contextmanager
def _output_to(descriptor: int) -> Iterator[None]:
    """What pytest and the tests print goes to the log; children inherit that."""
    kept = os.dup(1), os.dup(2)
    try:
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        yield
    finally:
        os.dup2(kept[0], 1)
        os.dup2(kept[1], 2)
        os.close(kept[0])
        os.close(kept[1])
