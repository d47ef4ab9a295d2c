"""Whose token opens the door, and which keys can be used."""

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from apps.connectors.simulator import keys
from apps.connectors.simulator.errors import StartError
from tests.connectors.simulator.client import PREFIX, Client, MakeClient

PATH = f"{PREFIX}/accounts"


def pem(private: ec.EllipticCurvePrivateKey | Ed25519PrivateKey, form: serialization.PrivateFormat) -> str:
    encoding = serialization.Encoding.PEM
    return private.private_bytes(encoding, form, serialization.NoEncryption()).decode()


STRANGER = pem(ec.generate_private_key(ec.SECP256R1()), serialization.PrivateFormat.PKCS8)


def now(offset: int = 0) -> int:
    return int(time.time()) + offset


REFUSED: dict[str, Callable[[], dict[str, Any]]] = {
    "wrong key": lambda: {"signing_key": STRANGER},
    "wrong algorithm": lambda: {"algorithm": "EdDSA", "signing_key": Ed25519PrivateKey.generate()},
    "symmetric": lambda: {"algorithm": "HS256", "signing_key": "x" * 32},
    "unsigned": lambda: {"algorithm": "none", "signing_key": None},
    "other kid": lambda: {"kid": "organizations/a/apiKeys/b"},
    "other sub": lambda: {"sub": "organizations/a/apiKeys/b"},
    "no sub": lambda: {"sub": None},
    "other issuer": lambda: {"iss": "me"},
    "no issuer": lambda: {"iss": None},
    "expired": lambda: {"nbf": now(-200), "exp": now(-80)},
    "not yet": lambda: {"nbf": now(60), "exp": now(120)},
    "too long": lambda: {"exp": now(3600)},
    "no exp": lambda: {"exp": None},
    "no nbf": lambda: {"nbf": None},
    "no uri": lambda: {"uri": None},
    "other method": lambda: {"uri": f"POST localhost{PATH}"},
    "other path": lambda: {"uri": f"GET localhost{PREFIX}/products"},
    "with query": lambda: {"uri": f"GET localhost{PATH}?limit=1"},
    "other host": lambda: {"uri": f"GET api.coinbase.com{PATH}"},
    "with scheme": lambda: {"uri": f"GET https://localhost{PATH}"},
    "uri of no text": lambda: {"uri": {"a": 1}},
    "other uris": lambda: {"uris": ["GET localhost/else"]},
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_token_is_refused(venue: Client, name: str) -> None:
    token = venue.token("GET", PATH, **REFUSED[name]())
    response = venue.http.get(PATH, headers={"Authorization": f"Bearer {token}"})
    assert (response.status_code, response.text) == (401, "Unauthorized")
    assert response.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer"}, {"Authorization": "Bearer x.y.z"}])
def test_no_token_is_refused(venue: Client, header: dict[str, str]) -> None:
    assert venue.http.get(PATH, headers=header).status_code == 401


ACCEPTED: dict[str, Callable[[], dict[str, Any]]] = {
    "as documented": dict,
    "uris": lambda: {"uri": None, "uris": [f"GET localhost{PATH}"]},
    "other name of loopback": lambda: {"uri": f"GET 127.0.0.1{PATH}"},
    "scheme of plain HTTP left on": lambda: {"uri": f"GET http://localhost{PATH}", "iss": "coinbase-cloud"},
    "with audience": lambda: {"aud": ["cdp_service"], "iat": now()},
    "a clock three seconds fast": lambda: {"nbf": now(3), "exp": now(123)},
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_right_token_is_accepted(venue: Client, name: str) -> None:
    token = venue.token("GET", PATH, **ACCEPTED[name]())
    assert venue.http.get(PATH, headers={"Authorization": f"Bearer {token}"}, params={"limit": 1}).status_code == 200


def ed25519(length: int) -> tuple[Ed25519PrivateKey, str]:
    private = Ed25519PrivateKey.generate()
    raw = private.private_bytes_raw() + private.public_key().public_bytes_raw()
    return private, base64.b64encode(raw[:length]).decode()


@pytest.mark.parametrize("length", [32, 64])
def test_an_ed25519_key_file_works(make_venue: MakeClient, tmp_path: Path, length: int) -> None:
    private, secret = ed25519(length)
    (tmp_path / "key.json").write_text(json.dumps({"id": "some-uuid", "name": "", "privateKey": secret}))
    venue = make_venue()
    venue.key = {"name": "some-uuid", "privateKey": private}
    token = venue.token("GET", PATH, algorithm="EdDSA")
    assert venue.http.get(PATH, headers={"Authorization": f"Bearer {token}"}).status_code == 200
    token = venue.token("GET", PATH, signing_key=STRANGER)
    assert venue.http.get(PATH, headers={"Authorization": f"Bearer {token}"}).status_code == 401


@pytest.mark.parametrize("form", [serialization.PrivateFormat.TraditionalOpenSSL, serialization.PrivateFormat.PKCS8])
def test_pem_forms_are_read(tmp_path: Path, form: serialization.PrivateFormat) -> None:
    text = pem(ec.generate_private_key(ec.SECP256R1()), form)
    for secret in (text, text.replace("\n", "\\n")):
        path = tmp_path / "pem.json"
        path.write_text(json.dumps({"name": "n", "privateKey": secret}))
        assert keys.load_or_create(path).algorithm == "ES256"


def test_a_new_key_file_is_private_and_reused(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "key.json"
    made = keys.load_or_create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    content = json.loads(path.read_text())
    assert content["privateKey"].startswith("-----BEGIN EC PRIVATE KEY-----")
    assert made.name == content["name"] == keys.load_or_create(path).name
    assert content["name"].startswith("organizations/") and "/apiKeys/" in content["name"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"name": "n", "privateKey": "AAAA"}', '{"name":"n","privateKey":"?"}']
)
def test_a_broken_key_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key.json"
    path.write_text(text)
    with pytest.raises(StartError, match="is not a CDP key file"):
        keys.load_or_create(path)
