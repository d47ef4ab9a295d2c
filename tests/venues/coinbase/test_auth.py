"""Keys in every form they come in, and tokens that a venue can verify."""

import base64
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from apps.common.errors import Misconfigured
from apps.connectors.venues.coinbase.auth import Signer, load_key

P256 = ec.generate_private_key(ec.SECP256R1())
ED = Ed25519PrivateKey.generate()
SEED = ED.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
PUBLIC = ED.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def pem(key: Any, form: PrivateFormat = PrivateFormat.PKCS8) -> str:
    return str(key.private_bytes(Encoding.PEM, form, NoEncryption()).decode())


SEC1 = pem(P256, PrivateFormat.TraditionalOpenSSL)

FORMS = {
    "sec1": (SEC1, "ES256"),
    "pkcs8": (pem(P256), "ES256"),
    "literal line ends": (SEC1.replace("\n", "\\n"), "ES256"),
    "windows line ends": (SEC1.replace("\n", "\r\n"), "ES256"),
    "line ends lost": (SEC1.replace("\n", ""), "ES256"),
    "blanks around": (f"  {SEC1}\n\n", "ES256"),
    "ed25519 pkcs8": (pem(ED), "EdDSA"),
    "ed25519 seed": (base64.b64encode(SEED).decode(), "EdDSA"),
    "ed25519 seed and public": (base64.b64encode(SEED + PUBLIC).decode(), "EdDSA"),
}


@pytest.mark.parametrize(("secret", "algorithm"), FORMS.values(), ids=FORMS.keys())
def test_each_form_signs_a_token_that_verifies(secret: str, algorithm: str) -> None:
    signer = Signer.of(key_name="organizations/o/apiKeys/k", secret=secret, clock=lambda: 1_800_000_000.9)
    assert signer.algorithm == algorithm
    token = signer.token(method="GET", host="localhost:8123", path="/api/v3/brokerage/orders/historical/1")
    claims = jwt.decode(
        token,
        (P256 if algorithm == "ES256" else ED).public_key(),
        algorithms=[algorithm],
        options={"verify_exp": False, "verify_nbf": False},
    )
    assert claims == {
        "sub": "organizations/o/apiKeys/k",
        "iss": "cdp",
        "nbf": 1_799_999_995,
        "exp": 1_800_000_115,
        "uri": "GET localhost:8123/api/v3/brokerage/orders/historical/1",
    }
    header = jwt.get_unverified_header(token)
    assert (header["alg"], header["kid"], header["typ"]) == (algorithm, "organizations/o/apiKeys/k", "JWT")
    assert len(header["nonce"]) == 32


def test_two_tokens_have_two_nonces() -> None:
    signer = Signer.of(key_name="k", secret=SEC1)
    nonces = {jwt.get_unverified_header(signer.token(method="GET", host="h", path="/"))["nonce"] for _ in range(3)}
    assert len(nonces) == 3


CANARY = "c2VjcmV0LWNhbmFyeQ"

UNUSABLE = {
    "empty": "",
    "words": f"{CANARY} not a key",
    "wrong length": base64.b64encode(b"x" * 31).decode(),
    "halves that differ": base64.b64encode(SEED + b"\0" * 32).decode(),
    "another curve": pem(ec.generate_private_key(ec.SECP384R1())),
    "rsa": pem(rsa.generate_private_key(65537, 2048)),
    "a public key": P256.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
    "encrypted": P256.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")).decode(),
    "broken pem": f"-----BEGIN EC PRIVATE KEY-----\n{CANARY}\n-----END EC PRIVATE KEY-----",
    "beyond ascii": SEC1.replace("M", "М"),
}


@pytest.mark.parametrize("secret", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_what_is_no_key_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        load_key(secret)
    assert refused.value.code == "VENUE_KEY_UNUSABLE"
    assert CANARY not in str(refused.value) + repr(refused.value.__cause__)
    assert refused.value.__cause__ is None


def test_a_key_without_a_name_is_refused() -> None:
    with pytest.raises(Misconfigured):
        Signer.of(key_name=" ", secret=SEC1)
