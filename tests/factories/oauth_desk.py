"""A desk that trades by OAuth: as `paper_desk`, but its connection stands on what its operator consented to."""

from dataclasses import replace

from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.services import people
from apps.connectors.models import Authorisation
from apps.connectors.services import connections, sync
from tests.factories.accounts import UserFactory
from tests.factories.desk import PaperDesk, paper_desk
from tests.factories.oauth import OAuthSimulator, authorise


def oauth_desk(venue: OAuthSimulator) -> tuple[PaperDesk, Authorisation, User]:
    """The desk, the authorisation its connection stands on, and the operator who gave it."""
    now = timezone.now()
    desk = paper_desk(venue, now=now)
    operator = UserFactory(username=f"oauth-{desk.desk.slug}", role="operator", desk=desk.desk)
    authorisation = authorise(operator)
    connection = connections.create(
        draft=connections.Draft(
            slug=f"oauth-{desk.desk.slug}",
            name="Coinbase (OAuth)",
            desk=desk.desk,
            environment="paper",
            api_base=authorisation.api_base,
            authorisation=authorisation,
        ),
        actor=people.actor_of(operator),
        now=now,
    )
    sync.refresh_instruments(connection, now=now)
    sync.refresh_balances(connection, now=now)
    sync.refresh_fees(connection, now=now)
    connections.grant(connection=connection, api_key=desk.key, actor=people.actor_of(desk.risk), now=now)
    return replace(desk, connection=connection), authorisation, operator
