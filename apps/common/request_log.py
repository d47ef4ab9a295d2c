"""Each request has an id: the caller's own or a new one, on its answer, on every line of the log, and on one that says
what was asked and what came of it."""

import logging
import time
from collections.abc import Callable
from typing import Any, Final

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from apps.common import tracing
from apps.common.api.problems import REQUEST_ID_HEADER, request_id_of
from apps.common.client_address import client_address

AGENT_CHARS_MAX: Final = 200
_PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})

logger = logging.getLogger("aika.requests")


class RequestLogMiddleware:
    """The first of all, so that nothing is answered without an id."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """The answer, with its id."""
        began = time.perf_counter()
        request_id = request_id_of(request)
        tracing.begin(request_id=request_id)
        try:
            response = self._get_response(request)
            response[REQUEST_ID_HEADER] = request_id
            _say(request, response.status_code, int((time.perf_counter() - began) * 1000))
            return response
        finally:
            tracing.end()

    def process_view(self, request: HttpRequest, _view: Any, _args: Any, kwargs: dict[str, Any]) -> None:
        """What the address names is what the work is about."""
        tracing.bind(**tracing.ids_in(kwargs))


def _say(request: HttpRequest, status: int, duration_ms: int) -> None:
    path = _path(request)
    logger.log(
        logging.DEBUG if path in _PROBES else logging.INFO,
        "%s %s: %s",
        request.method,
        path,
        status,
        extra={
            "method": request.method,
            "path": path,
            "status": status,
            "duration_ms": duration_ms,
            "client": client_address(request.META),
            "agent": request.headers.get("User-Agent", "")[:AGENT_CHARS_MAX],
        },
    )


def _path(request: HttpRequest) -> str:
    """Without the query: what somebody searches for is nobody else's business, and may be a pasted key. Where the path
    itself is a key (a forgotten password), how such paths look."""
    match = request.resolver_match
    return f"/{match.route}" if match is not None and "key" in match.kwargs else request.path
