"""`intake`: HTTP proposal to stored verdict, approval row and audit, durable on PostgreSQL, 16 clients."""

import itertools
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

from tests.benchmarks import plain_rows
from tests.benchmarks.cpu import shares, spent_s
from tests.benchmarks.load import Load, post_all
from tests.benchmarks.report import Found, Row

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PATH = "/api/v1/trades/proposals"
CLIENTS = 16
POSTS = 300
WARM_UP = 50
RUNS = 2
BATCH = 20
BATCHES = 40
START_S_MAX = 30
# No two asks of one run are alike, or policy would deny the second as a duplicate.
_NUMBERS = itertools.count()


@dataclass(frozen=True, kw_only=True)
class Server:
    """A way to serve: its name on the page, its command (with PORT to be put in) and its variables."""

    name: str
    command: Sequence[str]
    variables: dict[str, str]


def servers(database_url: str, redis_url: str) -> dict[str, Server]:
    """Aika two ways, and the ordinary endpoint; two processes each, since the machine has two cores."""
    aika = {
        "DJANGO_SETTINGS_MODULE": "tests.benchmarks.settings",
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
    }
    ordinary = {"ORDINARY_DATABASE_URL": database_url.replace("postgres://", "postgresql+psycopg://")}
    gunicorn = [
        str(BIN / "gunicorn"),
        "--no-control-socket",
        "--bind",
        "127.0.0.1:PORT",
        "--workers",
        "2",
        "--log-level",
        "error",
    ]
    uvicorn = [str(BIN / "uvicorn"), "--host", "127.0.0.1", "--port", "PORT", "--workers", "2", "--log-level", "error"]
    return {
        "gthread": Server(
            name="gunicorn, 2 workers of 8 threads",
            command=[*gunicorn, "--worker-class", "gthread", "--threads", "8", "config.wsgi:application"],
            variables=aika,
        ),
        "uvicorn": Server(
            name="uvicorn, 2 processes (ASGI)", command=[*uvicorn, "config.asgi:application"], variables=aika
        ),
        "ordinary": Server(
            name="FastAPI and SQLAlchemy on uvicorn, 2 processes",
            command=[*uvicorn, "tests.benchmarks.ordinary:app"],
            variables=ordinary,
        ),
    }


@contextmanager
def running(server: Server) -> Iterator[tuple[int, int]]:
    """The server on a free port, until the block ends: the port, and its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [part.replace("PORT", str(port)) for part in server.command]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | server.variables, stdout=subprocess.DEVNULL)
    try:
        _wait(port, process)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(10)


def _wait(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_S_MAX
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"The server ended at once: {process.args!r}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError("The server did not start.")


def bodies(count: int, *, connection: str, price: Decimal) -> list[bytes]:
    """Different asks of one kind: 0.001 BTC and a little more each time, at a price that passes the collar."""
    return [
        json.dumps(
            {
                "connection": connection,
                "instrument": "BTC-USD",
                "side": "BUY",
                "order_type": "LIMIT",
                "time_in_force": "GTC",
                "quantity": f"0.001{next(_NUMBERS):05d}",
                "limit_price": str(price),
                "rationale": "Benchmark of the intake.",
            }
        ).encode()
        for _ in range(count)
    ]


def run(port: int, *, authorization: str, connection: str, price: Decimal, count: int) -> Load:
    """Post `count` proposals and insist that each was stored."""
    headers = [{"Authorization": authorization, "Idempotency-Key": str(uuid4())} for _ in range(count)]
    load = post_all(
        port=port,
        path=PATH,
        headers=headers,
        bodies=bodies(count, connection=connection, price=price),
        clients=CLIENTS,
    )
    if set(load.statuses) != {201}:
        raise RuntimeError(f"Not every proposal was stored: {load.statuses}")
    return load


def run_batches(port: int, *, authorization: str, connection: str, price: Decimal, count: int) -> Load:
    """Post `count` batches and insist that each was taken."""
    sent = [
        json.dumps(
            {
                "items": [
                    json.loads(one) | {"idempotency_key": str(uuid4())}
                    for one in bodies(BATCH, connection=connection, price=price)
                ]
            }
        ).encode()
        for _ in range(count)
    ]
    headers = [{"Authorization": authorization}] * count
    load = post_all(port=port, path=f"{PATH}/batch", headers=headers, bodies=sent, clients=CLIENTS)
    if set(load.statuses) != {207}:
        raise RuntimeError(f"Not every batch was taken: {load.statuses}")
    return load


def look_at_tables() -> None:
    """What autovacuum does within a minute of a table's first rows, where it is on: without statistics PostgreSQL takes
    any index for as good as any other, and a run measures which one it happened to read."""
    from django.db import connection  # Django is set up by whoever measures

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def plain_per_second(database_url: str, batch: int) -> float:
    """Proposals' rows a second that pgbench writes, so many to a transaction, into tables made anew."""
    script = plain_rows.prepare(batch)
    return plain_rows.per_second(database_url, script, clients=CLIENTS, batch=batch)


