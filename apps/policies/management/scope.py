"""What the commands that tighten share: on what, and why."""

from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError, CommandParser

from apps.connectors.selectors import connection_by_slug

if TYPE_CHECKING:
    from apps.connectors.models import Connection


def add_scope(parser: CommandParser) -> None:
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
