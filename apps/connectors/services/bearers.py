"""The access token of an authorisation, fresh whenever it is used: one token exchange, however many ask at once.

A refresh token is good once, and using it twice may end the whole consent. So whoever refreshes first claims it, under
the row's lock; the HTTP call is made outside every transaction; the answer is written under the lock again. Others use
the token there is while it lasts, or wait. A claim whose holder never wrote an answer, or a lost answer, means that the
token may be used up: the authorisation must then be given anew by a person, and nothing is tried again
(docs/decisions/0014-oauth-tokens-are-refreshed-under-a-claim.md).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.conf import settings

from apps.audit.services import alarms, events
from apps.audit.types import Actor
from apps.common import fault_places as places
from apps.common import faults
from apps.common.errors import AikaError, Misconfigured, Unavailable
from apps.connectors.errors import AuthoriserGone, CredentialsRefused, ScopeMissing
from apps.connectors.models import Authorisation, AuthorisationState
from apps.connectors.venues.coinbase.oauth import (
    TRADE,
    VIEW,
    Application,
    GrantRefused,
    OAuthClient,
    ServerBroke,
    TokenLost,
    Tokens,
    moves_money,
)

ALARM: Final = "AUTHORISATION_RECONNECT_NEEDED"
NARROWED: Final = "AUTHORISATION_NARROWED"
# Without these a connection neither trades nor knows what it holds.
NEEDED: Final = (VIEW, TRADE)
REFRESHER: Final = Actor.system("oauth")
# Refreshed this long before its end, or in the last third of a short life.
MARGIN: Final = timedelta(seconds=300)
# Far above the deadline of the one HTTP call made under a claim (8 s): who is older has died.
CLAIM_TTL: Final = timedelta(seconds=30)
WAIT_S: Final = 10.0
LOOK_EVERY_S: Final = 0.05
FAILURES_MAX: Final = 3
AGAIN_AFTER: Final = timedelta(seconds=30)
AGAIN_SOON: Final = timedelta(seconds=5)

Clock = Callable[[], datetime]


class ReconnectNeeded(CredentialsRefused):
    """The authorisation is no use any more: a person must give it anew."""

    def __init__(self, authorisation: Authorisation) -> None:
        super().__init__(
            "AUTHORISATION_RECONNECT_NEEDED",
            f"Aika's access to {authorisation} has ended: {authorisation.state_reason or 'it was disconnected.'}",
            fix="Connect again on the authorisation's page; the connection then goes on.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """An access token as it stood when it was read."""

    token: str = field(repr=False)
    generation: int
    until: datetime
    problem: CredentialsRefused | None = None
    """Why it places no order, although it still reads and cancels."""


def application() -> Application:
    """We, as the settings say. Raises Misconfigured OAUTH_NOT_CONFIGURED."""
    named = {
        "COINBASE_CLIENT_ID": settings.COINBASE_CLIENT_ID,
        "COINBASE_CLIENT_SECRET": settings.COINBASE_CLIENT_SECRET,
        "COINBASE_REDIRECT_URI": settings.COINBASE_REDIRECT_URI,
    }
    missing = [name for name, value in named.items() if not value]
    if missing:
        raise Misconfigured(
            "OAUTH_NOT_CONFIGURED",
            "Coinbase's OAuth is not set up here.",
            fix=f"Set {', '.join(missing)} (docs/oauth.md).",
        )
    return Application(
        client_id=settings.COINBASE_CLIENT_ID,
        client_secret=settings.COINBASE_CLIENT_SECRET,
        redirect_uri=settings.COINBASE_REDIRECT_URI,
    )


def bearer(
    authorisation_id: UUID, *, clock: Clock, before_call: Callable[[], None], refused: int | None = None
) -> Bearer:
    """The access token, refreshed first where it is about to end or the venue refused the pair `refused`.

    Raises ReconnectNeeded, Unavailable (the venue does not answer now), Misconfigured OAUTH_NOT_CONFIGURED or
    OAUTH_CLIENT_REFUSED. `before_call` may refuse the HTTP call by raising.
    """
    deadline = time.monotonic() + WAIT_S
    while True:
        row = Authorisation.objects.select_related("person").get(pk=authorisation_id)
        now = clock()
        must = row.generation == refused or now >= row.access_until
        if row.state == AuthorisationState.REVOKED or (must and row.state != AuthorisationState.ACTIVE):
            raise ReconnectNeeded(row)
        known = Bearer(
            token=row.access_token.reveal(),
            generation=row.generation,
            until=row.access_until,
            problem=problem_of(row),
        )
        if not must and (row.state != AuthorisationState.ACTIVE or now < row.access_until - margin_of(row)):
            # Without a way to get the next one, this one still cancels orders while it lasts.
            return known
        before_call()
        claim = _claim(row, must=must, now=now)
        if isinstance(claim, _Ours):
            _refresh(claim, clock=clock, must=must)
        elif claim is _USE_KNOWN and not must:
            return known
        elif time.monotonic() >= deadline:
            raise _waiting("Somebody else asks the venue for a new access token, and has no answer yet.")
        elif claim is _USE_KNOWN:
            time.sleep(LOOK_EVERY_S)


def problem_of(row: Authorisation) -> CredentialsRefused | None:
    """Why no order leaves with this authorisation, as far as is known here; None where one may."""
    if row.state != AuthorisationState.ACTIVE:
        return ReconnectNeeded(row)
    if not row.person.is_active:
        return AuthoriserGone(str(row))
    return None if TRADE in row.granted_scopes else ScopeMissing(str(row), TRADE)


def margin_of(row: Authorisation) -> timedelta:
    """How long before its end a token is refreshed."""
    return min(MARGIN, (row.access_until - row.access_from) / 3)


def give_up(authorisation_id: UUID, *, generation: int, reason: str, now: datetime) -> None:
    """Say that a person must connect again, unless a newer pair of tokens is there already."""
    with faults.commit(places.BEARER_GIVE_UP):
        row = _locked(authorisation_id)
        if row.generation == generation and row.state == AuthorisationState.ACTIVE:
            row.access_until = now
            row.save(update_fields=["access_until"])
            need_reconnect(row, reason, now)


def need_reconnect(row: Authorisation, reason: str, now: datetime) -> None:
    """The locked row's tokens are no use: state, event and alarm in the caller's transaction."""
    row.state, row.state_reason, row.state_since = AuthorisationState.RECONNECT_NEEDED, reason[:300], now
    row.refresh_begun_at = None
    row.save(update_fields=["state", "state_reason", "state_since", "refresh_begun_at"])
    record("authorisation.reconnect_needed", row, REFRESHER, now, reason=row.state_reason)
    alarms.raise_alarm(code=ALARM, subject=f"authorisation:{row.pk}", message=f"{row}: {reason}", now=now)


def keep_granted(authorisation_id: UUID, *, generation: int, scopes: Sequence[str], now: datetime) -> None:
    """Write down what the venue says that this pair of tokens may. Of an older pair it says nothing."""
    with faults.commit(places.BEARER_SCOPES):
        row = _locked(authorisation_id)
        if row.generation == generation and row.state != AuthorisationState.REVOKED:
            before, row.granted_scopes = row.granted_scopes, list(scopes)
            row.save(update_fields=["granted_scopes"])
            _compare_scopes(row, before, now)


def _compare_scopes(row: Authorisation, before: Sequence[str], now: datetime) -> None:
    """The locked row covers something else than before: an event, and an alarm where its connections need what it lost.

    It ends where everything needed is granted again; a person's new consent, whatever it covers, ends it too.
    """
    if set(before) == set(row.granted_scopes):
        return
    lost = [scope for scope in before if scope not in row.granted_scopes]
    record("authorisation.scopes_changed", row, REFRESHER, now, granted=row.granted_scopes, lost=lost)
    subject = f"authorisation:{row.pk}"
    if set(NEEDED) & set(lost):
        message = f"{row}: the venue no longer grants {', '.join(scope for scope in NEEDED if scope in lost)}."
        alarms.raise_alarm(code=NARROWED, subject=subject, message=message, now=now)
    elif set(NEEDED) <= set(row.granted_scopes):
        alarms.clear_alarm(code=NARROWED, subject=subject, now=now)


def clear_alarms(row: Authorisation, now: datetime) -> None:
    """A person has connected or disconnected it: what was wrong is over. In the caller's transaction."""
    for code in (ALARM, NARROWED):
        alarms.clear_alarm(code=code, subject=f"authorisation:{row.pk}", now=now)


