"""Access to an account at a venue by OAuth: asked for, given, taken back; each with an audit event.

It connects an account to a person who is signed in and may manage connections. It never signs anybody in or up.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.db import transaction

from apps.accounts import selectors as accounts
from apps.accounts.services.people import actor_of
from apps.audit.types import Actor
from apps.common.errors import AikaError, Denied, Forbidden, Invalid, Misconfigured, NotFound
from apps.connectors.models import Authorisation, AuthorisationRequest, AuthorisationState, Connection
from apps.connectors.services import bearers, connections
from apps.connectors.services.venue import refuse_in_transaction
from apps.connectors.types import Venue
from apps.connectors.venues.addresses import is_loopback
from apps.connectors.venues.coinbase import oauth
from apps.connectors.venues.coinbase.client import origin_of

if TYPE_CHECKING:
    from apps.accounts.models import User

MANAGE: Final = "manage_connections"
CALLBACK_PATH: Final = "/oauth/coinbase/callback"
REQUEST_TTL: Final = timedelta(minutes=10)
# Requests are forgotten a while after they ended, so that a late return still hears what happened.
FORGOTTEN_AFTER: Final = timedelta(days=1)
REQUESTS_MAX: Final = 20
VENUE: Final = Venue.COINBASE.value

WORDS: Final = {
    "wallet:user:read": "see the name of the account",
    "wallet:user:email": "see its e-mail address",
    oauth.VIEW: "see balances",
    oauth.TRADE: "place and cancel orders",
    "wallet:trades:read": "see orders and fills",
    "wallet:trades:create": "place orders",
    "wallet:transactions:read": "see transactions and fees",
    oauth.OFFLINE: "keep the access until it is taken back",
}


def words_of(scope: str) -> str:
    """What a scope allows, for people; its own name where we know no words."""
    return WORDS.get(scope, scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What is asked of the venue, as the settings say."""

    application: oauth.Application
    api_base: str
    scopes: tuple[str, ...]

    @property
    def provider_origin(self) -> str:
        """Where the person's browser is sent."""
        return oauth.login_origin(self.api_base)

    @property
    def is_paper(self) -> bool:
        """Whether it is a simulator on this machine that answers: paper money."""
        return is_loopback((urlsplit(self.api_base).hostname or "").lower())


def asking() -> Asking:
    """Raises Misconfigured OAUTH_NOT_CONFIGURED, OAUTH_REDIRECT_UNUSABLE, OAUTH_SCOPE_MOVES_MONEY."""
    application = bearers.application()
    parts = urlsplit(application.redirect_uri)
    safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    if not safe or parts.path != CALLBACK_PATH or parts.query or parts.fragment:
        raise Misconfigured(
            "OAUTH_REDIRECT_UNUSABLE",
            f"COINBASE_REDIRECT_URI must be https:// and end in {CALLBACK_PATH}.",
            fix=f"Set it to https://<this host>{CALLBACK_PATH}, and register exactly that at Coinbase.",
        )
    scopes = tuple(dict.fromkeys(settings.COINBASE_SCOPES))
    if not scopes:
        raise Misconfigured("OAUTH_NOT_CONFIGURED", "No scopes are set.", fix="Set COINBASE_SCOPES (docs/oauth.md).")
    if money := [scope for scope in scopes if oauth.moves_money(scope)]:
        raise Misconfigured(
            "OAUTH_SCOPE_MOVES_MONEY",
            f"COINBASE_SCOPES asks for what could move money: {', '.join(money)}. Nobody was asked.",
            fix="Take these out.",
        )
    return Asking(application=application, api_base=origin_of(settings.COINBASE_API_BASE), scopes=scopes)


def refuse_unless_managing(person: "User") -> None:
    """Raises Forbidden NOT_PERMITTED unless this person may manage connections."""
    if not accounts.holds(person, MANAGE):
        raise Forbidden("NOT_PERMITTED", "Only who may manage connections connects an account at a venue.")


@transaction.atomic
def begin(*, person: "User", verifier: str, now: datetime) -> str:
    """Remember that this person sets out for the venue; the `state` they must bring back. Good once, for ten minutes.

    Raises Forbidden NOT_PERMITTED, Denied AUTHORISATION_TOO_MANY, or as `asking`.
    """
    refuse_unless_managing(person)
    wanted = asking()
    own = AuthorisationRequest.objects.filter(person=person)
    own.filter(expires_at__lt=now - FORGOTTEN_AFTER).delete()
    if own.filter(used_at=None, expires_at__gt=now).count() >= REQUESTS_MAX:
        raise Denied("AUTHORISATION_TOO_MANY", "You have set out many times.", fix="Wait ten minutes.")
    state = secrets.token_urlsafe(32)
    AuthorisationRequest(
        state_hash=_hash(state),
        person=person,
        venue=VENUE,
        api_base=wanted.api_base,
        scopes=list(wanted.scopes),
        verifier=verifier,
        created_at=now,
        expires_at=now + REQUEST_TTL,
    ).save(force_insert=True)
    return state


