"""Coinbase's OAuth server (coinbase.md 2.2): authorise address, code exchange, refresh, revoke, profile, scopes.

A refresh token is good once. So a token request whose answer did not come is not repeated here: `TokenLost` says that
it may have been used up, `Unavailable` that it has not been.
"""

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from apps.common.errors import Invalid, OutcomeUnknown, Unavailable
from apps.connectors.types import Permissions
from apps.connectors.venues.coinbase import wire
from apps.connectors.venues.coinbase.client import PREFIX, origin_of
from apps.connectors.venues.http import TRANSPORT_ERRORS, Attempt, Http, Reply

TOKEN_DEADLINE_S = 8.0
OFFLINE = "offline_access"
UID_CHARS_MAX, NAME_CHARS_MAX = 90, 200
LIFETIME_S_MAX = 30 * 86_400
LOGIN_ORIGINS = {"https://api.coinbase.com": "https://login.coinbase.com"}
"""Where people log in, by where the API is; the simulator has both at one origin."""

VIEW, TRADE = "wallet:accounts:read", "wallet:buys:create"
_MOVES_MONEY = frozenset({"send", "transfer", "request"})
_MONEY_OUT = frozenset({"withdrawals", "deposits", "addresses", "payment-methods"})


class TokenLost(OutcomeUnknown):
    """The token request left, and no answer says what became of it. The refresh token may be used up."""

    def __init__(self, why: str) -> None:
        super().__init__(
            "AUTHORISATION_REPLY_LOST",
            "The venue's answer to a token request did not arrive; the refresh token may be used up.",
            fix="Connect again.",
            why=why[:200],
        )


class ServerBroke(Unavailable):
    """The venue answered the token request with an error of its own (5xx)."""

    def __init__(self, status: int) -> None:
        super().__init__(
            "AUTHORISATION_SERVER_BROKE",
            "The venue's OAuth server answers with an error of its own.",
            fix="Try again shortly.",
            status=str(status),
        )


class GrantRefused(Invalid):
    """The venue says no: code or refresh token is unknown, used, expired or revoked; or it does not know us."""

    def __init__(self, error: str, message: str) -> None:
        super().__init__(
            "AUTHORISATION_REFUSED",
            f"The venue refuses the authorisation: {message or error}",
            fix="Connect again.",
            reason=error,
        )
        self.reason = error


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What a token request gave. `expires_in_s` counts from when it was asked. `refresh` is "" where none came."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    expires_in_s: int
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Whose account it is: the venue's id, and the name to show."""

    uid: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """We, as registered at the venue. `redirect_uri` is compared letter by letter there, and sent as it is."""

    client_id: str
    client_secret: str = field(repr=False)
    redirect_uri: str


def login_origin(api_base: str) -> str:
    """The origin of the OAuth server that belongs to this API. Raises Misconfigured for an address nobody can use."""
    origin = origin_of(api_base)
    return LOGIN_ORIGINS.get(origin, origin)


def moves_money(scope: str) -> bool:
    """Whether a scope could move money or change where it goes: never asked for, and refused where granted."""
    parts = scope.split(":")
    verb = parts[-1]
    return any(part in _MOVES_MONEY for part in parts) or (
        len(parts) > 1 and parts[1] in _MONEY_OUT and verb not in {"read", "limits"}
    )


def places_an_order(method: str, path: str) -> bool:
    """Whether this request is the one that is not even sent where it is known to be refused. Canceling always is."""
    return (method, path) == ("POST", f"{PREFIX}/orders")


def permissions_of(scopes: tuple[str, ...]) -> Permissions:
    """What granted scopes allow, in the terms of a key."""
    return Permissions(
        can_view=VIEW in scopes, can_trade=TRADE in scopes, can_transfer=any(moves_money(scope) for scope in scopes)
    )


def challenge_of(verifier: str) -> str:
    """RFC 7636, S256."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def new_verifier() -> str:
    """64 characters nobody can guess."""
    return secrets.token_urlsafe(48)


def authorise_url(
    application: Application, *, api_base: str, scopes: tuple[str, ...], state: str, verifier: str
) -> str:
    """Where the person's browser is sent. Exactly these scopes, in this order."""
    query = {
        "response_type": "code",
        "client_id": application.client_id,
        "redirect_uri": application.redirect_uri,
        "scope": " ".join(scopes),
        "state": state,
        "code_challenge": challenge_of(verifier),
        "code_challenge_method": "S256",
    }
    return f"{login_origin(api_base)}/oauth2/auth?{urlencode(query)}"


