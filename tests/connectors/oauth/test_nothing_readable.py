"""What OAuth is given in secret is searched for in everything that is kept, said and shown; a planted leak is found."""

import io
import logging
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.management import call_command
from django.test import Client

from apps.accounts.models import User
from apps.common.errors import AikaError
from apps.connectors.models import Authorisation, AuthorisationRequest, Connection
from apps.connectors.services import bearers
from apps.connectors.services.venue import connect
from tests.factories.oauth import CLIENT_SECRET, OAuthSimulator, decide, oauth_connection
from tests.scenarios.test_canaries import rows_of_everything

pytestmark = pytest.mark.django_db

CONNECT, CALLBACK = "/oauth/coinbase/connect", "/oauth/coinbase/callback"
LIST = "/admin/connectors/authorisation/"


def secrets_of(row: Authorisation) -> dict[str, str]:
    return {
        f"access {row.generation}": row.access_token.reveal(),
        f"refresh {row.generation}": row.refresh_token.reveal(),
    }


def test_no_secret_of_oauth_can_be_read_anywhere(
    venue: OAuthSimulator, client: Client, operator: User, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client.force_login(operator)
    out = client.post(CONNECT)
    secrets = {"client secret": CLIENT_SECRET, "verifier": AuthorisationRequest.objects.get().verifier.reveal()}
    back = decide(out["Location"])
    secrets |= {"state": parse_qs(urlsplit(out["Location"]).query)["state"][0], "code": back["code"]}
    pages = [client.get(CALLBACK, back, follow=True).content.decode(), client.get(CALLBACK, back).content.decode()]
    row = Authorisation.objects.get()
    secrets |= secrets_of(row)
    connection = oauth_connection(row)
    bearers.bearer(row.pk, clock=lambda: row.access_until, before_call=lambda: None)
    row.refresh_from_db()
    secrets |= secrets_of(row)
    connect(connection).balances()
    venue.add_fault("oauth-token", "reset-after")
    with pytest.raises(AikaError) as lost:
        bearers.bearer(row.pk, clock=lambda: row.access_until, before_call=lambda: None)
    for path in (LIST, f"{LIST}{row.pk}/change/", f"/admin/connectors/connection/{connection.pk}/change/"):
        pages.append(client.get(path).content.decode())
    dumped = io.StringIO()
    call_command("dumpdata", stdout=dumped)
    places = {
        "database": rows_of_everything(),
        "dumpdata": dumped.getvalue(),
        "log": caplog.text,
        "pages": "\n".join(pages),
        "error": f"{lost.value!r} {lost.value} {lost.value.details}",
    }
    assert all(places[name] for name in ("database", "dumpdata", "pages", "error")) and len(secrets) == 8
    found = {(name, place) for name, secret in secrets.items() for place, text in places.items() if secret in text}
    assert found == set()
    # The search finds what is there.
    Connection.objects.filter(pk=connection.pk).update(deactivated_reason=secrets["refresh 2"])
    assert secrets["refresh 2"] in rows_of_everything()
