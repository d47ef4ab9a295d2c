"""The crash matrix: complete, kept by the executor, broken by the naive one."""

import csv
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from apps.common import faults
from apps.common.errors import AikaError
from apps.policies.models import Budget
from apps.trades import tasks
from apps.trades.models import Order
from apps.trades.services import fills, sweeps
from apps.trades.services.orders import LEASE
from apps.trades.types import OrderState
from tests.crash import judge, naive
from tests.crash.__main__ import DEALT, NAIVE, shares_of
from tests.crash.cells import WORKER, Cell, How, Step, matrix, pairs_of, sample
from tests.crash.processes import Fault, Stopped
from tests.crash.report import KINDS, unstruck
from tests.crash.soak import cells_of
from tests.crash.turns import propose
from tests.factories.desk import PaperDesk
from tests.factories.tampering import sql_update

ROOT = Path(__file__).resolve().parents[2]
EVERY = list(matrix())
HERE = [label for label in WORKER if not label.startswith("publish")]


@pytest.fixture(autouse=True)
def no_fault_outlives_its_test() -> Iterator[None]:
    yield
    faults.install(None)


def stopped_at(label: str, work: Callable[[], object]) -> bool:
    """Do this work with a fault there; whether it came to it."""
    hook = Fault(label, How.RAISE).hook(os.open(os.devnull, os.O_WRONLY), 0)
    reached: list[str] = []

    def hears(at: str) -> None:
        try:
            hook(at)
        except Stopped:
            reached.append(at)
            raise

    faults.install(hears)
    try:
        work()
    except (Stopped, AikaError):
        pass
    finally:
        faults.install(None)
    return bool(reached)


def test_a_sample_has_every_cell_before_any_comes_again() -> None:
    assert len(set(EVERY)) == len(EVERY) > 2000
    dealt = sample(EVERY, len(EVERY) + 40, 5)
    assert set(dealt[:-40]) == set(EVERY)
    assert {cell.step for cell in dealt[:60]} >= {Step.WEB, Step.WORKER, Step.POLL}


def test_few_runs_try_every_place_with_each_stop_and_message_and_with_each_fault_of_the_venue() -> None:
    def tried(cells: Iterable[Cell]) -> set[str]:
        return {pair for cell in cells for pair in pairs_of(cell)[:2]}

    assert tried(sample(EVERY, 950, 5)) == tried(EVERY)
    assert len(tried(random.Random(5).sample(EVERY, 950))) < len(tried(EVERY)) * 0.9


def test_the_processes_of_a_soak_share_its_cells_out_and_repeat_none() -> None:
    """The naive version, where each draws for itself, is at the end."""
    asked = {"processes": 3, "runs": 300, "postgres_runs": 100, "halts": 10, "only": "kill -9"}
    killed = [cell for cell in EVERY if cell.how is How.KILL]
    for database, runs in (("sqlite", 300), ("postgres", 100)):
        shares = shares_of(database, asked, seed=4)
        assert [share["halts"] for share in shares] == [0, 0, 0, 10]
        dealt = [cell for share in shares for cell in cells_of(**{name: share[name] for name in DEALT})]
        assert len(dealt) == len(set(dealt)) == runs
        assert set(dealt) == set(sample(killed, runs, 4))
    assert len({cell for seed in (4, 14, 24) for cell in sample(killed, 100, seed)}) < 300


@pytest.mark.parametrize("label", HERE)
def test_a_worker_that_fails_there_makes_one_order_at_most_and_is_not_silent(paper: PaperDesk, label: str) -> None:
    """In this process, for the fast run; `test_in_processes_of_their_own` kills real ones."""
    assert tasks.reconcile(str(paper.connection.pk)) == "CLEAN"
    proposal = propose(paper)
    paper.approve(proposal)
    order = paper.order_of(proposal)

    assert stopped_at(label, lambda: tasks.execute_trade(str(order.pk)))
    tasks.execute_trade(str(order.pk))
    late = timezone.now() + LEASE + timedelta(seconds=1)
    sweeps.resolve_lapsed_claims(now=late)
    tasks.execute_trade(str(order.pk))
    fills.poll_order(order_id=order.pk, now=late)

    assert [found for found in judge.judge(paper.simulator) if found.kind != judge.UNRESOLVED] == []
    order.refresh_from_db()
    assert order.state == OrderState.FILLED or judge.is_alarmed(order)


