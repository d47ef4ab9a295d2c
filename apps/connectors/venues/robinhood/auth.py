"""Ed25519 signatures over each request (coinbase.md 8): one per request, valid for 30 s at the venue."""

import base64
import binascii
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from apps.common.errors import Misconfigured


def _unusable(why: str) -> Misconfigured:
    return Misconfigured(
        "VENUE_KEY_UNUSABLE",
        f"The venue key cannot be used: {why}.",
        fix="Enter the API key (rh-api-...) and the private half of its Ed25519 pair, in base64 or as a PEM block.",
    )


def load_key(secret: str) -> Ed25519PrivateKey:
    r"""The private key of base64 (32 bytes, or 64 with the public half) or of a PEM block (`\n` stands for line ends).

    Raises Misconfigured VENUE_KEY_UNUSABLE, never quoting the secret.
    """
    text = secret.replace("\\n", "\n").strip()
    if not text.isascii() or not text:
        raise _unusable("it is empty" if not text else "it holds characters no key has")
    return _from_pem(text) if text.startswith("-----BEGIN") else _from_base64(text)


def _from_pem(text: str) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The library's message may quote what it read; it is left out.
        raise _unusable("the PEM block does not hold an unencrypted private key") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _unusable("it is no Ed25519 key")
    return key


def _from_base64(text: str) -> Ed25519PrivateKey:
    try:
        raw = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise _unusable("it is neither PEM nor base64") from None
    if len(raw) not in {32, 64}:
        raise _unusable(f"an Ed25519 key has 32 or 64 bytes, this has {len(raw)}")
    key = Ed25519PrivateKey.from_private_bytes(raw[:32])
    if len(raw) == 64 and key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw) != raw[32:]:
        raise _unusable("its public half does not belong to its private half")
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
            raise _unusable("the API key is empty, or holds characters no header takes")
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
