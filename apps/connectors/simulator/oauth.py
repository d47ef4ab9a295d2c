"""The venue's OAuth server: one client, codes for one use, refresh tokens that rotate (coinbase.md 2.2).

A family is what grew from one consent. A code or a refresh token used twice ends its whole family, as does revoking.
"""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import Final

from apps.connectors.simulator.clock import Clock

ACCESS_S: Final = 3600
# A year and a half (coinbase.md 2.2).
REFRESH_S: Final = 3 * 365 * 86_400 // 2
CODE_S: Final = 600
STATE_CHARS_MIN: Final = 8
OFFLINE: Final = "offline_access"
SCOPES: Final[dict[str, str]] = {
    "wallet:user:read": "see your name",
    "wallet:user:email": "see your e-mail address",
    "wallet:accounts:read": "see your accounts and their balances",
    "wallet:buys:create": "place and cancel orders",
    "wallet:trades:read": "see your orders, fills and the market",
    "wallet:trades:create": "place orders",
    "wallet:transactions:read": "see your transactions and fees",
    "wallet:transactions:send": "SEND MONEY OUT",
    "wallet:transactions:transfer": "MOVE MONEY BETWEEN ACCOUNTS",
    "wallet:withdrawals:create": "WITHDRAW MONEY",
    OFFLINE: "keep this access until you take it back",
}
"""What may be asked for, and what the consent page says of it."""


class OAuthRefusal(Exception):
    """A token request that is refused, as RFC 6749 5.2 names it."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(error)
        self.error = error
        self.description = description
        self.status = status


class TokenRefused(Exception):
    """A bearer that is not accepted: `invalid_token`, `expired_token` or `revoked_token` (401)."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


@dataclass(frozen=True)
class Client:
    """The registered application."""

    client_id: str
    secret: str = field(repr=False)
    redirect_uri: str = ""


@dataclass
class Family:
    """One consent."""

    scopes: tuple[str, ...]
    revoked: bool = False


@dataclass
class Code:
    """What a consent gave: exchanged once, soon, by who knows the verifier."""

    family: Family
    redirect_uri: str
    challenge: str
    method: str
    expires: int
    used: bool = False


@dataclass
class Access:
    """A bearer."""

    family: Family
    expires: int


@dataclass
class Refresh:
    """Good for one refresh, for as long as the venue lets it lie."""

    family: Family
    expires: int
    used: bool = False


@dataclass
class Counts:
    """What was done since the last reset."""

    consents: int = 0
    exchanges: int = 0
    refreshes: int = 0
    reuses: int = 0
    revocations: int = 0


