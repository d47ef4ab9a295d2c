"""`recall`: questions to the memory over the API at 10,000 lessons, embedded to answer, with `static`.

Each way of running is a process of its own with a fresh desk on SQLite: Qdrant's local mode in a folder, and the server
of the tests over HTTP, which answers by Qdrant's local mode too, asking its filter of every point in Python. What that
server takes is measured in it, and said beside the whole. `python -m tests.benchmarks.recall` prints both, alone.
"""

import argparse
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.benchmarks.report import Found, Row

ROOT = Path(__file__).resolve().parents[2]
TEXTS = ROOT / "tests" / "lessons" / "development"
LESSONS = 10_000
QUESTIONS = 200
# Of all closed trades, and how many mistakes are noted of each that lost.
LOST_SHARE = 0.6
TAGS_A_LOSS = 2
SINGLE_S_MAX = 900


def measure() -> Found:
    """Both ways of running, one after the other."""
    return told({way: _in_its_own_process(way) for way in ("local", "server")})


def told(said: Mapping[str, Mapping[str, Any]]) -> Found:
    """What both ways said, as rows of the page. Median and 95th percentile are a row each: two figures of one row are
    runs of the same, and read as the smallest and the largest of these."""
    rows = []
    for way, name in (("local", "folder"), ("server", "server of the tests")):
        for question, figures in said[way]["questions"].items():
            rows.append(_row(f"{name}, {question}", "wall, p50", figures["p50_ms"]))
            rows.append(_row(f"{name}, {question}", "wall, p95", figures["p95_ms"], aim="50"))
            rows.append(_row(f"{name}, {question}", "processor", figures["processor_ms"]))
            if way == "server":
                rows.append(_row(f"{name}, {question}", "wall, p95 without that server's own", figures["p95_own_ms"]))
    return Found(
        name="Recall over the API",
        work=(
            f"`POST /api/v1/trades/lessons/query` with a text, at {LESSONS:,} closed trades of one desk that lost "
            f"(beside {round(LESSONS / LOST_SHARE) - LESSONS:,} that won), `static`, SQLite; {QUESTIONS} questions, "
            "each another text, with key, throttle, embedding, search, ranking and the stored recall."
        ),
        rows=rows,
        notes=[f"{way}: load of the machine {figures['load']:.1f}" for way, figures in said.items()],
    )


def _row(what: str, how: str, value: float, aim: str = "") -> Row:
    return Row(what=what, unit=f"ms, {how}", aika=(value,), aim=aim, lower_is_better=True)


def _in_its_own_process(way: str) -> dict[str, Any]:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.recall", "--only", way],
        cwd=ROOT, check=True, stdout=subprocess.PIPE, timeout=SINGLE_S_MAX,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def alone(way: str) -> dict[str, Any]:
    """One way of running, in this process, which must not have set Django up before."""
    from tests.lessons.index.killed import serve

    server = None
    with tempfile.TemporaryDirectory(prefix="aika-recall-") as home:
        for name in ("DATABASE_URL", "REDIS_URL", "QDRANT_URL"):
            os.environ.pop(name, None)
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "tests.benchmarks.settings",
            "AIKA_DATA_DIR": home,
            "EMBEDDINGS_PROVIDER": "static",
        }
        try:
            if way == "server":
                server, os.environ["QDRANT_URL"] = serve()
            return _measured()
        finally:
            if server is not None:
                server.kill()
                server.wait()


def _measured() -> dict[str, Any]:
    import django

    django.setup()
    from django.core.management import call_command
    from django.utils import timezone

    from apps.lessons import index
    from apps.lessons.services import indexing, rebuilding, spaces
    from tests.factories.desk import paper_desk
    from tests.venues.simulator_process import SimulatorProcess

    call_command("migrate", interactive=False, verbosity=0)
    call_command("sync_roles", verbosity=0)
    simulator = SimulatorProcess().start()
    try:
        desk = paper_desk(simulator)
    finally:
        simulator.stop()
    remember(desk.desk, LESSONS)
    space = spaces.ensure(now=timezone.now())
    rebuilt = rebuilding.rebuild(space=space, resume=False, batch=256, clock=timezone.now)
    assert rebuilt.done and not rebuilt.waiting, rebuilt
    indexing.embed_pending(clock=timezone.now, seconds=SINGLE_S_MAX)  # the worker's next turn: it weighs the texts
    try:
        ways = {"a text": {}, "with filters": {"filters": {"product": "BTC-USD", "side": "BUY"}}}
        return {
            "questions": {name: asked(desk.authorization, more) for name, more in ways.items()},
            "load": os.getloadavg()[0],
        }
    finally:
        index.close()


