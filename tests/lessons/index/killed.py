"""Processes that are ended by kill -9 on the way of a text into the vector index, and what stands there afterwards.

`python -m tests.lessons.index.killed --runs 20` kills at each of the five points twenty times, with an index in a
folder; with `--server` beside a server of the tests. It prints a line for each point and ends with 1 where anything was
lost, stands twice, or nobody knows. A database and an index of its own are made in a folder that is removed.
"""

import argparse
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

START = datetime(2026, 3, 2, 14, 46, tzinfo=UTC)
NEW_EACH_RUN = 3
# Each run is this much later than the one before: longer than a claim, and than two looks are apart.
RUN_S = 3600


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="tests.lessons.index.killed", description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", default="", help="one point, by a word of its name")
    parser.add_argument("--server", action="store_true", help="a server of the tests instead of a folder")
    chosen = parser.parse_args(arguments)
    home = tempfile.mkdtemp(prefix="aika-killed-")
    server = None
    try:
        os.environ |= {"DJANGO_SETTINGS_MODULE": "tests.crash.settings", "AIKA_DATA_DIR": home}
        if chosen.server:
            server, os.environ["QDRANT_URL"] = serve()
        return Killing(random.Random(chosen.seed)).run(chosen.runs, chosen.only)
    finally:
        if server is not None:
            server.kill()
            server.wait()
        shutil.rmtree(home)