class OAuthServer:
    """The books. `client` is None where no application is registered: nothing is authorised then."""

    def __init__(
        self,
        client: Client | None,
        *,
        access_s: int = ACCESS_S,
        refresh_s: int = REFRESH_S,
        withheld: frozenset[str] = frozenset(),
    ) -> None:
        self.client = client
        self._begun_with = (access_s, refresh_s, withheld)
        self.access_s, self.refresh_s, self.withheld = self._begun_with
        self.counts = Counts()
        self._codes: dict[str, Code] = {}
        self._access: dict[str, Access] = {}
        self._refresh: dict[str, Refresh] = {}

    def reset(self) -> None:
        """As when it started: nobody ever consented."""
        self.access_s, self.refresh_s, self.withheld = self._begun_with
        self.counts = Counts()
        self._codes.clear()
        self._access.clear()
        self._refresh.clear()

    def consent(self, *, scopes: tuple[str, ...], redirect_uri: str, challenge: str, method: str) -> str:
        """The person said yes to these; a code."""
        self.counts.consents += 1
        granted = tuple(scope for scope in scopes if scope not in self.withheld)
        code = f"simcode-{secrets.token_hex(16)}"
        self._codes[code] = Code(Family(granted), redirect_uri, challenge, method, _after(CODE_S))
        return code

    def token(self, form: dict[str, str]) -> dict[str, object]:
        """POST /oauth2/token. Raises OAuthRefusal."""
        self._check_client(form)
        grant = form.get("grant_type", "")
        if grant == "authorization_code":
            return self._exchange(form)
        if grant == "refresh_token":
            return self._rotate(form.get("refresh_token", ""))
        raise OAuthRefusal("unsupported_grant_type", "authorization_code or refresh_token")

    def _check_client(self, form: dict[str, str]) -> None:
        client = self.client
        if (
            client is None
            or form.get("client_id") != client.client_id
            or not hmac.compare_digest(form.get("client_secret", "").encode(), client.secret.encode())
        ):
            raise OAuthRefusal("invalid_client", "Unknown client, or its secret is wrong.", 401)

    def _exchange(self, form: dict[str, str]) -> dict[str, object]:
        code = self._codes.get(form.get("code", ""))
        if code is None:
            raise OAuthRefusal("invalid_grant", "There is no such code.", 401)
        if code.used:
            self.counts.reuses += 1
            code.family.revoked = True
            raise OAuthRefusal("invalid_grant", "The code was used before. What it gave is revoked.", 401)
        if code.expires <= Clock.micros():
            raise OAuthRefusal("invalid_grant", "The code has expired.", 401)
        if form.get("redirect_uri") != code.redirect_uri:
            raise OAuthRefusal("invalid_grant", "The redirect URI is not that of the authorisation.", 401)
        if code.challenge and not _proves(form.get("code_verifier", ""), code):
            raise OAuthRefusal("invalid_grant", "The code verifier does not fit the challenge.", 401)
        code.used = True
        self.counts.exchanges += 1
        return self._issue(code.family)

    def _rotate(self, token: str) -> dict[str, object]:
        refresh = self._refresh.get(token)
        if refresh is None:
            raise OAuthRefusal("invalid_grant", "There is no such refresh token.", 401)
        if refresh.used:
            self.counts.reuses += 1
            refresh.family.revoked = True
        if refresh.used or refresh.family.revoked:
            raise OAuthRefusal("invalid_grant", "The refresh token was used before or is revoked.", 401)
        if refresh.expires <= Clock.micros():
            raise OAuthRefusal("invalid_grant", "The refresh token has expired.", 401)
        refresh.used = True
        self.counts.refreshes += 1
        return self._issue(refresh.family)

    def _issue(self, family: Family) -> dict[str, object]:
        access = f"simaccess-{secrets.token_hex(24)}"
        self._access[access] = Access(family, _after(self.access_s))
        reply: dict[str, object] = {
            "access_token": access,
            "token_type": "bearer",
            "expires_in": self.access_s,
            "scope": " ".join(family.scopes),
        }
        if OFFLINE in family.scopes:
            refresh = f"simrefresh-{secrets.token_hex(24)}"
            self._refresh[refresh] = Refresh(family, _after(self.refresh_s))
            reply["refresh_token"] = refresh
        return reply

    def revoke(self, form: dict[str, str]) -> None:
        """POST /oauth2/revoke: whatever grew with this token ends. Whoever asks wrongly hears nothing of it."""
        try:
            self._check_client(form)
        except OAuthRefusal:
            return
        token = form.get("token", "")
        known: Access | Refresh | None = self._access.get(token) or self._refresh.get(token)
        if known is not None:
            self.counts.revocations += 1
            known.family.revoked = True

    def revoke_all(self) -> None:
        """The person takes every consent back on the venue's own pages."""
        for family in self._families():
            family.revoked = True

    def narrow(self, scopes: frozenset[str]) -> None:
        """The person takes these back from every consent, on the venue's own pages; the rest goes on."""
        for family in self._families():
            family.scopes = tuple(scope for scope in family.scopes if scope not in scopes)

    def expire_access(self) -> None:
        """Every bearer there is has expired just now."""
        for known in self._access.values():
            known.expires = 0

    def _families(self) -> list[Family]:
        return [*(known.family for known in self._access.values()), *(known.family for known in self._refresh.values())]

    def is_ours(self, token: str) -> bool:
        """Whether a bearer claims to be one of OAuth's, and not a signed token of a key."""
        return token.startswith("simaccess-")

    def scopes_of(self, token: str) -> tuple[str, ...]:
        """What this bearer may. Raises TokenRefused."""
        access = self._access.get(token)
        if access is None:
            raise TokenRefused("invalid_token")
        if access.family.revoked:
            raise TokenRefused("revoked_token")
        if access.expires <= Clock.micros():
            raise TokenRefused("expired_token")
        return access.family.scopes


def _after(seconds: int) -> int:
    return Clock.micros() + seconds * 1_000_000


def _proves(verifier: str, code: Code) -> bool:
    if code.method == "S256":
        digest = hashlib.sha256(verifier.encode()).digest()
        verifier = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return hmac.compare_digest(verifier.encode(), code.challenge.encode())