def asked(authorization: str, more: dict[str, Any]) -> dict[str, float]:
    """Figures in ms of QUESTIONS requests, each with another text."""
    from django.test import Client

    client, dice, searched = Client(headers={"host": "localhost"}), random.Random(11), _watched()
    texts = _texts("queries", "thesis")
    took, own = [], []
    for number in range(-5, QUESTIONS):
        body = json.dumps({"text": said(dice, texts), "product": "BTC-USD", "side": "BUY", **more})
        if number == 0:  # those before are what is loaded once
            worked = time.process_time()
        searched.clear()
        began = time.perf_counter()
        answer = client.post(
            "/api/v1/trades/lessons/query", body, content_type="application/json",
            headers={"Authorization": authorization},
        )  # fmt: skip
        ms = 1000 * (time.perf_counter() - began)
        found = answer.json()
        assert answer.status_code == 200, found
        assert not found["index"]["degraded"] and found["results"], found
        if number >= 0:
            took.append(ms)
            own.append(ms - 1000 * sum(searched))
    worked = 1000 * (time.process_time() - worked) / QUESTIONS
    return {"p50_ms": percentile(took, 50), "p95_ms": percentile(took, 95), "processor_ms": worked,
            "p95_own_ms": percentile(own, 95)}  # fmt: skip


def _watched() -> list[float]:
    """Seconds of each search from here on, as they come."""
    from apps.lessons import index

    took: list[float] = []
    store = index.store()
    search = type(store).search

    def watched(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return search(store, *args, **kwargs)
        finally:
            took.append(time.perf_counter() - began)

    store.search = watched  # type: ignore[method-assign]  of this one store, in a process that ends with it
    return took


def percentile(values: Sequence[float], percent: int) -> float:
    return sorted(values)[len(values) * percent // 100]


def remember(desk: Any, lost: int) -> None:
    """Closed trades as the service would write them, in bulk: the losses with their lessons, tags and violations."""
    from django.utils import timezone

    from apps.lessons.models import Case, CaseTag, CaseViolation, Lesson
    from apps.lessons.services import retelling
    from apps.lessons.types import MistakeTag

    now, dice, mistakes = timezone.now(), random.Random(3), [tag.value for tag in MistakeTag]
    theses, narratives = _texts("queries", "thesis"), _texts("lessons", "narrative")
    cases, lessons, tags, violations = [], [], [], []
    for place in range(round(lost / LOST_SHARE)):
        has_lost = place < lost
        case = Case(
            source="IMPORTED", source_id=f"measured:{place}", desk=desk, environment="paper",
            product=dice.choice(("BTC-USD", "ETH-USD", "SOL-USD", "DOGE-USD")), asset_class="crypto",
            side=dice.choice(("BUY", "SELL")), quantity=1, quote_currency="USD", exit_price=1,
            pnl=-1 if has_lost else 1,
            result="LOST" if has_lost else "WON", verdict="PROCESS_ERROR" if has_lost else "UNKNOWN", summary="-",
            thesis_text=said(dice, theses), narrative_text=said(dice, narratives) if has_lost else "",
            closed_at=now - timedelta(minutes=10 * dice.randrange(1, 50_000)), created_at=now, updated_at=now,
        )  # fmt: skip
        case.content_hash = retelling.content_hash(case)
        cases.append(case)
        if has_lost:
            lessons.append(Lesson(case=case, severity=Decimal(dice.randrange(1, 100)) / 100, created_at=now))
            known = {"case": case, "desk": desk, "closed_at": case.closed_at}
            for tag in dice.sample(mistakes, TAGS_A_LOSS):
                tags.append(CaseTag(**known, tag=tag, source="RULE", counts=dice.random() < 0.5))
            violations.append(CaseViolation(**known, fact=f"fact_{dice.randrange(20)}"))
    for rows in (cases, lessons, tags, violations):
        type(rows[0]).objects.bulk_create(rows, batch_size=500)


def said(dice: random.Random, texts: Sequence[str]) -> str:
    """Two texts in one: so that hardly any is there twice."""
    return f"{dice.choice(texts)} {dice.choice(texts)} {uuid4().hex[:6]}"


def _texts(name: str, field: str) -> list[str]:
    with gzip.open(TEXTS / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return sorted({json.loads(line)[field] for line in file})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="tests.benchmarks.recall", description=__doc__)
    parser.add_argument("--only", choices=("local", "server"))
    only = parser.parse_args().only
    sys.stdout.write((json.dumps(alone(only)) if only else str(measure())) + "\n")