@pytest.mark.parametrize("label", ["socket.answered", "place.after_call", "answer.before_commit"])
def test_the_naive_executor_makes_two_orders_and_is_found(paper: PaperDesk, label: str) -> None:
    proposal = paper.propose()
    paper.approve(proposal)
    order = paper.order_of(proposal)

    stopped_at(label, lambda: naive.execute(str(order.pk)))
    naive.execute(str(order.pk))

    assert len(paper.simulator.orders()) == 2
    assert judge.DUPLICATE in {found.kind for found in judge.judge(paper.simulator)}
    assert Order.objects.count() == 1


@pytest.mark.parametrize("column", ["reserved_minor", "used_minor"])
def test_a_budget_that_keeps_or_loses_a_step_of_an_order_that_has_ended_is_found(paper: PaperDesk, column: str) -> None:
    proposal = paper.propose()
    paper.approve(proposal)
    paper.execute(proposal)
    paper.poll(proposal)
    assert paper.order_of(proposal).state == OrderState.FILLED
    assert judge.judge(paper.simulator) == []

    day = Budget.objects.get(dimension="DAILY_NOTIONAL")
    sql_update(day, **{column: getattr(day, column) + 1})
    assert {found.kind for found in judge.judge(paper.simulator)} == {judge.RESERVATION}


def test_a_place_where_nobody_ever_stopped_is_said() -> None:
    row = {"step": "poll", "label": "poll.taken", "reached": False}
    assert unstruck([row] * 5) == []
    assert unstruck([row] * 6) == ["poll.taken (poll)"]
    assert unstruck([*[row] * 6, {**row, "reached": True}]) == []
    assert unstruck([*[row] * 6, {**row, "step": "worker", "reached": True}]) == ["poll.taken (poll)"]


def soak(tmp_path: Path, *words: str) -> tuple[int, str, str]:
    """Exit code, output and page of a soak."""
    page = tmp_path / "reliability.md"
    ended = subprocess.run(
        [sys.executable, "-m", "tests.crash", "--report", str(page), *words],
        cwd=ROOT, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    return ended.returncode, ended.stdout + ended.stderr, page.read_text() if page.exists() else ""


@pytest.mark.slow
def test_in_processes_of_their_own(tmp_path: Path) -> None:
    """A seeded sample on SQLite and a broker of files, where there is a server on PostgreSQL and Redis too; and the
    same for the naive executor, which the matrix must find."""
    database = "both" if settings.DATABASE_URL and settings.REDIS_URL else "sqlite"
    words = ("--runs", "40", "--postgres-runs", "12", "--halts", "60", "--seed", "11")
    code, said, page = soak(tmp_path, *words, "--database", database)
    assert code == 0, said
    both = database == "both"
    assert f"{52 if both else 40} of {len(EVERY) * (1 + both):,} were visited, by {52 if both else 40} runs" in page
    assert "### Halts" in page
    assert "| SQLite and files | 40 |" in page
    assert ("| PostgreSQL and Redis | 12 |" in page) == (database == "both")
    with (tmp_path / "reliability-cells.csv").open(encoding="utf-8", newline="") as file:
        cells = list(csv.DictReader(file))
    assert sum(int(cell["runs"]) for cell in cells) == 40 + (12 if database == "both" else 0)
    assert {cell[kind.replace(" ", "_")] for cell in cells for kind in KINDS} == {"0"}
    assert re.search(r"SQLite and files: [1-9]\d* of 2 runs ended with two orders for one approval", page)


@pytest.mark.slow
def test_a_soak_that_breaks_a_promise_says_so(tmp_path: Path) -> None:
    code, said, _ = soak(tmp_path, "--executor", "naive", "--runs", "1", "--only", NAIVE["only"])
    assert code == 1
    assert "orders at the venue for 1 approvals" in said, said
