"""The first questions to a real key, asked and kept."""

from datetime import datetime

from apps.common.errors import Misconfigured
from apps.connectors.models import Connection, ConnectorCheck
from apps.connectors.services.venue import connect
from apps.connectors.types import Venue
from apps.connectors.venues.coinbase import probes
from apps.connectors.venues.coinbase.connector import CoinbaseConnector
from apps.connectors.venues.robinhood import probes as robinhood_probes
from apps.connectors.venues.robinhood.connector import RobinhoodConnector


def run(*, connection: Connection, now: datetime) -> ConnectorCheck:
    """Ask the venue what reading can answer (nothing is created or changed there) and keep the answers.

    Raises Misconfigured where the connection cannot be used at all.
    """
    connector = connect(connection)
    answers: dict[str, object]
    if isinstance(connector, RobinhoodConnector):
        answers = robinhood_probes.run(connector.client, connector)
    elif isinstance(connector, CoinbaseConnector):
        answers = probes.run(connector.client, connector)
    else:
        raise Misconfigured("VENUE_UNKNOWN", f"There are no questions for {connection.venue!r}.")
    return ConnectorCheck.objects.create(connection=connection, ran_at=now, answers=answers)


def warnings_of(check: ConnectorCheck) -> list[str]:
    """What an operator should look at, in sentences."""
    if check.answers.get("venue") == Venue.ROBINHOOD:
        return robinhood_probes.warnings_of(check.answers)
    return probes.warnings_of(check.answers)
