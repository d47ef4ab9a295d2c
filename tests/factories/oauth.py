"""OAuth as tests meet it: a simulator with an application of ours, and a person who says yes or no on its page."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from django.test import override_settings

from apps.accounts.models import User
from apps.connectors.models import Authorisation, Connection
from apps.connectors.services import authorisations
from tests.factories.accounts import DeskFactory
from tests.venues.simulator_process import SimulatorProcess

CLIENT_ID, CLIENT_SECRET = "aika-tests", "canary-client-secret-of-the-tests"
REDIRECT = "http://localhost:8000/oauth/coinbase/callback"
SCOPES = (
    *("wallet:user:read", "wallet:accounts:read", "wallet:buys:create", "wallet:trades:read"),
    *("wallet:transactions:read", "offline_access"),
)


class OAuthSimulator(SimulatorProcess):
    """A venue at which this installation is registered."""

    def __init__(self, *, redirect_uri: str = REDIRECT) -> None:
        super().__init__()
        secret_file = self.key_file.with_name("oauth-client-secret")
        secret_file.write_text(CLIENT_SECRET)
        self._arguments = (
            *("--oauth-client-id", CLIENT_ID, "--oauth-client-secret-file", str(secret_file)),
            *("--oauth-redirect-uri", redirect_uri),
        )
        self.redirect_uri = redirect_uri

    def oauth(self, **change: Any) -> dict[str, Any]:
        """Counts since the reset; with values, `access_s`, `refresh_s`, `withheld`, `revoke_all`, `expire` first."""
        return self._call("POST" if change else "GET", "oauth", change or None)

    @contextmanager
    def registered(self, **more: Any) -> Iterator[None]:
        """The settings that go with it."""
        with override_settings(
            **{
                "COINBASE_CLIENT_ID": CLIENT_ID,
                "COINBASE_CLIENT_SECRET": CLIENT_SECRET,
                "COINBASE_REDIRECT_URI": self.redirect_uri,
                "COINBASE_SCOPES": SCOPES,
                "COINBASE_API_BASE": self.url,
                **more,
            }
        ):
            yield


def decide(url: str, *, allow: bool = True, without: tuple[str, ...] = ()) -> dict[str, str]:
    """A person on the venue's page; what their browser is sent back with."""
    with httpx.Client(trust_env=False) as browser:
        page = browser.get(url)
        assert page.status_code == 200, page.text
        hidden = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', page.text))
        offered = re.findall(r'name="granted" value="([^"]+)"', page.text)
        form = {
            **{name: value.replace("&amp;", "&") for name, value in hidden.items()},
            "decision": "allow" if allow else "refuse",
            "granted": [scope for scope in offered if scope not in without],
        }
        split = urlsplit(url)
        reply = browser.post(f"{split.scheme}://{split.netloc}{split.path}", data=form)
    assert reply.status_code == 302, reply.text
    return {name: values[0] for name, values in parse_qs(urlsplit(reply.headers["location"]).query).items()}


def authorise(person: User, *, now: datetime | None = None, without: tuple[str, ...] = ()) -> Authorisation:
    """The whole way, without our pages: out, consent, back, exchange."""
    now = now or datetime.now(UTC)
    back = decide(authorisations.url_for(person=person, now=now), without=without)
    asked = authorisations.consume(person=person, state=back["state"], now=now)
    return authorisations.complete(asked=asked, code=back["code"], now=now)


def authorisation_of(person: User, **fields: Any) -> Authorisation:
    """A row as if this person had consented somewhere; its tokens open nothing."""
    now = datetime.now(UTC)
    row = Authorisation(
        **{
            "person": person,
            "venue": "coinbase",
            "api_base": "http://localhost:9",
            "account_uid": str(person.pk),
            "account_name": "An account",
            "access_token": "no access token",
            "refresh_token": "no refresh token",
            "access_from": now,
            "access_until": now + timedelta(hours=1),
            "authorised_at": now,
            "state": "ACTIVE",
            "state_since": now,
            **fields,
        }
    )
    row.save(force_insert=True)
    return row


def oauth_connection(authorisation: Authorisation, **fields: Any) -> Connection:
    """An active paper connection that uses it."""
    made = Connection(
        **{
            "slug": "by-oauth",
            "name": "By OAuth",
            "environment": "paper",
            "api_base": authorisation.api_base,
            "key_name": authorisation.key_name,
            "authorisation": authorisation,
            "is_active": True,
            "created_at": datetime(2026, 1, 1, tzinfo=UTC),
            **fields,
        }
    )
    if made.desk_id is None:
        made.desk = DeskFactory()
    made.save(force_insert=True)
    return made