def serve() -> "tuple[subprocess.Popen[bytes], str]":
    """A server of the tests in a process of its own, which nobody kills."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-m", "tests.lessons.index.qdrant_server", str(port)])
    until = time.monotonic() + 30
    while time.monotonic() < until and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return server, f"http://127.0.0.1:{port}"
        time.sleep(0.05)
    raise RuntimeError("The server of the tests did not start.")


class Killing:
    """One database, one index, and process after process that dies at its point. Every one is forked from this one,
    which itself opens neither."""

    def __init__(self, dice: random.Random) -> None:
        import django

        django.setup()
        from django.core.management import call_command

        from apps.common import fault_places as places
        from apps.lessons import index

        index.load()
        self._dice = dice
        self._now = START
        self._sources = 0
        call_command("migrate", interactive=False, verbosity=0)
        indexing = [places.INDEX_CLAIM, places.INDEX_WRITE, places.INDEX_SETTLE]
        anywhere = [label for one in indexing for label in (one.before, one.after)]
        self._points: dict[str, tuple[Callable[[], None], list[str]]] = {
            "after commit, before publish": (self._remember, [places.PUBLISH.before]),
            "after claim": (self._embed, [places.INDEX_CLAIM.after]),
            "after embedding, before upsert": (self._embed, [places.INDEX_WRITE.before]),
            "after upsert, before marking": (self._embed, [places.INDEX_WRITE.after, places.INDEX_SETTLE.before]),
            "during a rebuild": (self._rebuild, [*anywhere, places.INDEX_FILL.before, places.INDEX_FILL.after]),
        }

    def run(self, runs: int, only: str = "") -> int:
        """0 where all came out right."""
        self._apart(self._begin)
        wrong = 0
        for name, (work, labels) in self._points.items():
            if only not in name:
                continue
            killed = 0
            for _ in range(runs):
                self._now += timedelta(seconds=RUN_S)
                self._apart(self._prepare)
                self._sources += NEW_EACH_RUN + 1
                label = self._dice.choice(labels)
                # Batches come several times in a run, a page or a message once.
                turn = self._dice.randint(1, 2) if "index_fill" not in label and "publish" not in label else 1
                killed += self._killed(work, label, turn)
                if work == self._remember:
                    self._sources += 1
                self._apart(self._recover)
                if self._apart(self._judge) != 0:
                    wrong += 1
            print(f"{name}: {killed} of {runs} killed, {wrong} wrong so far", flush=True)  # noqa: T201  its report
        return 1 if wrong else 0

    def _killed(self, work: Callable[[], None], label: str, turn: int) -> int:
        def die_there() -> None:
            from apps.common import faults

            seen = 0

            def reached(at: str) -> None:
                nonlocal seen
                seen += at == label
                if seen == turn:
                    os.kill(os.getpid(), signal.SIGKILL)

            faults.install(reached)
            work()

        return self._apart(die_there) == -signal.SIGKILL

    def _apart(self, work: Callable[[], None]) -> int:
        """Do it in a process of its own, and wait for its end: 0, or minus the signal that killed it."""
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                work()
                status = 0
            except BaseException:  # noqa: BLE001  its parent hears of it by the status
                import traceback

                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def _clock(self) -> datetime:
        return self._now

    def _begin(self) -> None:
        from apps.accounts.models import Desk
        from apps.lessons.services import spaces

        Desk.objects.create(slug="killed", name="Killed")
        spaces.ensure(now=self._now)

    def _trade(self, number: int, **changes: Any) -> Any:
        from apps.accounts.models import Desk
        from apps.lessons.types import Plan
        from tests.factories.lessons import closed_trade

        plan = Plan(thesis=f"Thesis {number}: the level held {number} times.", risk=Decimal(10))
        desk = Desk.objects.get(slug="killed")
        return closed_trade(desk=desk, source_id=f"killed:{number}", plan=plan, closed_at=START, **changes)

    def _remember(self) -> None:
        from tests.factories.lessons import remembered

        remembered(self._trade(self._sources), now=self._now)

    def _prepare(self) -> None:
        """Some new cases, a corrected one, and a point of nobody's."""
        from uuid import uuid4

        import numpy as np

        from apps.lessons import index
        from apps.lessons.index.values import Point, collection_of
        from apps.lessons.services import spaces
        from apps.lessons.types import EntryKind
        from tests.factories.lessons import remembered
        from tests.lessons.index.standing import active

        for number in range(self._sources, self._sources + NEW_EACH_RUN + 1):
            remembered(self._trade(number), now=self._now)
        changed = self._dice.randrange(self._sources + 1)
        remembered(self._trade(changed, pnl=Decimal(self._dice.randrange(1, 1000))), now=self._now)
        vector = np.ones(active().dim, dtype=np.float32)
        stray = Point(kind=EntryKind.CASE, subject=uuid4(), content_hash="", vectors={"thesis": vector})
        spaces.ensure_collections(index.store(), active())
        index.store().upsert(collection_of(EntryKind.CASE, active().name), [stray])

    def _embed(self) -> None:
        from apps.lessons.services import indexing

        indexing.embed_pending(clock=self._clock, batch=2)

    def _rebuild(self) -> None:
        from apps.lessons.models import IndexEntry
        from apps.lessons.services import rebuilding
        from tests.lessons.index.standing import active

        IndexEntry.objects.all().delete()  # the worst case: nothing is known of what stands there
        rebuilding.rebuild(space=active(), resume=False, batch=5, clock=self._clock)

    def _recover(self) -> None:
        """What the clock does anyhow: the check, the next turn after a claim's time is over, and two sweeps."""
        from apps.lessons.services import index_checks, indexing, outbox

        self._now += timedelta(seconds=outbox.CLAIMED_S)
        index_checks.check_drift(now=self._now)
        indexing.embed_pending(clock=self._clock, batch=50)
        index_checks.sweep_orphans(now=self._now)
        index_checks.sweep_orphans(now=self._now + timedelta(seconds=index_checks.LOOKS_APART_S))

    def _judge(self) -> None:
        from apps.lessons.models import Case
        from apps.lessons.services import index_checks
        from apps.lessons.types import EntryKind
        from tests.lessons.index.standing import active, is_right

        assert Case.objects.count() == self._sources, (Case.objects.count(), self._sources)
        assert is_right(active())
        assert index_checks.compare(space=active(), kind=EntryKind.CASE).agrees


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
