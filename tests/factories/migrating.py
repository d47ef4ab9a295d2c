"""Back to an older shape of the database and forward again. Whatever a test leaves, all migrations are applied after
it: the tests that follow share its database."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection
from django.db.migrations.executor import MigrationExecutor

Migrate = Callable[[str, str], Any]


@contextmanager
def migrating() -> Iterator[Migrate]:
    """`migrate(app, name)` inside the block goes to that migration and gives the models as they were then."""
    try:
        yield _migrate
    finally:
        executor = MigrationExecutor(connection)
        executor.migrate(executor.loader.graph.leaf_nodes())


def _migrate(app: str, name: str) -> Any:
    executor = MigrationExecutor(connection)
    executor.migrate([(app, name)])
    executor.loader.build_graph()
    return executor.loader.project_state([(app, name)]).apps


def newest(app: str) -> str:
    """The last migration of the app: the shape that today's code needs."""
    ((_, name),) = MigrationExecutor(connection).loader.graph.leaf_nodes(app)
    return name
