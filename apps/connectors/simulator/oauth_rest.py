"""The doors of the OAuth server: the consent page, token, revoke, the profile; and its side door for tests."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from html import escape
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from apps.connectors.simulator.errors import ApiError, Unauthorized, invalid_argument
from apps.connectors.simulator.oauth import SCOPES, STATE_CHARS_MIN, OAuthRefusal, OAuthServer, TokenRefused
from apps.connectors.simulator.order_rest import read_object

Handler = Callable[[Request], Awaitable[Response]]
KEPT = ("client_id", "redirect_uri", "response_type", "scope", "state", "code_challenge", "code_challenge_method")

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body><main><h1>{title}</h1>
{body}
</main></body></html>"""

_CONSENT = """<p>An application asks for access to the practice account of Sim Trader. It could then:</p>
<form method="post" action="/oauth2/auth">
{hidden}
<ul>
{scopes}
</ul>
<button name="decision" value="allow">Allow</button>
<button name="decision" value="refuse">Refuse</button>
</form>"""

# What the official table says where it could be read (accounts, orders); the rest is this venue's choice.
NEEDED: tuple[tuple[str, str, str], ...] = (
    ("GET", "/accounts", "wallet:accounts:read"),
    ("POST", "/orders/preview", "wallet:trades:read"),
    ("POST", "/orders", "wallet:buys:create"),
    ("GET", "/transaction_summary", "wallet:transactions:read"),
    ("GET", "/key_permissions", ""),
)


def needed_scope(method: str, path: str) -> str | None:
    """The scope for a path below the prefix; None where no bearer of OAuth's is accepted at all."""
    found = next((scope for verb, start, scope in NEEDED if verb == method and path.startswith(start)), None)
    return "wallet:trades:read" if found is None else found or None


def check_bearer(server: OAuthServer, token: str, method: str, path: str) -> None:
    """Raise unless this bearer may do this: 401 as for a key, 403 for a missing scope."""
    try:
        scopes = server.scopes_of(token)
    except TokenRefused as error:
        raise Unauthorized(error.error) from error
    if needed_scope(method, path) not in scopes:
        raise ApiError(403, "PERMISSION_DENIED", "Missing required scopes")


def routes(server: OAuthServer, local: Callable[[Handler], Handler]) -> list[Route]:
    """All routes of OAuth; `local` guards the side door."""
    door = OAuthRest(server)
    return [
        Route("/oauth2/auth", door.ask, methods=["GET"]),
        Route("/oauth2/auth", door.decide, methods=["POST"]),
        Route("/oauth2/token", door.token, methods=["POST"]),
        Route("/oauth2/revoke", door.revoke, methods=["POST"]),
        Route("/v2/user", door.user, methods=["GET"]),
        Route("/v2/user/auth", door.granted, methods=["GET"]),
        Route("/simulator/oauth", local(door.state), methods=["GET"]),
        Route("/simulator/oauth", local(door.change), methods=["POST"]),
    ]