class OAuthClient:
    """One application at one venue. Every call has one deadline for all of it, follows no redirect, repeats nothing."""

    def __init__(self, application: Application, *, api_base: str, deadline_s: float = TOKEN_DEADLINE_S) -> None:
        self._application = application
        self._login = login_origin(api_base)
        self._api = origin_of(api_base)
        self._deadline_s = deadline_s

    def exchange(self, *, code: str, verifier: str) -> Tokens:
        """The code for tokens. Raises GrantRefused, ServerBroke, TokenLost, Unavailable (nothing was sent)."""
        return self._tokens(
            {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": self._application.redirect_uri,
                "code_verifier": verifier,
            }
        )

    def refresh(self, refresh_token: str) -> Tokens:
        """The refresh token for new tokens; it is used up then. Raises as `exchange`."""
        return self._tokens({"grant_type": "refresh_token", "refresh_token": refresh_token})

    def revoke(self, token: str) -> bool:
        """Ask the venue to forget a token. It says 200 whether or not it worked: False says that not even that came."""
        body = {"token": token, **self._credentials}
        try:
            reply = self._post("/oauth2/revoke", body, Attempt.within(self._deadline_s), bearer=token)
        except TRANSPORT_ERRORS:
            return False
        return reply.status == 200

    def profile(self, access_token: str) -> Profile:
        """Whose account it is. The token goes in a header, never in the address."""
        row = self._read("/v2/user", access_token)
        uid, name = wire.text_or_empty(row, "id"), wire.text_or_empty(row, "name")
        if not 0 < len(uid) <= UID_CHARS_MAX:
            raise _unreachable("a profile without an id")
        return Profile(uid=uid, name=name[:NAME_CHARS_MAX] or "an account without a name")

    def granted(self, access_token: str) -> tuple[str, ...]:
        """The scopes the venue says this bearer has."""
        scopes = self._read("/v2/user/auth", access_token).get("scopes")
        if not isinstance(scopes, list):
            raise _unreachable("no list of scopes")
        return tuple(str(scope) for scope in scopes)

    @property
    def _credentials(self) -> dict[str, str]:
        return {"client_id": self._application.client_id, "client_secret": self._application.client_secret}

    def _tokens(self, form: Mapping[str, str]) -> Tokens:
        attempt = Attempt.within(self._deadline_s)
        try:
            reply = self._post("/oauth2/token", {**form, **self._credentials}, attempt)
        except TRANSPORT_ERRORS as error:
            if attempt.wrote:
                raise TokenLost(type(error).__name__) from error
            raise _unreachable(type(error).__name__) from error
        if reply.status == 429:
            raise _unreachable("429")
        if reply.status >= 500:
            raise ServerBroke(reply.status)
        if reply.status != 200:
            error_body = wire.api_error(reply.body)
            raise GrantRefused(
                error_body.code if error_body else str(reply.status), "" if error_body is None else error_body.message
            )
        try:
            return _read_tokens(wire.decode(reply.body))
        except wire.Malformed as error:
            raise TokenLost(f"unreadable: {error}") from error

    def _post(self, path: str, form: Mapping[str, str], attempt: Attempt, *, bearer: str = "") -> Reply:
        headers = {"content-type": "application/x-www-form-urlencoded"}
        if bearer:
            headers["authorization"] = f"Bearer {bearer}"
        return self._exchange(self._login, attempt, "POST", path, headers, urlencode(form).encode())

    def _read(self, path: str, access_token: str) -> wire.Row:
        headers = {"authorization": f"Bearer {access_token}"}
        try:
            reply = self._exchange(self._api, Attempt.within(self._deadline_s), "GET", path, headers, None)
        except TRANSPORT_ERRORS as error:
            raise _unreachable(type(error).__name__) from error
        if reply.status in {401, 403}:
            refused = wire.api_error(reply.body)
            raise GrantRefused(refused.code if refused else str(reply.status), refused.message if refused else "")
        if reply.status != 200:
            raise _unreachable(str(reply.status))
        try:
            # Wrapped in `data`, as everything of v2.
            return wire.row_of(wire.decode(reply.body).get("data"), "data")
        except wire.Malformed as error:
            raise _unreachable(f"unreadable: {error}") from error

    def _exchange(
        self, origin: str, attempt: Attempt, method: str, path: str, headers: Mapping[str, str], content: bytes | None
    ) -> Reply:
        # A connection of its own: token requests are rare, and one over a connection that the other side is just
        # closing would leave it unknown whether it arrived.
        http = Http(base=origin)
        try:
            return http.exchange(attempt, method=method, target=path, headers=headers, content=content)
        finally:
            http.close()


def _read_tokens(row: wire.Row) -> Tokens:
    if wire.text(row, "token_type").lower() != "bearer":
        raise wire.Malformed("token_type")
    seconds = row.get("expires_in")
    if type(seconds) is not int or not 0 < seconds <= LIFETIME_S_MAX:
        raise wire.Malformed("expires_in")
    scopes = wire.text_or_empty(row, "scope").replace(",", " ").split()
    return Tokens(
        access=wire.text(row, "access_token"),
        refresh=wire.text_or_empty(row, "refresh_token"),
        expires_in_s=seconds,
        scopes=tuple(dict.fromkeys(scopes)),
    )


def _unreachable(why: str) -> Unavailable:
    return Unavailable(
        "AUTHORISATION_SERVER_AWAY",
        "The venue's OAuth server does not answer. Nothing happened.",
        fix="Try again shortly.",
        why=why,
    )
