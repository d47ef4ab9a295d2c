"""The door for webhooks: `POST /hooks/{name}`. It speaks JSON and problem+json, and no session or cookie counts."""

import logging
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from apps.accounts.services.idempotency import Replay
from apps.common.api import rates
from apps.common.api.bodies import BODY_BYTES_MAX, parse_json
from apps.common.api.problems import REQUEST_ID_HEADER, Problem, problem_of, request_id_of, respond
from apps.common.api.views import JSON_TYPE, answer_bytes, to_json
from apps.common.client_address import client_address
from apps.common.errors import AikaError
from apps.trades.api.bodies import ProposalBody, intent_of, narrative_of
from apps.trades.api.views import REPLAYED
from apps.trades.rules.hooks import Digits
from apps.trades.selectors.records import proposal_record
from apps.trades.services import hook_counting, hook_intake
from apps.trades.services.hook_intake import Call
from apps.trades.types import Intent, Narrative

CALLS_PER_MINUTE_MAX: Final = 60
SIGNATURE: Final = "Aika-Signature"
DELIVERY: Final = "Aika-Delivery"
INVALID: Final = 400
UNPROCESSABLE: Final = 422

logger = logging.getLogger(__name__)


class _TooLarge(AikaError):
    http_status = 413


class _WrongType(AikaError):
    http_status = 415


class _WrongMethod(AikaError):
    http_status = 405


# Whoever calls is no browser of ours: they prove themselves by the secret of the hook, and no cookie is looked at.
@method_decorator(csrf_exempt, name="dispatch")
class HookView(View):
    """/hooks/{name}"""

    def dispatch(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        """The answer of the call, or its refusal in the form of the API."""
        try:
            return self._answer(request, str(kwargs["name"]))
        except Exception as error:
            # All that the API has words for is told in them; the rest goes on to Django.
            problem = _problem(error)
            if problem is None:
                raise
            if problem.status >= 500:
                logger.error("hook %s: %s", kwargs["name"], problem.code, exc_info=error)
            refused = respond(request, problem)
            if problem.status == 401:
                refused["WWW-Authenticate"] = "Aika-Signature"
            if problem.status == 405:
                refused["Allow"] = "POST"
            return refused

    def _answer(self, request: HttpRequest, name: str) -> HttpResponse:
        if request.method != "POST":
            raise _WrongMethod("METHOD_NOT_ALLOWED", "A hook is called by POST.", fix="Send a POST.")
        call = hook_intake.begin(name=name, address=client_address(request.META), now=timezone.now())
        try:
            return self._taken(request, call)
        except Exception as error:
            # Whatever it was, the call came and is written down; then it goes on.
            told = _counted(call, error)
            _record(call, told)
            if told is error:
                raise
            raise told from error

    def _taken(self, request: HttpRequest, call: Call) -> HttpResponse:
        call.raw = _body(request)
        payload = hook_intake.prove(
            call,
            signature=request.headers.get(SIGNATURE, ""),
            payload=lambda: parse_json(call.raw, number=Digits),
        )
        rates.count_use(f"hook:{call.hook}", allowed=CALLS_PER_MINUTE_MAX)
        answer = hook_intake.propose(
            call,
            payload=payload,
            delivery_id=request.headers.get(DELIVERY, ""),
            read=_read,
            word=lambda proposal: to_json(proposal_record(proposal, now=call.at)),
            now=call.at,
            clock=timezone.now,
        )
        headers = {"Cache-Control": "no-store", REQUEST_ID_HEADER: request_id_of(request)}
        if isinstance(answer, Replay):
            headers[REPLAYED] = "true"
        return answer_bytes(answer.body, status=answer.status, headers=headers)


def _read(fields: dict[str, object]) -> tuple[Intent, Narrative]:
    values = ProposalBody.read(fields)
    return intent_of(values), narrative_of(values)


def _body(request: HttpRequest) -> bytes:
    """The bytes of the body. Raises 413 for more than 64 KiB, before they are read where the length is declared, and
    415 for what does not say that it is JSON."""
    declared = request.META.get("CONTENT_LENGTH") or "0"
    too_large = _TooLarge("BODY_TOO_LARGE", f"At most {BODY_BYTES_MAX} bytes are taken.", fix="Send less.")
    if declared.isascii() and declared.isdigit() and int(declared) > BODY_BYTES_MAX:
        raise too_large
    if request.content_type != JSON_TYPE:
        raise _WrongType(
            "MEDIA_TYPE_UNSUPPORTED", "A hook takes JSON only.", fix="Send `Content-Type: application/json`, in UTF-8."
        )
    raw = request.body
    if len(raw) > BODY_BYTES_MAX:
        raise too_large
    return raw


def _counted(call: Call, error: Exception) -> Exception:
    """The refusal to tell: of who has not proved who they are, each failure counts, by address and by hook."""
    if call.is_authentic or not isinstance(error, AikaError):
        return error
    try:
        rates.count_failure(address=call.address, name=f"hook:{call.hook}" if call.hook else None)
    except rates.RateExceeded as exceeded:
        return exceeded
    return error


def _record(call: Call, error: Exception) -> None:
    """Keep the refusal, or count it where too many come: they must not fill the table."""
    problem = _problem(error)
    if problem is None or not isinstance(error, AikaError):
        return
    if hook_counting.is_kept(call, is_beyond_rate=isinstance(error, rates.RateExceeded)):
        counted = hook_counting.waiting(call)
        hook_intake.record_refusal(call, error, status=problem.status, counted=counted)
        hook_counting.told(call, counted)


def _problem(error: Exception) -> Problem | None:
    """As the API words it; what cannot be made a proposal is 422, whatever is wrong with it."""
    problem = problem_of(error)
    if problem is not None and problem.status in {INVALID, 404} and isinstance(error, AikaError):
        return Problem(
            status=UNPROCESSABLE,
            code=problem.code,
            detail=problem.detail,
            fix=problem.fix,
            field=problem.field,
            details=problem.details,
            errors=problem.errors,
        )
    return problem