def write_tokens(row: Authorisation, tokens: Tokens, *, asked_at: datetime) -> None:
    """The next pair on the locked row; the caller saves it. A new consent and a refresh are written alike."""
    row.access_token, row.refresh_token = tokens.access, tokens.refresh
    row.access_from, row.access_until = asked_at, asked_at + timedelta(seconds=tokens.expires_in_s)
    if tokens.scopes:
        row.granted_scopes = list(tokens.scopes)
    row.refresh_begun_at = row.refresh_not_before = None
    row.refresh_failures = 0


def record(kind: str, row: Authorisation, actor: Actor, now: datetime, **payload: object) -> None:
    """One event of an authorisation. No token ever is in it."""
    subject = f"authorisation:{row.pk}"
    events.record(
        stream=subject,
        kind=kind,
        actor=actor,
        subject=subject,
        payload={"venue": row.venue, "account": row.account_name, **payload},
        now=now,
    )


@dataclass(frozen=True, slots=True)
class _Ours:
    row: Authorisation
    begun_at: datetime


class _UseKnown:
    """Somebody else is at it, or it is too early to ask again."""


class _LookAgain:
    """The row is not what it was when it was read."""


_USE_KNOWN: Final = _UseKnown()
_LOOK_AGAIN: Final = _LookAgain()


def _locked(authorisation_id: UUID) -> Authorisation:
    return Authorisation.objects.select_for_update(of=("self",)).get(pk=authorisation_id)


