"""A connection that stands on a person's consent: what runs out or shrinks, and what that person then does."""

from typing import Final

from apps.accounts.models import User
from apps.audit.models import Alarm
from apps.connectors.models import Authorisation, AuthorisationState
from apps.connectors.services import bearers
from apps.connectors.services.bearers import CLAIM_TTL
from apps.connectors.venues.coinbase.oauth import TRADE
from tests.crash.stage import Stage
from tests.factories.accounts import UserFactory
from tests.factories.oauth import authorise
from tests.factories.tampering import tamper

TOKEN_S: Final = 120
# In the last third of its life: the next one is asked for, and this one still serves whoever does not get to ask.
ENDING_S: Final = 100
# Then whoever asked for a token and never wrote it down is taken for dead.
DEAD_S: Final = int(CLAIM_TTL.total_seconds()) + 1


class Consent:
    """The person, and what they let the desk of a stage do at the venue; until the stage begins again."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        stage.simulator.oauth(access_s=TOKEN_S)
        self.person: User = UserFactory(username="consents", role="operator", desk=stage.paper.desk)
        given = authorise(self.person)
        connection = stage.paper.connection
        # A connection never changes what it stands on; this one is made to, so that all else of the stage is as ever.
        tamper(connection, authorisation_id=given.pk, key_name=given.key_name)
        stage.paper.connection = type(connection).objects.get(pk=connection.pk)

    def narrow(self) -> None:
        """On the venue's own pages the person takes back that orders are placed."""
        self.stage.simulator.oauth(narrow=[TRADE])

    def mend(self) -> None:
        """The person connects again where they are told to. That something is wrong and nobody is told, or that a
        refresh token was used twice, is an error of this run."""
        row = Authorisation.objects.get()
        if row.state != AuthorisationState.ACTIVE or TRADE not in row.granted_scopes:
            codes = (bearers.ALARM, bearers.NARROWED)
            if not Alarm.objects.filter(code__in=codes, subject=f"authorisation:{row.pk}", cleared_at=None).exists():
                raise AssertionError(f"{row} is {row.state} with {row.granted_scopes}, and nobody is told.")
            authorise(self.person)
        if reuses := self.stage.simulator.oauth()["reuses"]:
            raise AssertionError(f"{reuses} refresh tokens were used twice.")
