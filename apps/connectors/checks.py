"""What must be true of the connections. Read from the database, so these run where databases are checked."""

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import connections

from apps.common.errors import AikaError, Misconfigured
from apps.connectors.models import Connection
from apps.connectors.services import authorisations
from apps.connectors.services.venue import check_address, is_on_this_machine


def _active(databases: Sequence[str] | None) -> Iterable[Connection]:
    for alias in databases or ():
        if _is_as_in_code(alias):
            yield from Connection.objects.using(alias).filter(deactivated_at__isnull=True).defer("secret")


def _is_as_in_code(alias: str) -> bool:
    """Whether the table is there and has every column: `migrate` checks before it makes them."""
    connection, table = connections[alias], Connection._meta.db_table
    if table not in connection.introspection.table_names():
        return False
    with connection.cursor() as cursor:
        found = {column.name for column in connection.introspection.get_table_description(cursor, table)}
    return {field.column for field in Connection._meta.concrete_fields} <= found


@register(Tags.database)
def no_simulator_in_production(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """connectors.E001: production with a connection to this very machine, where only a simulator can be."""
    if settings.ENVIRONMENT != "production":
        return []
    return [
        Error(
            f"Connection {connection.slug!r} calls {urlsplit(connection.api_base).netloc}, itself, in production.",
            hint="End it in the admin; the venue simulator is for local runs and staging.",
            id="connectors.E001",
        )
        for connection in _active(databases)
        if is_on_this_machine(connection.api_base)
    ]


@register(Tags.database)
def live_has_a_key(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """connectors.E002: an active live connection without a key."""
    return [
        Error(
            f"The live connection {connection.slug!r} is active and has no key.",
            hint="Enter the key in the admin, or end the connection.",
            id="connectors.E002",
        )
        for connection in _active(databases)
        if connection.is_live
        and connection.is_active
        and not (connection.key_name and (connection.secret_fingerprint or connection.authorisation_id))
    ]


@register(Tags.database)
def live_asks_people(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """connectors.E004: approvals are switched off where there is a live connection."""
    if settings.POLICY_REQUIRE_APPROVAL:
        return []
    return [
        Error(
            f"POLICY_REQUIRE_APPROVAL is off, and the connection {connection.slug!r} is live.",
            hint="Set POLICY_REQUIRE_APPROVAL=true, or run paper in an installation of its own. Whatever it says, "
            "live orders need people.",
            id="connectors.E004",
        )
        for connection in _active(databases)
        if connection.is_live
    ]


@register(Tags.database)
def address_fits_environment(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """connectors.E003: an address that is not https, is no origin, or does not belong to paper or live."""
    found: list[CheckMessage] = []
    for connection in _active(databases):
        try:
            check_address(venue=connection.venue, environment=connection.environment, api_base=connection.api_base)
        except Misconfigured as error:
            text = f"Connection {connection.slug!r}: {error.message}"
            found.append(Error(text, hint=error.fix, id="connectors.E003"))
    return found


@register()
def oauth_can_be_asked_for(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """connectors.E005: an OAuth application is set, and what else it needs is missing or unsafe."""
    if not settings.COINBASE_CLIENT_ID:
        return []
    try:
        authorisations.asking()
    except AikaError as error:
        return [Error(error.message, hint=error.fix, id="connectors.E005")]
    return []
