"""Headers that no answer goes without, whichever part of Aika gives it."""

from collections.abc import Callable
from functools import reduce
from typing import Any, Final, cast

from csp.middleware import CSPMiddleware
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.security import SecurityMiddleware
from django.utils.cache import add_never_cache_headers


class SecurityHeadersMiddleware(SecurityMiddleware):
    """Django's, for its headers alone. What Django's own answers or refuses itself, a way to TLS or a host that is not
    ours, would go without them."""

    def process_request(self, request: HttpRequest) -> None:
        """Nothing is redirected here."""


class NoStoreMiddleware:
    """Nothing that a view answers is kept by a browser or a proxy, whether the view says so or not.

    Names of files bear a hash: they are answered outside of this, and may be kept.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Not asked who it is for: that would read the session for answers that need none."""
        response = self._get_response(request)
        if "no-store" not in response.get("Cache-Control", ""):
            add_never_cache_headers(response)
        return response


_LAYERS: Final[tuple[Any, ...]] = (XFrameOptionsMiddleware, CSPMiddleware, SecurityHeadersMiddleware)


def on_static_files() -> dict[str, str]:
    """What a server that answers before Django does puts on its answers: the same, by the same settings."""
    bare = HttpResponse()
    del bare["Content-Type"]
    answering: Callable[[HttpRequest], HttpResponseBase] = reduce(
        lambda inner, layer: layer(inner), _LAYERS, lambda _request: bare
    )
    return dict(cast(HttpResponse, answering(HttpRequest())).headers)
