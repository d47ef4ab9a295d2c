"""The benchmark `feed` in a process of its own: prices are kept in its memory, as `make run` keeps them."""

import os

from tests.benchmarks.report import Found


def found() -> Found:
    """Set Django up without a server, and measure."""
    for name in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(name, None)
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.benchmarks.settings"
    import django

    django.setup()
    from tests.benchmarks import feed

    return feed.measure()