def _claim(seen: Authorisation, *, must: bool, now: datetime) -> "_Ours | _UseKnown | _LookAgain":
    with faults.commit(places.BEARER_CLAIM):
        row = _locked(seen.pk)
        if row.generation != seen.generation or row.state != AuthorisationState.ACTIVE:
            return _LOOK_AGAIN
        if row.refresh_begun_at is not None:
            if now < row.refresh_begun_at + CLAIM_TTL:
                return _USE_KNOWN
            need_reconnect(row, "A refresh was begun and its answer never written down.", now)
            return _LOOK_AGAIN
        if not row.refresh_token:
            if must:
                need_reconnect(row, "The access token ended, and the venue gave no refresh token.", now)
                return _LOOK_AGAIN
            return _USE_KNOWN
        if row.refresh_not_before is not None and now < row.refresh_not_before:
            if must:
                raise _waiting("The venue's OAuth server did not answer; it is asked again shortly.")
            return _USE_KNOWN
        row.refresh_begun_at = now
        row.save(update_fields=["refresh_begun_at"])
        return _Ours(row, now)


def _refresh(claim: _Ours, *, clock: Clock, must: bool) -> None:
    """The one exchange of this claim. Raises where the token there is cannot be used meanwhile."""
    row = claim.row
    try:
        client = OAuthClient(application(), api_base=row.api_base)
        with faults.call(places.BEARER_REFRESH):
            tokens = client.refresh(row.refresh_token.reveal())
    except (TokenLost, GrantRefused, ServerBroke) as error:
        given_up = _failed(row, error, clock())
        if must and not given_up and isinstance(error, ServerBroke):
            raise
        if isinstance(error, GrantRefused) and error.reason == "invalid_client":
            raise Misconfigured(
                "OAUTH_CLIENT_REFUSED",
                "The venue does not know this installation's OAuth application, or its secret is another.",
                fix="Check COINBASE_CLIENT_ID and COINBASE_CLIENT_SECRET.",
            ) from error
    except AikaError:
        # Nothing was sent: the token is as good as before.
        _release(row, clock() + AGAIN_SOON)
        if must:
            raise
    else:
        unwanted = _written(row, tokens, asked_at=claim.begun_at, now=clock())
        if unwanted:
            with faults.call(places.BEARER_RETURN):
                client.revoke(tokens.access)


def _written(seen: Authorisation, tokens: Tokens, *, asked_at: datetime, now: datetime) -> bool:
    """True where the new pair must be given back: the person disconnected meanwhile, or it may move money."""
    with faults.commit(places.BEARER_WRITE):
        row = _locked(seen.pk)
        if row.state == AuthorisationState.REVOKED or row.generation != seen.generation:
            return True
        before = row.granted_scopes
        write_tokens(row, tokens, asked_at=asked_at)
        row.generation += 1
        row.refreshed_at = now
        if row.state == AuthorisationState.RECONNECT_NEEDED:
            # Given up by another process, which could not know that the answer was only slow.
            row.state, row.state_reason, row.state_since = AuthorisationState.ACTIVE, "", now
            alarms.clear_alarm(code=ALARM, subject=f"authorisation:{row.pk}", now=now)
        row.save()
        record("authorisation.refreshed", row, REFRESHER, now, generation=row.generation)
        _compare_scopes(row, before, now)
        if any(moves_money(scope) for scope in tokens.scopes):
            need_reconnect(row, "The venue now grants a scope that may move money.", now)
            return True
        return False


def _failed(seen: Authorisation, error: TokenLost | GrantRefused | ServerBroke, now: datetime) -> bool:
    """True where the authorisation is no use any more."""
    with faults.commit(places.BEARER_FAIL):
        row = _locked(seen.pk)
        if row.generation != seen.generation or row.state != AuthorisationState.ACTIVE:
            return True
        if isinstance(error, GrantRefused) and error.reason == "invalid_client":
            row.refresh_begun_at, row.refresh_not_before = None, now + AGAIN_AFTER
            row.save(update_fields=["refresh_begun_at", "refresh_not_before"])
            return False
        row.refresh_failures += 1
        if isinstance(error, ServerBroke) and row.refresh_failures < FAILURES_MAX:
            row.refresh_begun_at, row.refresh_not_before = None, now + AGAIN_AFTER
            row.save(update_fields=["refresh_begun_at", "refresh_not_before", "refresh_failures"])
            return False
        need_reconnect(row, error.message, now)
        return True


def _release(seen: Authorisation, not_before: datetime) -> None:
    with faults.commit(places.BEARER_RELEASE):
        row = _locked(seen.pk)
        if row.generation == seen.generation:
            row.refresh_begun_at, row.refresh_not_before = None, not_before
            row.save(update_fields=["refresh_begun_at", "refresh_not_before"])


def _waiting(why: str) -> Unavailable:
    return Unavailable("AUTHORISATION_BEING_REFRESHED", f"{why} Nothing was sent.", fix="Try again shortly.")
