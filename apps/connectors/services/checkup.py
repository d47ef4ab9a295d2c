"""The first questions to a real key, asked and kept."""

from datetime import datetime

from apps.common.errors import Misconfigured
from apps.connectors.models import Connection, ConnectorCheck
from apps.connectors.services.venue import connect
from apps.connectors.venues.coinbase import probes
from apps.connectors.venues.coinbase.connector import CoinbaseConnector


def run(*, connection: Connection, now: datetime) -> ConnectorCheck:
    """Ask the venue what reading can answer (nothing is created or changed there) and keep the answers.

    Raises Misconfigured where the connection cannot be used at all.
    """
    connector = connect(connection)
    if not isinstance(connector, CoinbaseConnector):
        raise Misconfigured("VENUE_UNKNOWN", f"There are no questions for {connection.venue!r}.")
    answers = probes.run(connector.client, connector)
    return ConnectorCheck.objects.create(connection=connection, ran_at=now, answers=answers)


def warnings_of(check: ConnectorCheck) -> list[str]:
    """What an operator should look at, in sentences."""
    return probes.warnings_of(check.answers)
