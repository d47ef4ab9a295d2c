"""What the commands that tighten share: on what, and why."""

from argparse import ArgumentParser
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from apps.common.decimals import instant_text
from apps.connectors.selectors import connection_by_slug

if TYPE_CHECKING:
    from apps.connectors.models import Connection
    from apps.policies.models import TradingState


def add_scope(parser: ArgumentParser) -> None:
    """--connection and --reason."""
    parser.add_argument("--connection", metavar="SLUG", help="only this connection")
    parser.add_argument("--reason", required=True, help="why, in a sentence everybody will see")


def connection_of(options: dict[str, Any]) -> "Connection | None":
    """The connection that is meant; None for everything. Raises CommandError for a name nobody has."""
    slug = options["connection"]
    connection = connection_by_slug(slug) if slug else None
    if slug and connection is None:
        raise CommandError(f'There is no connection "{slug}". Without --connection everything is meant.')
    return connection


def state_record(row: "TradingState", connection: "Connection | None") -> dict[str, Any]:
    """What holds now, since when and why, for a program; `connection` is null for everything."""
    return {
        "connection": connection.slug if connection else None,
        "state": row.state,
        "since": instant_text(row.changed_at),
        "reason": row.reason,
    }
