"""Requests to the identity server: all that one step of a sign-in takes have one deadline, and none is redirected.

allauth speaks through a session of `requests`, whose timeouts are between two bytes: a server that drips would hold the
browser, and a worker of ours, for as long as it likes.
"""

import asyncio
import ssl
import time
from functools import cache
from typing import Any, Final

import httpx
import requests
from allauth.core import context
from requests.auth import HTTPBasicAuth

# From the first request of a sign-in's step to the end of its last answer.
TOTAL_S: Final = 10.0
STEP_S: Final = 5.0
ANSWER_BYTES_MAX: Final = 1_048_576

_UNTIL: Final = "_identity_server_until"


class IdentitySession(requests.Session):
    """What allauth sends its requests with. Trouble is raised as `requests` does."""

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **options: Any) -> requests.Response:
        """The whole answer. Raises Timeout, ConnectionError, TooManyRedirects."""
        auth = options.get("auth")
        sent = {
            "params": options.get("params"),
            "data": options.get("data"),
            "headers": options.get("headers"),
            "auth": (auth.username, auth.password) if isinstance(auth, HTTPBasicAuth) else None,
        }
        try:
            return asyncio.run(_asked(str(method), str(url), _seconds_left(), sent))
        except requests.RequestException:
            raise  # ours, of `_asked`: they are OSErrors, too
        except TimeoutError as error:
            raise requests.Timeout(f"The identity server did not answer within {TOTAL_S:g} s.") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            raise requests.ConnectionError(f"The identity server was not reached ({type(error).__name__}).") from error


def _seconds_left() -> float:
    """Until the deadline of the browser's request that this one serves; the first one sets it."""
    served, now = context.request, time.monotonic()
    until = getattr(served, _UNTIL, None)
    if until is None:
        until = now + TOTAL_S
        if served is not None:
            setattr(served, _UNTIL, until)
    return max(until - now, 0.0)


async def _asked(method: str, url: str, seconds: float, sent: dict[str, Any]) -> requests.Response:
    async with (
        asyncio.timeout(seconds),
        httpx.AsyncClient(timeout=STEP_S, follow_redirects=False, trust_env=False, verify=_certificates()) as client,
        client.stream(method, url, **sent) as answer,
    ):
        if answer.is_redirect:
            raise requests.TooManyRedirects("The identity server redirects, which nothing follows.")
        body = bytearray()
        async for piece in answer.aiter_bytes():
            body += piece
            if len(body) > ANSWER_BYTES_MAX:
                raise requests.ConnectionError("The identity server answers with more than is read.")
    said = requests.Response()
    said.status_code, said.url, said._content = answer.status_code, url, bytes(body)
    said.headers.update(answer.headers)
    said.encoding = "utf-8"
    return said


@cache
def _certificates() -> ssl.SSLContext:
    return ssl.create_default_context()