class OAuthRest:
    """Handlers."""

    def __init__(self, server: OAuthServer) -> None:
        self._server = server

    async def ask(self, request: Request) -> Response:
        """GET /oauth2/auth: the consent page."""
        wanted = {name: request.query_params.get(name, "") for name in KEPT}
        stopped = self._stopped(wanted)
        if stopped is not None:
            return stopped
        hidden = "\n".join(
            f'<input type="hidden" name="{name}" value="{escape(value)}">' for name, value in wanted.items()
        )
        scopes = "\n".join(
            f'<li><label><input type="checkbox" name="granted" value="{escape(scope)}" checked> '
            f"{escape(SCOPES[scope])} <code>{escape(scope)}</code></label></li>"
            for scope in _scopes(wanted["scope"])
        )
        return _page("Allow access?", _CONSENT.format(hidden=hidden, scopes=scopes))

    async def decide(self, request: Request) -> Response:
        """POST /oauth2/auth: back to the application, with a code or without."""
        pairs = parse_qsl((await request.body()).decode(), keep_blank_values=True)
        form = dict(pairs)
        wanted = {name: form.get(name, "") for name in KEPT}
        stopped = self._stopped(wanted)
        if stopped is not None:
            return stopped
        if form.get("decision") != "allow":
            return _back(wanted, error="access_denied", error_description="The person refused.")
        chosen = {value for name, value in pairs if name == "granted"}
        code = self._server.consent(
            scopes=tuple(scope for scope in _scopes(wanted["scope"]) if scope in chosen),
            redirect_uri=wanted["redirect_uri"],
            challenge=wanted["code_challenge"],
            method=wanted["code_challenge_method"] or "plain",
        )
        return _back(wanted, code=code)

    def _stopped(self, wanted: dict[str, str]) -> Response | None:
        """An error page where nobody can be trusted to be sent anywhere, an error sent back where somebody can."""
        client = self._server.client
        if client is None or wanted["client_id"] != client.client_id:
            return _page("Unknown application", "<p>Nobody registered it here.</p>", 400)
        if wanted["redirect_uri"] != client.redirect_uri:
            return _page("Wrong address", "<p>The redirect URI is not the one registered.</p>", 400)
        if wanted["response_type"] != "code":
            return _back(wanted, error="unsupported_response_type")
        if len(wanted["state"]) < STATE_CHARS_MIN or wanted["code_challenge_method"] not in {"", "plain", "S256"}:
            return _back(wanted, error="invalid_request")
        if not wanted["scope"] or not set(_scopes(wanted["scope"])) <= SCOPES.keys():
            return _back(wanted, error="invalid_scope")
        return None

    async def token(self, request: Request) -> Response:
        """POST /oauth2/token."""
        try:
            return JSONResponse(self._server.token(await _form(request)), headers={"cache-control": "no-store"})
        except OAuthRefusal as refusal:
            body = {"error": refusal.error, "error_description": refusal.description}
            return JSONResponse(body, refusal.status)

    async def revoke(self, request: Request) -> Response:
        """POST /oauth2/revoke: 200 whether or not it worked."""
        self._server.revoke(await _form(request))
        return JSONResponse({})

    async def user(self, request: Request) -> Response:
        """GET /v2/user: the profile, wrapped in `data`; the e-mail address only with its scope."""
        scopes, refused = self._scopes_of(request, "wallet:user:read")
        if refused is not None:
            return refused
        profile = {"id": "9da7a204-544e-5fd1-9a12-61176c5d4cd8", "name": "Sim Trader", "resource": "user"}
        if "wallet:user:email" in scopes:
            profile["email"] = "sim.trader@example.com"
        return JSONResponse({"data": profile})

    async def granted(self, request: Request) -> Response:
        """GET /v2/user/auth: what the bearer may."""
        scopes, refused = self._scopes_of(request, None)
        return refused or JSONResponse({"data": {"method": "oauth", "scopes": list(scopes)}})

    def _scopes_of(self, request: Request, needed: str | None) -> tuple[tuple[str, ...], Response | None]:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        try:
            scopes = self._server.scopes_of(token if kind.lower() == "bearer" else "")
        except TokenRefused as error:
            return (), _app_error(401, error.error, "The access token is not accepted.")
        if needed is not None and needed not in scopes:
            return (), _app_error(403, "invalid_scope", f"{needed} is missing.")
        return scopes, None

    async def state(self, request: Request) -> Response:
        """GET /simulator/oauth: how many consents, exchanges, refreshes, reuses and revocations there were."""
        server = self._server
        lives = {"access_s": server.access_s, "refresh_s": server.refresh_s}
        return JSONResponse({**asdict(server.counts), **lives, "withheld": sorted(server.withheld)})

    async def change(self, request: Request) -> Response:
        """POST /simulator/oauth: lives, scopes `withheld` or taken back (`narrow`), the end of all or of bearers."""
        body, server = await read_object(request), self._server
        if not body.keys() <= {"access_s", "refresh_s", "withheld", "narrow", "revoke_all", "expire"}:
            raise invalid_argument("access_s, refresh_s, withheld, narrow, revoke_all and expire are known")
        lives = (body.get("access_s", server.access_s), body.get("refresh_s", server.refresh_s))
        withheld, lost = body.get("withheld", server.withheld), body.get("narrow", [])
        if any(type(seconds) is not int or seconds < 1 for seconds in lives):
            raise invalid_argument("access_s and refresh_s are whole numbers of seconds")
        if not {*withheld, *lost} <= SCOPES.keys():
            raise invalid_argument("withheld and narrow are lists of scopes")
        (server.access_s, server.refresh_s), server.withheld = lives, frozenset(withheld)
        server.narrow(frozenset(lost))
        if body.get("revoke_all") is True:
            server.revoke_all()
        if body.get("expire") is True:
            server.expire_access()
        return await self.state(request)


def _scopes(text: str) -> list[str]:
    """Separated by commas or blanks: the venue's pages show both."""
    return list(dict.fromkeys(text.replace(",", " ").split()))


async def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True))


def _back(wanted: dict[str, str], **values: str) -> Response:
    query = urlencode({**values, "state": wanted["state"]})
    joint = "&" if "?" in wanted["redirect_uri"] else "?"
    return RedirectResponse(f"{wanted['redirect_uri']}{joint}{query}", 302)


def _page(title: str, body: str, status: int = 200) -> Response:
    return HTMLResponse(_PAGE.format(title=title, body=body), status, headers={"cache-control": "no-store"})


def _app_error(status: int, error: str, message: str) -> Response:
    return JSONResponse({"errors": [{"id": error, "message": message}]}, status)