def url_for(*, person: "User", now: datetime) -> str:
    """A link for this person's browser, as `begin` and the venue's authorise address."""
    wanted, verifier = asking(), oauth.new_verifier()
    state = begin(person=person, verifier=verifier, now=now)
    return oauth.authorise_url(
        wanted.application, api_base=wanted.api_base, scopes=wanted.scopes, state=state, verifier=verifier
    )


@transaction.atomic
def consume(*, person: "User", state: str, now: datetime) -> AuthorisationRequest:
    """The request this person comes back from; it is used up. Raises Invalid AUTHORISATION_STATE_UNKNOWN.

    Unknown, expired, used and another person's are not told apart; another person's stays as it is.
    """
    asked = AuthorisationRequest.objects.select_for_update().filter(state_hash=_hash(state), person=person).first()
    if asked is None or asked.used_at is not None or asked.expires_at <= now:
        raise Invalid(
            "AUTHORISATION_STATE_UNKNOWN",
            "This return from the venue belongs to nothing you began here in the last ten minutes. Nothing was kept.",
            fix="Begin again, in this browser and as yourself.",
        )
    asked.used_at = now
    asked.save(update_fields=["used_at"])
    return asked


def complete(*, asked: AuthorisationRequest, code: str, now: datetime) -> Authorisation:
    """Take the code for tokens and keep them. Outside any transaction.

    Raises Forbidden NOT_PERMITTED, Denied AUTHORISATION_MAY_MOVE_MONEY, and what the venue's client raises.
    """
    refuse_in_transaction()
    refuse_unless_managing(asked.person)
    client = oauth.OAuthClient(bearers.application(), api_base=asked.api_base)
    tokens = client.exchange(code=code, verifier=asked.verifier.reveal())
    try:
        scopes = tokens.scopes or client.granted(tokens.access)
        if money := [scope for scope in scopes if oauth.moves_money(scope)]:
            raise Denied(
                "AUTHORISATION_MAY_MOVE_MONEY",
                f"The venue granted what may move money ({', '.join(money)}). Aika does not use it; it was given back.",
                fix="Connect again, and allow nothing that moves money.",
            )
        profile = client.profile(tokens.access)
        return _keep(asked, tokens, scopes, profile, now)
    except BaseException:
        # Whatever stands in the way, nobody keeps tokens that nobody knows of.
        client.revoke(tokens.access)
        raise


@transaction.atomic
def _keep(
    asked: AuthorisationRequest,
    tokens: oauth.Tokens,
    scopes: Sequence[str],
    profile: oauth.Profile,
    now: datetime,
) -> Authorisation:
    living = Authorisation.objects.select_for_update().exclude(state=AuthorisationState.REVOKED)
    row = living.filter(
        person=asked.person, venue=asked.venue, api_base=asked.api_base, account_uid=profile.uid
    ).first()
    is_new = row is None
    if row is None:
        row = Authorisation(
            person=asked.person,
            venue=asked.venue,
            api_base=asked.api_base,
            account_uid=profile.uid,
            generation=0,
        )
    row.account_name = profile.name
    row.asked_scopes = list(asked.scopes)
    bearers.write_tokens(row, tokens, asked_at=now)
    row.granted_scopes = list(scopes)
    row.generation += 1
    row.authorised_at = row.state_since = now
    row.state, row.state_reason = AuthorisationState.ACTIVE, ""
    row.save(force_insert=is_new)
    bearers.clear_alarms(row, now)
    bearers.record(
        "authorisation.granted" if is_new else "authorisation.renewed",
        row,
        actor_of(asked.person),
        now,
        asked=row.asked_scopes,
        granted=row.granted_scopes,
    )
    return row


def disconnect(*, authorisation_id: UUID, actor: Actor, now: datetime) -> bool:
    """Take the access back: here at once, with every connection that uses it, then at the venue. Outside a transaction.

    True where the venue answered; it never says more. A second call changes nothing and is False.
    Raises NotFound AUTHORISATION_NOT_FOUND.
    """
    refuse_in_transaction()
    with transaction.atomic():
        row = Authorisation.objects.select_for_update().filter(pk=authorisation_id).first()
        if row is None:
            raise NotFound("AUTHORISATION_NOT_FOUND", "There is no such authorisation.")
        if row.state == AuthorisationState.REVOKED:
            return False
        held = [secret.reveal() for secret in (row.refresh_token, row.access_token) if secret]
        row.state, row.state_reason, row.state_since = AuthorisationState.REVOKED, "It was disconnected.", now
        row.access_token = row.refresh_token = ""
        row.save()
        bearers.clear_alarms(row, now)
        bearers.record("authorisation.revoked", row, actor, now)
        for connection in Connection.objects.filter(authorisation=row):
            connections.deactivate(connection=connection, reason=f"{row} was disconnected.", actor=actor, now=now)
    try:
        client = oauth.OAuthClient(bearers.application(), api_base=row.api_base)
    except AikaError:
        return False
    answered = [client.revoke(token) for token in held]
    return all(answered)


def missing_scopes(row: Authorisation) -> list[str]:
    """What was asked for and not granted."""
    return [scope for scope in row.asked_scopes if scope not in row.granted_scopes]


def _hash(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()
