"""Ed25519 signatures over each request (coinbase.md 8): one per request, valid for 30 s at the venue."""

import base64
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from apps.connectors.venues.keys import read_private_key, unusable

_FIX = "Enter the API key (rh-api-...) and the private half of its Ed25519 pair, in base64 or as a PEM block."


def load_key(secret: str) -> Ed25519PrivateKey:
    r"""The private key of base64 (32 bytes, or 64 with the public half) or of a PEM block (`\n` stands for line ends).

    Raises Misconfigured VENUE_KEY_UNUSABLE, never quoting the secret.
    """
    key = read_private_key(secret, fix=_FIX)
    if not isinstance(key, Ed25519PrivateKey):
        raise unusable("it is no Ed25519 key", fix=_FIX)
    return key


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs reads. `clock` is the wall clock, in seconds since 1970."""

    api_key: str
    key: Ed25519PrivateKey
    clock: Callable[[], float] = time.time

    @classmethod
    def of(cls, *, api_key: str, secret: str, clock: Callable[[], float] = time.time) -> "Signer":
        """Raises Misconfigured VENUE_KEY_UNUSABLE where the API key is empty or the secret is no key."""
        name = api_key.strip()
        if not name or not name.isascii() or not name.isprintable() or " " in name:
            raise unusable("the API key is empty, or holds characters no header takes", fix=_FIX)
        return cls(api_key=name, key=load_key(secret), clock=clock)

    def headers(self, target: str) -> Mapping[str, str]:
        """The headers of a GET of `target`: its path with its query. Made anew for each request."""
        timestamp = str(int(self.clock()))
        signature = self.key.sign(f"{self.api_key}{timestamp}{target}GET".encode())
        return {
            "x-api-key": self.api_key,
            "x-timestamp": timestamp,
            "x-signature": base64.b64encode(signature).decode(),
        }
