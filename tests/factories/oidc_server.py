"""A small OpenID Connect server, over real HTTP: one client, one person, whose claims a test sets."""

import base64
import hashlib
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt

CLIENT_ID, CLIENT_SECRET = "aika-staff", "canary-oidc-client-secret"
SIGNING = "a signing key of this server alone, long enough for it"


class OidcServer:
    """`claims` is what it says of the person; `id_token` overrides what stands in the signed token."""

    def __init__(self) -> None:
        self.claims: dict[str, Any] = {"sub": "subject-1", "email": "mara@example.com", "email_verified": True}
        self.id_token: dict[str, Any] = {}
        self.refuse = False
        self.drips: str | None = None  # the path whose answer never ends
        self.access_token = f"canary-access-{secrets.token_hex(8)}"
        self.id_tokens: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
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

    def authorize(self, asked: dict[str, str]) -> str:
        if self.refuse:
            return f"{asked['redirect_uri']}?{urlencode({'error': 'access_denied', 'state': asked['state']})}"
        code = secrets.token_hex(8)
        self._codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def token(self, form: dict[str, str]) -> dict[str, Any] | None:
        asked = self._codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        proves = asked and base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == asked.get("code_challenge")
        if not proves or (form["client_id"], form["client_secret"]) != (CLIENT_ID, CLIENT_SECRET):
            return None
        now = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT_ID, "exp": now + 60, "iat": now, **self.claims}
        claims |= {"nonce": asked["nonce"], **self.id_token}
        self.id_tokens.append(jwt.encode(claims, SIGNING, algorithm="HS256"))
        return {
            "access_token": self.access_token,
            "token_type": "bearer",
            "expires_in": 60,
            "id_token": self.id_tokens[-1],
        }

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                split = urlsplit(self.path)
                if server.drips is not None and split.path.startswith(server.drips):
                    self._drip()
                elif split.path == "/authorize":
                    self.send_response(302)
                    asked = {name: values[0] for name, values in parse_qs(split.query).items()}
                    self.send_header("location", server.authorize(asked))
                    self.end_headers()
                elif split.path == "/userinfo":
                    known = self.headers["authorization"] == f"Bearer {server.access_token}"
                    self._say(server.claims if known else None)
                else:
                    self._say(server.configuration() if split.path.startswith("/.well-known/") else None)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                self._say(server.token({name: values[0] for name, values in parse_qs(body).items()}))

            def _say(self, content: dict[str, Any] | None) -> None:
                body = json.dumps(content or {"error": "refused"}).encode()
                self.send_response(200 if content else 400)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def _drip(self) -> None:
                """A byte at a time, each well within any timeout between two bytes."""
                self.send_response(200)
                self.end_headers()
                try:
                    while server.drips is not None:
                        self.wfile.write(b" ")
                        time.sleep(0.02)
                except OSError:
                    return

            def log_message(self, *_args: object) -> None:
                """Nothing."""

        return Handler
