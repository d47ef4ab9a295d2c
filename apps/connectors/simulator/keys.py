"""The API key: the file a person downloads, and the check of the token a client makes with it."""

import base64
import binascii
import json
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from apps.connectors.simulator.errors import StartError, Unauthorized

MAX_LIFETIME_S = 120
LEEWAY_S = 5
ISSUERS = frozenset({"cdp", "coinbase-cloud"})
"""`cdp` is documented; older clients (ccxt's ES256 path) still say `coinbase-cloud` and are let in."""


@dataclass(frozen=True)
class ApiKey:
    """The venue's half of a key: its name and what verifies its signatures."""

    name: str
    algorithm: str
    public_key: ec.EllipticCurvePublicKey | Ed25519PublicKey


def load_or_create(path: Path) -> ApiKey:
    """The key in `path`; made and written there, readable by its owner only, if there is none."""
    if not path.exists():
        _create(path)
    try:
        content = json.loads(path.read_text())
        name = content.get("name") or content["id"]
        return _parse(str(name), str(content["privateKey"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"{path} is not a CDP key file ({error}); move it away and a new one is made"
        raise StartError(message) from error


def _create(path: Path) -> None:
    private = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    name = f"organizations/{uuid.uuid4()}/apiKeys/{uuid.uuid4()}"
    text = json.dumps({"name": name, "privateKey": private.decode()}, indent=2)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Written beside and renamed: whoever waits for the file never reads half of it.
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text + "\n")
        draft.rename(path)
    except OSError as error:
        message = f"cannot write the key file {path}: {error.strerror}; choose another --key-file"
        raise StartError(message) from error


def _parse(name: str, secret: str) -> ApiKey:
    if "BEGIN" in secret:
        pem = secret.replace("\\n", "\n").encode()
        private = serialization.load_pem_private_key(pem, password=None)
        if isinstance(private, Ed25519PrivateKey):
            return ApiKey(name, "EdDSA", private.public_key())
        if isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(private.curve, ec.SECP256R1):
            return ApiKey(name, "ES256", private.public_key())
        raise ValueError("neither EC P-256 nor Ed25519")
    try:
        raw = base64.b64decode(secret, validate=True)
    except binascii.Error as error:
        raise ValueError("privateKey is neither PEM nor base64") from error
    if len(raw) not in (32, 64):
        raise ValueError("an Ed25519 key has 32 or 64 bytes")
    return ApiKey(name, "EdDSA", Ed25519PrivateKey.from_private_bytes(raw[:32]).public_key())


def hosts_for(host_header: str) -> frozenset[str]:
    """The host names a client may have signed for: the one it sent, and the other name of the same loopback."""
    name, colon, port = host_header.lower().partition(":")
    names = {"localhost", "127.0.0.1"} if name in ("localhost", "127.0.0.1") else {name}
    return frozenset(f"{each}{colon}{port}" for each in names)


def verify(key: ApiKey, authorization: str, method: str, host: str, path: str) -> None:
    """Raise `Unauthorized` unless the header holds a fresh token of this key for exactly this method and path."""
    kind, _, token = authorization.partition(" ")
    if kind.lower() != "bearer" or not token:
        raise Unauthorized("no bearer token")
    claims = verify_token(key, token)
    signed = claims.get("uris", claims.get("uri"))
    # Some clients make the claim by cutting "https://" off the URL; over plain HTTP there is nothing to cut.
    allowed = {f"{method} {scheme}{each}{path}" for each in hosts_for(host) for scheme in ("", "http://")}
    if not any(uri in allowed for uri in (signed if isinstance(signed, list) else [signed]) if isinstance(uri, str)):
        raise Unauthorized("uri is for another request")


def verify_token(key: ApiKey, token: str) -> dict[str, Any]:
    """The claims of a fresh token of this key, whatever it is for: a socket's has no `uri`. Raises `Unauthorized`."""
    try:
        header = jwt.get_unverified_header(token)
        if header.get("alg") != key.algorithm:
            raise Unauthorized("alg does not fit the key")
        claims = jwt.decode(
            token,
            key=key.public_key,
            algorithms=[key.algorithm],
            options={"require": ["exp", "nbf", "sub", "iss"], "verify_aud": False},
            leeway=LEEWAY_S,
        )
    except jwt.PyJWTError as error:
        raise Unauthorized(str(error)) from error
    _check_claims(key, header, claims)
    return dict(claims)


def _check_claims(key: ApiKey, header: dict[str, Any], claims: dict[str, Any]) -> None:
    if not (header.get("kid") == claims["sub"] == key.name):
        raise Unauthorized("kid and sub are not this key")
    if claims["iss"] not in ISSUERS:
        raise Unauthorized("iss")
    # PyJWT has read both as integers, so they can be; it checked them against the clock too.
    if int(claims["exp"]) - int(claims["nbf"]) > MAX_LIFETIME_S:
        raise Unauthorized("lives too long")