def batches(*, database_url: str, redis_url: str, authorization: str, connection: str, price: Decimal) -> list[Row]:
    """The batch on gunicorn's threads beside pgbench, in turns."""
    from apps.trades.models import Proposal  # Django is set up by whoever measures

    ours: list[float] = []
    plain: list[float] = []
    for _ in range(RUNS):
        with running(servers(database_url, redis_url)["gthread"]) as (port, _):
            run_batches(port, authorization=authorization, connection=connection, price=price, count=4)
            look_at_tables()
            before = Proposal.objects.count()
            load = run_batches(port, authorization=authorization, connection=connection, price=price, count=BATCHES)
            if Proposal.objects.count() - before != BATCHES * BATCH:
                raise RuntimeError("Not every proposal of the batches was stored.")
        ours.append(load.per_second * BATCH)
        plain.append(plain_per_second(database_url, BATCH))
    return [
        Row(
            what=f"proposals in batches of {BATCH}, gunicorn threads",
            unit="a second",
            aika=ours,
            other="pgbench writing the same rows, as many to a transaction",
            others=plain,
            aim="0.3x",
        )
    ]


@dataclass(frozen=True, kw_only=True)
class Singles:
    """What came of proposals one by one, by server and round: rates, and a proposal's p95 and processor time in ms;
    and the rates of pgbench."""

    rates: dict[str, list[float]]
    tails: dict[str, list[float]]
    cpu: dict[str, list[float]]
    plain: list[float]


def singles(
    ways: dict[str, Server], *, database_url: str, authorization: str, connection: str, price: Decimal
) -> Singles:
    """Each server and pgbench in turn, RUNS rounds, so that a slow minute of the machine hits all of them."""
    rates, tails, cpu = ({name: list[float]() for name in ways} for _ in range(3))
    plain: list[float] = []
    for _ in range(RUNS):
        for name, server in ways.items():
            with running(server) as (port, pid):
                run(port, authorization=authorization, connection=connection, price=price, count=WARM_UP)
                look_at_tables()
                before = spent_s(pid)
                load = run(port, authorization=authorization, connection=connection, price=price, count=POSTS)
                cpu[name].append((spent_s(pid) - before) * 1000 / POSTS)
            rates[name].append(load.per_second)
            tails[name].append(load.percentile(0.95))
        plain.append(plain_per_second(database_url, batch=1))
    return Singles(rates=rates, tails=tails, cpu=cpu, plain=plain)


def rows_of(found: Singles, ways: dict[str, Server]) -> list[Row]:
    """Aika beside the ordinary endpoint and beside pgbench."""
    other = ways["ordinary"].name
    rows = [
        Row(
            what=f"proposals, {ways[name].name}",
            unit="a second",
            aika=found.rates[name],
            other=other,
            others=found.rates["ordinary"],
            aim="1.5x" if name == "gthread" else "",
        )
        for name in ("gthread", "uvicorn")
    ]
    rows += [
        Row(what=what, unit="ms", aika=ms["gthread"], other=other, others=ms["ordinary"], lower_is_better=True)
        for what, ms in (
            ("p95 of one proposal, gunicorn threads", found.tails),
            ("processor time of the server for one proposal, gunicorn threads", found.cpu),
        )
    ]
    rows.append(
        Row(
            what="proposals one by one, gunicorn threads",
            unit="a second",
            aika=found.rates["gthread"],
            other="pgbench writing the same rows, one proposal to a transaction",
            others=found.plain,
            aim="0.1x",
        )
    )
    return rows


def measure(*, database_url: str, redis_url: str, authorization: str, connection: str, price: Decimal) -> Found:
    """Proposals one by one, then in batches."""
    ways = servers(database_url, redis_url)
    found = singles(ways, database_url=database_url, authorization=authorization, connection=connection, price=price)
    rows = rows_of(found, ways) + batches(
        database_url=database_url,
        redis_url=redis_url,
        authorization=authorization,
        connection=connection,
        price=price,
    )
    return Found(
        name="intake",
        work=f"{CLIENTS} clients post {POSTS} different proposals, each with an Idempotency-Key. Aika authenticates "
        "the key, reads its facts, consults 20 rules, and commits decision with inputs, proposal, event of the chain "
        "and stored answer in one transaction. The ordinary endpoint checks two limits and commits order, approval, "
        "audit and state one by one.",
        rows=rows,
        notes=(
            "PostgreSQL looked at its tables (ANALYZE) after each warm-up, as autovacuum does on a desk that runs.",
            f"A batch holds {BATCH} proposals of one connection, so batches are judged one after the other; pgbench's "
            "tables have the checks and indexes, and neither foreign keys nor guards.",
            "Processor time is less disturbed by other work on the machine than rates are. What is left of Aika's, "
            f"sampled in one process without a server in front: {_left(authorization, connection, price)}.",
        ),
    )


def _left(authorization: str, connection: str, price: Decimal) -> str:
    """Where a proposal's processor time goes, by part."""
    from django.test import Client  # Django is set up by whoever measures

    client = Client(headers={"host": "localhost", "authorization": authorization})

    def post(count: int) -> None:
        for body in bodies(count, connection=connection, price=price):
            header = {"Idempotency-Key": str(uuid4())}
            answer = client.post(PATH, body, content_type="application/json", headers=header)
            if answer.status_code != 201:
                raise RuntimeError(f"Not every proposal was stored: {answer.status_code}")

    post(WARM_UP)
    return shares(lambda: post(POSTS))
