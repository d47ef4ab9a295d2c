"""`python -m tests.benchmarks [NAME ...]`: run the benchmarks and write docs/benchmarks.md.

`audit`, `intake` and `backfill` need PostgreSQL and Redis: BENCH_DATABASE_URL (a database they may create and drop) and
BENCH_REDIS_URL. FAN_OUT_QUICK=1 makes `fan_out` short.
"""

import os
import sys
from datetime import timedelta
from decimal import Decimal
from urllib.parse import urlsplit, urlunsplit

DATABASE_URL = os.environ.get("BENCH_DATABASE_URL", "postgres://root@127.0.0.1/aika_bench")
REDIS_URL = os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1:6379/7")
NAMES = ("policy", "feed", "fan_out", "audit", "intake", "approve", "backfill", "recall")
PACKAGES = (
    "django",
    "djangorestframework",
    "gunicorn",
    "uvicorn",
    "psycopg",
    "celery",
    "channels",
    "websockets",
    "fastapi",
    "sqlalchemy",
    "cedarpy",
)


def say(line: str) -> None:
    """Progress, for who waits."""
    sys.stderr.write(line + "\n")


def create_database() -> None:
    """A fresh database under the name in the URL."""
    import psycopg

    parts = urlsplit(DATABASE_URL)
    name = parts.path.lstrip("/")
    admin = urlunsplit(parts._replace(scheme="postgresql", path="/postgres"))
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
        connection.execute(f'CREATE DATABASE "{name}"'.encode())


def prepare() -> None:
    """Django on a fresh PostgreSQL database, for the rest of the process."""
    if "ORDINARY_DATABASE_URL" in os.environ:
        return
    os.environ |= {
        "DATABASE_URL": DATABASE_URL,
        "REDIS_URL": REDIS_URL,
        "DJANGO_SETTINGS_MODULE": "tests.benchmarks.settings",
        "ORDINARY_DATABASE_URL": DATABASE_URL.replace("postgres://", "postgresql+psycopg://"),
    }
    create_database()
    import django

    django.setup()
    from django.core.cache import cache
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    call_command("sync_roles", verbosity=0)
    cache.clear()


def audit() -> object:
    """On a log that nothing else has written to."""
    prepare()
    from tests.benchmarks import audit as benchmark

    return benchmark.measure()


def backfill() -> object:
    """Candles, in tables of their own."""
    prepare()
    from tests.benchmarks import backfill as benchmark

    return benchmark.measure()


def intake() -> object:
    """Prepare a desk on PostgreSQL whose limits do not get in the way, then measure."""
    prepare()
    from django.utils import timezone

    from apps.policies.types import RuleKind
    from apps.quotes.services import quotes
    from tests.benchmarks import intake as benchmark
    from tests.benchmarks.ordinary import Base, engine
    from tests.factories.desk import paper_desk
    from tests.venues.simulator_process import SimulatorProcess

    Base.metadata.create_all(engine)
    engine.dispose()
    simulator = SimulatorProcess().start()
    try:
        desk = paper_desk(simulator, rules=roomy_rules(RuleKind.ORDER_RATE, RuleKind.DUPLICATE))
        quote = quotes.fresh(desk.connection, "BTC-USD", now=timezone.now(), max_age=timedelta(seconds=1))
        assert quote is not None
        simulator.pin_price("BTC-USD", quote.mid.quantize(Decimal("0.01")))
        return benchmark.measure(
            database_url=DATABASE_URL,
            redis_url=REDIS_URL,
            authorization=desk.authorization,
            connection=desk.connection.slug,
            price=quote.ask.quantize(Decimal("0.01")),
        )
    finally:
        simulator.stop()


def roomy_rules(*kinds: object) -> list[object]:
    """The demo policy with rates that a load may reach; the rules stay, their bounds are wider."""
    from dataclasses import replace

    from apps.dashboard.services.demo_policy import DEMO_RULES

    wider = {"max_count": "100000"}
    return [
        replace(rule, params={**rule.params, **wider}) if rule.kind in kinds and "max_count" in rule.params else rule
        for rule in DEMO_RULES
    ]


def run(name: str) -> object:
    """One benchmark by name."""
    say(f"{name} ...")
    on_postgresql = {"audit": audit, "backfill": backfill, "intake": intake}
    if name in on_postgresql:
        return on_postgresql[name]()
    if name == "policy":
        from tests.benchmarks import policy

        return policy.measure()
    if name == "feed":
        from multiprocessing import get_context

        from tests.benchmarks.feed_alone import found

        # In a process of its own, whose Django has neither PostgreSQL nor Redis: only the feed's own work counts.
        with get_context("spawn").Pool(1) as pool:
            return pool.apply(found)
    if name == "recall":
        from tests.benchmarks import recall

        return recall.measure()
    if name == "fan_out":
        from tests.benchmarks import fan_out

        return fan_out.measure(quick="FAN_OUT_QUICK" in os.environ)
    from tests.benchmarks import approve

    return approve.measure()


def main(names: list[str]) -> int:
    """Run what is named, or everything; write the page when everything ran."""
    from tests.benchmarks.report import PAGE, Found, page

    unknown = set(names) - set(NAMES)
    if unknown:
        say(f"There is no benchmark {', '.join(sorted(unknown))}. There are: {', '.join(NAMES)}.")
        return 2
    # The last three set Django up on PostgreSQL for the rest of the process.
    order = [
        name
        for name in ("policy", "feed", "fan_out", "recall", "approve", "audit", "backfill", "intake")
        if not names or name in names
    ]
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.benchmarks.settings")
    found = [one for name in order if isinstance(one := run(name), Found)]
    text = page(found, PACKAGES)
    sys.stdout.write(text)
    if not names:
        PAGE.write_text(text, encoding="utf-8")
        say(f"Written to {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
