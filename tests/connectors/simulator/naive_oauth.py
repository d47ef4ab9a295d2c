"""A simulator whose OAuth server looks whether a code or refresh token is used, waits for its store, then marks it.

Run as `python -m tests.connectors.simulator.naive_oauth` with the simulator's own arguments.
"""

import asyncio
import sys

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from apps.connectors.simulator import serve
from apps.connectors.simulator.oauth import Code, Refresh
from apps.connectors.simulator.oauth_rest import OAuthRest, _form

STORE_S = 0.2


async def token(self: OAuthRest, request: Request) -> Response:
    """POST /oauth2/token, as it must not be."""
    server, form = self._server, await _form(request)
    known: Code | Refresh | None = server._codes.get(form.get("code", "")) or server._refresh.get(
        form.get("refresh_token", "")
    )
    if known is None or known.used:
        return JSONResponse({"error": "invalid_grant"}, 401)
    await asyncio.sleep(STORE_S)
    known.used = True
    return JSONResponse(server._issue(known.family))


if __name__ == "__main__":
    OAuthRest.token = token  # type: ignore[method-assign]  # the mutant
    sys.exit(serve.main(sys.argv[1:]))
