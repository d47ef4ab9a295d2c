"""The form of a layer that answers, where it does, just before a view would."""

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase


class BeforeView:
    """A middleware with nothing to do on the way in or out. Write `process_view`: None where the view may answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """The request goes on; `process_view` may answer it."""
        return self._get_response(request)
