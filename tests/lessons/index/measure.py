"""How long a rebuild takes and how soon a question is answered, with a database and an index of its own.

`EMBEDDINGS_PROVIDER=static python -m tests.lessons.index.measure --cases 10000` uses a folder; with `--server` a server
of the tests, in a process of its own, which answers by Qdrant's local mode: a real one is faster. With `DATABASE_URL`
the database is that one. Times of a busy machine say little: look at the load that is printed beside them.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
import warnings
from datetime import timedelta
from uuid import UUID, uuid4

from tests.lessons.index.killed import START, serve

QUESTIONS = 300
TOP = 100
DESKS = 5
SAID = """bought sold breakout support stop trend news earnings chased averaged size late early spread hedge gap open
close volume level target moved doubled held flat quick slow market order filled slipped weekend event plan broke"""
WORDS = SAID.split()


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="tests.lessons.index.measure", description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--server", action="store_true")
    chosen = parser.parse_args(arguments)
    home = tempfile.mkdtemp(prefix="aika-measured-")
    server = None
    try:
        os.environ |= {"DJANGO_SETTINGS_MODULE": "tests.crash.settings", "AIKA_DATA_DIR": home}
        if chosen.server:
            server, os.environ["QDRANT_URL"] = serve()
        measure(chosen.cases, chosen.batch)
    finally:
        if server is not None:
            server.kill()
            server.wait()
        shutil.rmtree(home)


def measure(cases: int, batch: int) -> None:
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command
    from django.utils import timezone

    from apps.lessons import embeddings, index
    from apps.lessons.services import rebuilding, spaces

    warnings.filterwarnings("ignore", message="Local mode is not recommended")
    call_command("migrate", interactive=False, verbosity=0)
    desks = store_cases(cases)
    provider = embeddings.provider()
    space = spaces.ensure(now=timezone.now())
    began, worked = time.monotonic(), time.process_time()
    rebuilt = rebuilding.rebuild(space=space, resume=False, batch=batch, clock=timezone.now)
    took, worked = time.monotonic() - began, time.process_time() - worked
    where = "server of the tests" if settings.QDRANT_URL else "folder"
    say(
        f"rebuild of {rebuilt.done:,} cases, {provider.id}, {where}: {took:.0f} s ({worked:.0f} s of a processor), "
        f"{rebuilt.waiting} wait, load {os.getloadavg()[0]:.1f}"
    )
    say(f"verified: {all(one.agrees for one in rebuilding.verify(space=space))}")
    ask(desks)
    index.close()


def ask(desks: list[UUID]) -> None:
    """Embedded to answer: the text as a vector, both texts of the cases, one desk, the closest hundred."""
    from apps.lessons.index.values import Where
    from apps.lessons.services import searching
    from apps.lessons.types import EntryKind

    dice = random.Random(5)
    for name, words in (("desk", {}), ("desk, product, result", {"product": ["P3"], "result": ["LOST"]})):
        took = []
        worked = time.process_time()
        for _ in range(QUESTIONS):
            where = Where(words={"desk": [str(dice.choice(desks))], **words})
            began = time.perf_counter()
            searching.like(kind=EntryKind.CASE, embedded=searching.embed(sentence(dice)), wheres=[where], limit=TOP)
            took.append(1000 * (time.perf_counter() - began))
        worked = 1000 * (time.process_time() - worked) / QUESTIONS
        took.sort()
        p50, p95 = took[QUESTIONS // 2], took[QUESTIONS * 95 // 100]
        say(
            f"question by {name}: p50 {p50:.1f} ms, p95 {p95:.1f} ms, {worked:.1f} ms of a processor, "
            f"load {os.getloadavg()[0]:.1f}"
        )


def sentence(dice: random.Random) -> str:
    return " ".join(dice.choices(WORDS, k=14))


def store_cases(number: int) -> list[UUID]:
    """Rows as the service would write them, in bulk. Returns the desks."""
    from apps.accounts.models import Desk
    from apps.lessons.models import Case
    from apps.lessons.services import retelling

    dice = random.Random(3)
    desks = [Desk.objects.create(slug=f"d{place}-{uuid4().hex[:6]}", name=f"Desk {place}") for place in range(DESKS)]
    for start in range(0, number, 5000):
        rows = []
        for place in range(start, min(start + 5000, number)):
            case = Case(
                source="IMPORTED",
                source_id=f"measured:{place}",
                desk=desks[place % DESKS],
                environment="paper",
                product=f"P{place % 9}",
                asset_class="crypto",
                side="BUY",
                quantity=1,
                quote_currency="USD",
                exit_price=1,
                result="LOST" if place % 2 else "WON",
                summary="-",
                thesis_text=sentence(dice),
                narrative_text=sentence(dice),
                closed_at=START - timedelta(minutes=place),
                created_at=START,
                updated_at=START,
            )
            case.content_hash = retelling.content_hash(case)
            rows.append(case)
        Case.objects.bulk_create(rows, batch_size=500)
    return [desk.pk for desk in desks]


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
