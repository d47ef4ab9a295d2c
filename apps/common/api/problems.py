"""Every refusal under /api/ in one form: `application/problem+json` (RFC 9457) with a stable code and the next step."""

import json
import logging
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as made_by
from http import HTTPStatus
from typing import Any, Final

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from redis.exceptions import RedisError
from rest_framework import exceptions
from rest_framework.request import Request

from apps.common.errors import AikaError, Invalid
from apps.common.redaction import redacted

PROBLEM_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:aika:problem:"
REQUEST_ID_HEADER: Final = "X-Request-ID"
RETRY_AFTER_S: Final = "1"

# No header can have this name in META, so nobody else writes there.
_KEPT: Final = "aika.request_id"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)

logger = logging.getLogger(__name__)


class InvalidBody(Invalid):
    """More than one thing is wrong with a body. The first leads; `errors` has all of them."""

    def __init__(self, errors: tuple[Invalid, ...]) -> None:
        first = errors[0]
        super().__init__(first.code, first.message, fix=first.fix, field=first.field, **first.details)
        self.errors = errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What a problem answer says, before it is written as JSON."""

    status: int
    code: str
    detail: str
    fix: str = ""
    field: str | None = None
    details: Mapping[str, str] = made_by(default_factory=dict)
    errors: tuple[Invalid, ...] = ()
    headers: Mapping[str, str] = made_by(default_factory=dict)

    def body(self, request_id: str) -> dict[str, Any]:
        """The members of the JSON object; those with nothing to say are left out."""
        members: dict[str, Any] = {
            "type": TYPE_PREFIX + self.code.lower().replace("_", "-"),
            "title": self.code.replace("_", " ").capitalize(),
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "fix": self.fix or _FIXES.get(self.status, "Read `detail`, correct the request and send it again."),
            "request_id": request_id,
        }
        if self.field is not None:
            members["field"] = self.field
        if self.details:
            members["details"] = dict(self.details)
        if self.errors:
            members["errors"] = [
                {"code": error.code, "detail": error.message, "field": error.field, "fix": error.fix}
                for error in self.errors
            ]
        return members


_FIXES: Final[Mapping[int, str]] = {
    401: "Send `Authorization: Bearer` with a valid API key, or sign in.",
    403: "Ask an operator for a role or a key that allows this.",
    404: "Check the id: what is not yours is not found either.",
    409: "Look at it again, then decide again.",
    429: "Wait as long as Retry-After says.",
    500: "Tell an operator the request id.",
    503: "Nothing was stored. Try again in a few seconds.",
}

_REST_CODES: Final[Mapping[type[exceptions.APIException], str]] = {
    exceptions.NotAuthenticated: "NOT_SIGNED_IN",
    exceptions.AuthenticationFailed: "NOT_SIGNED_IN",
    exceptions.PermissionDenied: "NOT_PERMITTED",
    exceptions.NotFound: "NOT_FOUND",
    exceptions.MethodNotAllowed: "METHOD_NOT_ALLOWED",
    exceptions.UnsupportedMediaType: "MEDIA_TYPE_UNSUPPORTED",
    exceptions.Throttled: "RATE_EXCEEDED",
    exceptions.ParseError: "JSON_MALFORMED",
}


def request_id_of(request: HttpRequest | Request) -> str:
    """The id of this request: the caller's own `X-Request-ID` if it is a plain one, else a new one."""
    plain = request._request if isinstance(request, Request) else request
    known: str | None = plain.META.get(_KEPT)
    if known is None:
        sent = plain.META.get("HTTP_X_REQUEST_ID", "")
        known = sent if _REQUEST_ID.fullmatch(sent) else secrets.token_hex(8)
        plain.META[_KEPT] = known
    return known


def respond(request: HttpRequest | Request, problem: Problem) -> HttpResponse:
    """The problem as an answer. ASCII only: what a caller sent may not be text at all, and is quoted here."""
    request_id = request_id_of(request)
    response = HttpResponse(
        json.dumps(redacted(problem.body(request_id)), separators=(",", ":")),
        content_type=PROBLEM_TYPE,
        status=problem.status,
    )
    for name, value in problem.headers.items():
        response[name] = value
    response[REQUEST_ID_HEADER] = request_id
    response["Cache-Control"] = "no-store"
    return response


