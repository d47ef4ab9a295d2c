"""The base of every API view: who may, how much, how often; JSON in and JSON out, and nothing on the way."""

import json
from collections.abc import Iterable, Mapping
from email.message import Message
from typing import Any, ClassVar, Final

import orjson
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.exceptions import MethodNotAllowed, NotAuthenticated, UnsupportedMediaType
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.permissions import BasePermission
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from apps.common.api import bodies
from apps.common.api.problems import REQUEST_ID_HEADER, request_id_of
from apps.common.api.rates import CallerRate
from apps.common.api.schema import IDEMPOTENCY_KEY
from apps.common.errors import AikaError, Invalid

JSON_TYPE: Final = "application/json"
Headers = Mapping[str, str]


class BodyTooLarge(AikaError):
    """More bytes than a body may have (HTTP 413). Refused before it is read as JSON."""

    http_status = 413


class OnlyJson(BaseContentNegotiation):
    """Every answer is JSON, whatever `Accept` says: there is nothing to choose from."""

    def select_parser(self, request: Request, parsers: Any) -> BaseParser | None:
        return parsers[0] if parsers else None

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> tuple[Any, str]:
        renderer: BaseRenderer = renderers[0]
        return renderer, renderer.media_type


class ApiView(APIView):
    """One noun of the API. A subclass says who may use each method; what is not listed is not there."""

    access: ClassVar[Mapping[str, type[BasePermission]]]
    body_bytes_max: ClassVar[int] = bodies.BODY_BYTES_MAX
    content_negotiation_class = OnlyJson
    throttle_classes: tuple[type[CallerRate], ...] = (CallerRate,)
    http_method_names = ("get", "head", "post")

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """The cheap refusals first, before anybody is looked up and before a byte of the body is read."""
        method = request.method or ""
        if self._access_to(method) is None:
            raise MethodNotAllowed(method)
        if method == "POST":
            _check_body(request, self.body_bytes_max)
        super().initial(request, *args, **kwargs)

    def get_permissions(self) -> list[BasePermission]:
        kind = self._access_to(self.request.method or "")
        return [kind()] if kind else []

    def _access_to(self, method: str) -> type[BasePermission] | None:
        return self.access.get("GET" if method == "HEAD" else method)

    @property
    def allowed_methods(self) -> list[str]:
        return sorted({*self.access, *(["HEAD"] if "GET" in self.access else [])})

    def permission_denied(self, request: Request, message: str | None = None, code: str | None = None) -> Any:
        """Only reached by permissions that answer False instead of saying why."""
        if not request.user.is_authenticated:
            raise NotAuthenticated
        super().permission_denied(request, message=message, code=code)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """The answer with the request's id; it is never kept by anything on its way."""
        finished: HttpResponseBase = super().finalize_response(request, response, *args, **kwargs)
        finished[REQUEST_ID_HEADER] = request_id_of(request)
        finished["Cache-Control"] = "no-store"
        return finished


def _check_body(request: Request, most: int) -> None:
    """Raises BodyTooLarge for more than the view takes, and UnsupportedMediaType for what is not JSON in UTF-8."""
    declared = request.META.get("CONTENT_LENGTH") or "0"
    length = int(declared) if declared.isascii() and declared.isdigit() else 0
    if length > most:
        raise _too_large(length, most)
    header = Message()
    header["Content-Type"] = request.META.get("CONTENT_TYPE") or ""
    charset = (header.get_content_charset() or "utf-8").replace("_", "-")
    if (length and header.get_content_type() != JSON_TYPE) or charset != "utf-8":
        raise UnsupportedMediaType(str(header["Content-Type"])[:100])


def _too_large(length: int, most: int) -> BodyTooLarge:
    is_usual = most == bodies.BODY_BYTES_MAX
    return BodyTooLarge(
        "BODY_TOO_LARGE",
        f"The body has {length} bytes, and at most {most} are taken.",
        fix="Send a shorter rationale: every other field is small." if is_usual else "Send it in several requests.",
        bytes=str(length),
        max=str(most),
    )


def raw_body(request: Request, *, most: int = bodies.BODY_BYTES_MAX) -> bytes:
    """The bytes of the body. Raises BodyTooLarge, also where the length was not declared."""
    raw: bytes = request._request.body
    if len(raw) > most:
        raise _too_large(len(raw), most)
    return raw


def read_body(request: Request, body: type[bodies.Body]) -> dict[str, Any]:
    """The values of a body; an empty one is an object without fields."""
    raw = raw_body(request)
    return body.read(bodies.parse_json(raw) if raw else {})


def to_json(value: object) -> bytes:
    """An answer as bytes. Everything in it is text, small integers, flags, lists and objects already.

    The quick writer makes null of NaN and a text of an id: what is not worded goes to the strict one, which refuses it.
    """
    if _is_worded((value,)):
        try:
            return orjson.dumps(value)
        except orjson.JSONEncodeError:
            pass  # a key that is no text, a number beyond 64 bits, half a character
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


_WORDS: Final = frozenset({str, int, bool, type(None)})
_WORDED: Final = _WORDS | {dict, list}


def _is_worded(items: Iterable[object]) -> bool:
    kinds = {*map(type, items)}
    if kinds <= _WORDS:
        return True
    return kinds <= _WORDED and all(
        _is_worded(item.values() if isinstance(item, dict) else item) for item in items if isinstance(item, dict | list)
    )


def answer(value: object, *, status: int = 200, headers: Headers | None = None) -> HttpResponse:
    """A JSON answer."""
    return answer_bytes(to_json(value), status=status, headers=headers)


def answer_bytes(body: bytes, *, status: int = 200, headers: Headers | None = None) -> HttpResponse:
    """A JSON answer whose bytes are made already."""
    return HttpResponse(body, content_type=JSON_TYPE, status=status, headers=dict(headers or {}))


def required_key(request: Request) -> str:
    """The `Idempotency-Key` of a write that may not go without. Raises Invalid IDEMPOTENCY_KEY_MISSING."""
    key = request.headers.get(IDEMPOTENCY_KEY)
    if key is None:
        raise Invalid(
            "IDEMPOTENCY_KEY_MISSING",
            f"This write needs the header {IDEMPOTENCY_KEY}.",
            fix="Send a new UUID for every new write, and the same one when you repeat it.",
            field=IDEMPOTENCY_KEY,
        )
    return key
