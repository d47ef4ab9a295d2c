"""An application registered at the simulator, and a person who consents, by hand over HTTP."""

import base64
import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.connectors.simulator.client import Client

REDIRECT = "http://localhost:8000/oauth/coinbase/callback"
CLIENT = {"client_id": "aika-test", "client_secret": "a secret of the tests"}
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
SCOPES = "wallet:user:read wallet:accounts:read wallet:buys:create wallet:trades:read offline_access"
ASKED = {
    "client_id": CLIENT["client_id"],
    "redirect_uri": REDIRECT,
    "response_type": "code",
    "scope": SCOPES,
    "state": "0123456789",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}


def arguments_of(secret_file: Path) -> tuple[str, ...]:
    """What a simulator is started with, so that it knows the application whose secret is in this file."""
    secret_file.write_text(f"{CLIENT['client_secret']}\n")
    return (
        *("--oauth-client-id", CLIENT["client_id"], "--oauth-client-secret-file", str(secret_file)),
        *("--oauth-redirect-uri", REDIRECT),
    )


def decide(venue: Client, decision: str = "allow", granted: str = SCOPES, **changed: str) -> httpx.Response:
    pairs = {**ASKED, **changed, "decision": decision, "granted": granted.split()}
    return venue.http.post("/oauth2/auth", data=pairs)


def sent_back(reply: httpx.Response) -> dict[str, str]:
    assert reply.status_code == 302 and reply.headers["location"].startswith(f"{REDIRECT}?")
    return {name: values[0] for name, values in parse_qs(urlsplit(reply.headers["location"]).query).items()}


def a_code(venue: Client, **changed: str) -> str:
    return sent_back(decide(venue, **changed))["code"]


def exchange(venue: Client, code: str, /, **changed: str) -> httpx.Response:
    form = {
        **CLIENT,
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": REDIRECT,
        "code_verifier": VERIFIER,
    }
    return venue.http.post("/oauth2/token", data={**form, **changed})


def refresh(venue: Client, token: str) -> httpx.Response:
    return venue.http.post("/oauth2/token", data={**CLIENT, "grant_type": "refresh_token", "refresh_token": token})


def tokens(venue: Client, **changed: str) -> dict[str, Any]:
    reply = exchange(venue, a_code(venue, **changed))
    assert reply.status_code == 200
    return dict(reply.json())


def with_bearer(venue: Client, token: str, path: str, method: str = "GET", **options: Any) -> httpx.Response:
    return venue.http.request(method, path, headers={"authorization": f"Bearer {token}"}, **options)