def as_member(request: HttpRequest | Request, error: AikaError) -> dict[str, Any]:
    """The same as a part of an answer, for what went wrong with one of several things."""
    said: dict[str, Any] = redacted(_of_ours(error).body(request_id_of(request)))
    return said


def problem_handler(exc: Exception, context: Mapping[str, Any]) -> HttpResponse | None:
    """The exception handler of every API view. None for what nobody foresaw: Django logs that and answers 500."""
    problem = problem_of(exc)
    if problem is None:
        return None
    request = context["request"]
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error(
            "%s %s: %s (request %s)", request.method, request.path, problem.code, request_id_of(request), exc_info=exc
        )
    return respond(request, problem)


def problem_of(exc: Exception) -> Problem | None:
    """What to say of an exception; None where it is a defect."""
    if isinstance(exc, AikaError):
        return _of_ours(exc)
    if isinstance(exc, exceptions.APIException):
        return _of_rest(exc)
    if isinstance(exc, Http404):
        return not_found()
    if isinstance(exc, PermissionDenied):
        return Problem(status=403, code="NOT_PERMITTED", detail="This is not permitted.")
    if isinstance(exc, RequestDataTooBig):
        return Problem(status=413, code="BODY_TOO_LARGE", detail="The body is too large.", fix="Send less.")
    if isinstance(exc, SuspiciousOperation | UnreadablePostError):
        return bad_request()
    return away(exc)


def away(exc: BaseException | None) -> Problem | None:
    """What to say where the database or the cache did not answer; None for everything else."""
    if isinstance(exc, OperationalError):
        return Problem(
            status=503,
            code="DATABASE_UNAVAILABLE",
            detail="The database did not answer in time.",
            headers={"Retry-After": RETRY_AFTER_S},
        )
    if isinstance(exc, RedisError):
        return Problem(
            status=503,
            code="CACHE_UNAVAILABLE",
            detail="The cache did not answer in time.",
            headers={"Retry-After": RETRY_AFTER_S},
        )
    return None


def not_found() -> Problem:
    return Problem(
        status=404,
        code="NOT_FOUND",
        detail="There is nothing at this address.",
        fix="GET /api/v1/schema lists every address; none of them ends with a slash.",
    )


def bad_request() -> Problem:
    """A request Django itself could not read: its host, its headers, its encoding."""
    return Problem(
        status=400, code="REQUEST_MALFORMED", detail="The request cannot be read.", fix="Check host, headers and body."
    )


def broken() -> Problem:
    """A defect. What happened stands in the log under the request id, and only there."""
    return Problem(
        status=500, code="INTERNAL_ERROR", detail="Something broke here. It is in the log under the request id."
    )


def _of_ours(error: AikaError) -> Problem:
    headers: dict[str, str] = {}
    if error.http_status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="aika"'
    if error.http_status == HTTPStatus.SERVICE_UNAVAILABLE or "retry_after" in error.details:
        headers["Retry-After"] = error.details.get("retry_after", RETRY_AFTER_S)
    return Problem(
        status=error.http_status,
        code=error.code,
        detail=error.message,
        fix=error.fix,
        field=error.field,
        details=error.details,
        errors=error.errors if isinstance(error, InvalidBody) else (),
        headers=headers,
    )


def _of_rest(exc: exceptions.APIException) -> Problem:
    headers: dict[str, str] = {}
    fix = ""
    if isinstance(exc, exceptions.NotAuthenticated | exceptions.AuthenticationFailed):
        headers["WWW-Authenticate"] = 'Bearer realm="aika"'
    if isinstance(exc, exceptions.Throttled):
        headers["Retry-After"] = str(max(int(getattr(exc, "wait", None) or 1), 1))
    if isinstance(exc, exceptions.UnsupportedMediaType):
        fix = "Send `Content-Type: application/json`, in UTF-8."
    if isinstance(exc, exceptions.MethodNotAllowed):
        fix = "The Allow header lists the methods of this address."
    codes = (code for kind, code in _REST_CODES.items() if isinstance(exc, kind))
    return Problem(
        status=exc.status_code,
        code=next(codes, "REQUEST_REFUSED"),
        detail=str(exc.detail),
        fix=fix,
        headers=headers,
    )
