"""The key that signs checkpoints, and the public keys that are believed.

The private key is read where the sealer runs, each time it seals, and nowhere else. Public keys are settings; every
one that ever signed stays among them, or old checkpoints could not be verified.
"""

import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from django.conf import settings

from apps.audit import rules
from apps.common.errors import Conflict, Misconfigured


class SigningKey:
    """An Ed25519 key and its name."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.id = rules.key_id_of(self.public)

    def sign(self, body: bytes) -> str:
        """The signature of these bytes, as 128 hex digits."""
        return self._private.sign(body).hex()


def signing_key() -> SigningKey:
    """The key in the file that AUDIT_SEAL_KEY_FILE names.

    Raises Misconfigured AUDIT_SEAL_KEY_MISSING where none is named or the file cannot be read, AUDIT_SEAL_KEY_MALFORMED
    where it is no Ed25519 key, AUDIT_SEAL_KEY_UNKNOWN where its public half is not among those that are believed.
    """
    if not settings.AUDIT_SEAL_KEY_FILE:
        raise Misconfigured(
            "AUDIT_SEAL_KEY_MISSING",
            "No key to sign checkpoints with.",
            fix="Make one with audit_keygen and set AUDIT_SEAL_KEY_FILE where the default queue is worked on.",
        )
    path = Path(settings.AUDIT_SEAL_KEY_FILE)
    try:
        private = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise Misconfigured("AUDIT_SEAL_KEY_MISSING", f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Misconfigured("AUDIT_SEAL_KEY_MALFORMED", f"{path} is no private key in PEM.") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise Misconfigured("AUDIT_SEAL_KEY_MALFORMED", f"{path} is a key of another kind; Ed25519 is due.")
    key = SigningKey(private)
    if key.id not in believed():
        raise Misconfigured(
            "AUDIT_SEAL_KEY_UNKNOWN",
            "Nobody would believe what this key signs.",
            fix=f"Add {key.public.hex()} to AUDIT_SEAL_PUBLIC_KEYS, beside the ones that are there.",
        )
    return key


def believed() -> dict[str, bytes]:
    """Key id -> public key (32 bytes), of settings and, on an embedded desk, of the file beside its key.

    Raises Misconfigured AUDIT_SEAL_KEY_MALFORMED for a text that is no public key.
    """
    texts = list(settings.AUDIT_SEAL_PUBLIC_KEYS)
    if settings.AUDIT_SEAL_PUBLIC_KEYS_PATH and settings.AUDIT_SEAL_PUBLIC_KEYS_PATH.is_file():
        texts += settings.AUDIT_SEAL_PUBLIC_KEYS_PATH.read_text(encoding="ascii").split()
    keys: dict[str, bytes] = {}
    for text in texts:
        try:
            raw = bytes.fromhex(text)
        except ValueError:
            raw = b""
        if len(raw) != 32:
            raise Misconfigured("AUDIT_SEAL_KEY_MALFORMED", "A public key of AUDIT_SEAL_PUBLIC_KEYS is 64 hex digits.")
        keys[rules.key_id_of(raw)] = raw
    return keys


def holds(*, public_key: bytes, body: bytes, signature: str) -> bool:
    """Whether the signature (hex, in its one form) is this key's for exactly these bytes."""
    try:
        octets = bytes.fromhex(signature)
        Ed25519PublicKey.from_public_bytes(public_key).verify(octets, body)
    except (InvalidSignature, ValueError):
        return False
    return octets.hex() == signature


def generate(*, path: Path) -> bytes:
    """A new key in a new file that only its owner may read (mode 0600). Returns the public key.

    On an embedded desk the public key is added to the file of believed ones. Raises Conflict AUDIT_SEAL_KEY_EXISTS:
    no key is ever written over.
    """
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise Conflict("AUDIT_SEAL_KEY_EXISTS", f"{path} is there already.") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    key = SigningKey(private)
    if settings.AUDIT_SEAL_PUBLIC_KEYS_PATH:
        with settings.AUDIT_SEAL_PUBLIC_KEYS_PATH.open("a", encoding="ascii") as public:
            public.write(f"{key.public.hex()}\n")
    return key.public
