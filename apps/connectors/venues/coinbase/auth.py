"""CDP key JWTs: one per request, bound to method, host and path (coinbase.md 2.1)."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from apps.connectors.venues.keys import read_private_key, unusable

LIFETIME_S = 120  # the venue accepts exp - nbf of at most this
EARLY_S = 5  # nbf lies this far back, so that a clock a little ahead of the venue's does not lock us out

_Key = EllipticCurvePrivateKey | Ed25519PrivateKey


_FIX = "Enter the private key as the venue gave it: a PEM block (EC P-256, Ed25519) or base64 (Ed25519)."


def load_key(secret: str) -> _Key:
    r"""The private key of a PEM block (SEC1 or PKCS8, a literal `\n` read as a line end) or of base64 Ed25519.

    Raises Misconfigured VENUE_KEY_UNUSABLE, never quoting the secret.
    """
    key = read_private_key(secret, fix=_FIX)
    if isinstance(key, Ed25519PrivateKey):
        return key
    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1):
        return key
    raise unusable("it is neither on the P-256 curve nor an Ed25519 key", fix=_FIX)


@dataclass(frozen=True, slots=True)
class Signer:
    """Makes the bearer token of one request. `clock` is the wall clock, in seconds since 1970."""

    key_name: str
    key: _Key
    clock: Callable[[], float] = time.time

    @classmethod
    def of(cls, *, key_name: str, secret: str, clock: Callable[[], float] = time.time) -> "Signer":
        """Raises Misconfigured where the name is empty or the secret is no key."""
        if not key_name.strip():
            raise unusable("the key has no name", fix=_FIX)
        return cls(key_name=key_name.strip(), key=load_key(secret), clock=clock)

    @property
    def algorithm(self) -> str:
        return "EdDSA" if isinstance(self.key, Ed25519PrivateKey) else "ES256"

    def token(self, *, method: str, host: str, path: str, early_s: int = EARLY_S) -> str:
        """A token for this method on this path of the host really called; `path` without its query."""
        return self._signed({"uri": f"{method} {host}{path}"}, early_s)

    def socket_token(self) -> str:
        """A token for one message over a socket: it is bound to no path. The stream outlives it."""
        return self._signed({}, EARLY_S)

    def refused(self) -> bool:
        """The venue answered 401. Every token is new already: another one would not fare better."""
        return False

    def _signed(self, purpose: dict[str, str], early_s: int) -> str:
        not_before = int(self.clock()) - early_s
        return jwt.encode(
            {"sub": self.key_name, "iss": "cdp", "nbf": not_before, "exp": not_before + LIFETIME_S, **purpose},
            self.key,
            algorithm=self.algorithm,
            headers={"kid": self.key_name, "nonce": secrets.token_hex(16)},
        )
