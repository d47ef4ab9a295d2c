"""A security key made of software, and an authenticator app: what a browser would send, with all they can lie about."""

import base64
import hashlib
import json
import os
import time
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData

from apps.accounts.models import User
from apps.accounts.second_factor import SecondFactorAdapter

ORIGIN = "https://testserver"
PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


def text_of(raw: bytes) -> str:
    """base64url without padding, as WebAuthn's JSON has it."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class SoftKey:
    """One credential of ES256 for one relying party."""

    def __init__(self, host: str = "testserver", origin: str = ORIGIN) -> None:
        self.host, self.origin, self.flags = host, origin, PRESENT | VERIFIED
        self.id, self._private = os.urandom(32), ec.generate_private_key(ec.SECP256R1())
        self.count: int | None = 0  # None: a key that does not count

    def create(self, options: dict[str, Any]) -> str:
        """The answer to `navigator.credentials.create`, as JSON."""
        public = ES256.from_cryptography_key(self._private.public_key())
        credential = AttestedCredentialData.create(b"\x00" * 16, self.id, public)
        data = AuthenticatorData.create(self._rp_hash(), self.flags | ATTESTED, 0, bytes(credential))
        response = {
            "clientDataJSON": text_of(self._client_data("webauthn.create", options)),
            "attestationObject": text_of(bytes(AttestationObject.create("none", data, {}))),
            "transports": ["usb"],
        }
        return self._answer(response)

    def get(self, options: dict[str, Any]) -> str:
        """The answer to `navigator.credentials.get`, as JSON."""
        self.count = None if self.count is None else self.count + 1
        data = bytes(AuthenticatorData.create(self._rp_hash(), self.flags, self.count or 0))
        said = self._client_data("webauthn.get", options)
        signature = self._private.sign(data + hashlib.sha256(said).digest(), ec.ECDSA(hashes.SHA256()))
        response = {
            "clientDataJSON": text_of(said),
            "authenticatorData": text_of(data),
            "signature": text_of(signature),
            "userHandle": None,
        }
        return self._answer(response)

    def belongs_to(self, person: User) -> "SoftKey":
        """Kept for this person as allauth keeps it after `create`."""
        options = {"publicKey": {"challenge": text_of(os.urandom(32))}}
        data = {"name": "soft", "credential": json.loads(self.create(options))}
        Authenticator.objects.create(user=person, type=Authenticator.Type.WEBAUTHN, data=data)
        return self

    def _answer(self, response: dict[str, Any]) -> str:
        name = text_of(self.id)
        return json.dumps(
            {"id": name, "rawId": name, "type": "public-key", "clientExtensionResults": {}, "response": response}
        )

    def _client_data(self, kind: str, options: dict[str, Any]) -> bytes:
        challenge = options["publicKey"]["challenge"]
        said = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        return json.dumps(said).encode()

    def _rp_hash(self) -> bytes:
        return hashlib.sha256(self.host.encode()).digest()


def code_of(secret: str, *, at: float | None = None) -> str:
    """What an app shows at that Unix time; now unless told otherwise."""
    return format_hotp_value(hotp_value(secret, int(time.time() if at is None else at) // 30))


def app_for(person: User, secret: str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP") -> str:  # noqa: S107  a test's own
    """An authenticator app set up for this person; its secret."""
    sealed = SecondFactorAdapter().encrypt(secret)
    Authenticator.objects.create(user=person, type=Authenticator.Type.TOTP, data={"secret": sealed})
    return secret
