"""A small OpenID Connect server, over real HTTP: one client, one person, whose claims a test sets.

It asks for what a real one asks for (a code with PKCE, a nonce), and signs with a key that it publishes.
"""

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from django.test import override_settings
from jwt.algorithms import RSAAlgorithm

from config.settings.identity import oidc_providers

CLIENT_ID, CLIENT_SECRET = "aika-staff", "canary-oidc-client-secret"
KEY_ID = "the only one"

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Example Ltd</title></head>
<body><main><h1>Who are you?</h1>
<form method="post" action="/authorize">
{hidden}
<button name="decision" value="yes">I am {name}</button>
<button name="decision" value="no">Go back</button>
</form></main></body></html>"""


@cache
def signing_key() -> RSAPrivateKey:
    """Of this run alone."""
    return generate_private_key(public_exponent=65537, key_size=2048)


class OidcServer:
    """`claims` is what it says of the person; `id_token` overrides what stands in the signed token.

    `asks` is whether a page stands between setting out and coming back, as everywhere where people sign in.
    """

    def __init__(self) -> None:
        self.claims: dict[str, Any] = {"sub": "subject-1", "email": "mara@example.com", "email_verified": True}
        self.id_token: dict[str, Any] = {}
        self.refuse = self.asks = False
        self.drips: str | None = None  # the path whose answer never ends
        self.access_token = f"canary-access-{secrets.token_hex(8)}"
        self.id_tokens: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}
        self._http = _Http(self)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)

    def __enter__(self) -> "OidcServer":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def configuration(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "jwks_uri": f"{self.url}/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        }

    def keys(self) -> dict[str, Any]:
        public = RSAAlgorithm.to_jwk(signing_key().public_key(), as_dict=True)
        return {"keys": [{**public, "kid": KEY_ID, "use": "sig", "alg": "RS256"}]}

    def page(self, asked: dict[str, str]) -> bytes:
        """Where the person says who they are, or goes back."""
        hidden = "".join(
            f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in asked.items()
        )
        return _PAGE.format(hidden=hidden, name=escape(str(self.claims.get("email", "nobody")))).encode()

    def is_sound(self, asked: dict[str, str]) -> bool:
        """Whether this is a request of our one client that can be answered at all."""
        return (
            (asked.get("client_id"), asked.get("response_type")) == (CLIENT_ID, "code")
            and asked.get("code_challenge_method") == "S256"
            and "openid" in asked.get("scope", "").split()
            and all(asked.get(name) for name in ("redirect_uri", "state", "nonce", "code_challenge"))
        )

    def authorize(self, asked: dict[str, str]) -> str:
        if self.refuse or asked.get("decision") == "no":
            return f"{asked['redirect_uri']}?{urlencode({'error': 'access_denied', 'state': asked['state']})}"
        code = secrets.token_hex(8)
        self._codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def token(self, form: dict[str, str]) -> dict[str, Any] | None:
        asked = self._codes.pop(form.get("code", ""), None)
        if asked is None or form.get("redirect_uri") != asked["redirect_uri"]:
            return None
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        proves = base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == asked["code_challenge"]
        if not proves or (form["client_id"], form["client_secret"]) != (CLIENT_ID, CLIENT_SECRET):
            return None
        now = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT_ID, "exp": now + 60, "iat": now, **self.claims}
        claims |= {"nonce": asked["nonce"], **self.id_token}
        self.id_tokens.append(jwt.encode(claims, signing_key(), algorithm="RS256", headers={"kid": KEY_ID}))
        return {
            "access_token": self.access_token,
            "token_type": "bearer",
            "expires_in": 60,
            "id_token": self.id_tokens[-1],
        }


class _Http(ThreadingHTTPServer):
    def __init__(self, oidc: OidcServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.oidc = oidc


class _Handler(BaseHTTPRequestHandler):
    server: _Http

    def do_GET(self) -> None:
        split, oidc = urlsplit(self.path), self.server.oidc
        if oidc.drips is not None and split.path.startswith(oidc.drips):
            self._drip()
        elif split.path == "/authorize":
            self._ask({name: values[0] for name, values in parse_qs(split.query).items()})
        elif split.path == "/userinfo":
            known = self.headers["authorization"] == f"Bearer {oidc.access_token}"
            self._say(oidc.claims if known else None)
        elif split.path == "/keys":
            self._say(oidc.keys())
        else:
            self._say(oidc.configuration() if split.path.startswith("/.well-known/") else None)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        if self.path == "/authorize":
            self._ask(form)
        else:
            self._say(self.server.oidc.token(form))

    def _ask(self, asked: dict[str, str]) -> None:
        oidc = self.server.oidc
        if not oidc.is_sound(asked):
            self._say(None)
        elif oidc.asks and "decision" not in asked:
            self._send(200, oidc.page(asked), "text/html; charset=utf-8")
        else:
            self.send_response(303)
            self.send_header("location", oidc.authorize(asked))
            self.send_header("content-length", "0")
            self.end_headers()

    def _say(self, content: dict[str, Any] | None) -> None:
        self._send(200 if content else 400, json.dumps(content or {"error": "refused"}).encode(), "application/json")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _drip(self) -> None:
        """A byte at a time, each well within any timeout between two bytes."""
        self.send_response(200)
        self.end_headers()
        try:
            while self.server.oidc.drips is not None:
                self.wfile.write(b" ")
                time.sleep(0.02)
        except OSError:
            return

    def log_message(self, *_args: object) -> None:
        """Nothing."""


@contextmanager
def example_ltd() -> Iterator[OidcServer]:
    """Such a server runs, and our staff sign in with it as "Example Ltd"."""
    with OidcServer() as server:
        providers = oidc_providers(
            server_url=server.url, client_id=CLIENT_ID, client_secret=CLIENT_SECRET, name="Example Ltd"
        )
        with override_settings(SOCIALACCOUNT_PROVIDERS=providers, OIDC_SERVER_URL=server.url):
            yield server
