"""Headers that no answer goes without, whichever part of Aika gives it."""

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import add_never_cache_headers


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
            add_never_cache_headers(response)  # type: ignore[arg-type]  # a stream has headers as well
        return response
