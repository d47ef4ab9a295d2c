"""Several proposals in one request."""

from http import HTTPStatus
from typing import Any, Final

from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from apps.accounts.authentication import principal_of
from apps.accounts.permissions import HasScope
from apps.accounts.services import idempotency
from apps.accounts.services.idempotency import Replay
from apps.accounts.types import Principal, Scope
from apps.common.api.bodies import parse_json
from apps.common.api.problems import as_member
from apps.common.api.rates import count_more
from apps.common.api.schema import documented
from apps.common.api.views import ApiView, answer_bytes, raw_body, to_json
from apps.common.errors import AikaError, Invalid
from apps.trades.api import bodies, lesson_shapes
from apps.trades.api.views import PROPOSALS, with_member
from apps.trades.models import Proposal
from apps.trades.selectors.lesson_records import recall_record
from apps.trades.selectors.records import ROOT, proposal_record
from apps.trades.services import batches
from apps.trades.services.batches import Given, Wanted

BATCH_BYTES_MAX: Final = 512 * 1024
# The key of an item is that of the same proposal sent alone.
_PATH_OF_ONE: Final = f"{ROOT}/trades/proposals"


class BatchView(ApiView):
    """/api/v1/trades/proposals/batch"""

    access = {"POST": HasScope(Scope.PROPOSE)}
    body_bytes_max = BATCH_BYTES_MAX

    @documented(
        operation="proposals_create_batch",
        summary="Propose several trades",
        tag=PROPOSALS,
        body=bodies.BatchBody,
        answers={207: lesson_shapes.Batch},
    )
    def post(self, request: Request) -> HttpResponse:
        """Each is judged and stored as if it came alone, in this order: what an earlier one binds counts against the
        later ones. Each has its own key, its own verdict and its own status in the answer; one that cannot be proposed
        keeps no other from being stored. Sent again, what is stored is answered again and the rest is tried anew. Each
        counts as one request against the rate."""
        principal, raw = principal_of(request), raw_body(request, most=self.body_bytes_max)
        sent: Any = parse_json(raw) if raw else {}
        read = bodies.BatchBody.read(sent)["items"]
        count_more(request, len(read) - 1)
        wanted = [
            one if isinstance(one, Invalid) else _wanted(one, said, principal)
            for one, said in zip(read, sent["items"], strict=True)
        ]
        given = iter(
            batches.propose_each(
                items=[one for one in wanted if isinstance(one, Wanted)],
                principal=principal,
                word=_worded,
                clock=timezone.now,
            )
        )
        items = [_item(request, one if isinstance(one, Invalid) else next(given)) for one in wanted]
        return answer_bytes(b'{"items":[' + b",".join(items) + b"]}", status=HTTPStatus.MULTI_STATUS)


def _wanted(values: dict[str, Any], sent: dict[str, Any], principal: Principal) -> Wanted | Invalid:
    body = {name: value for name, value in sent.items() if name != "idempotency_key"}
    try:
        claim = idempotency.claim_of(
            principal_key=principal.reference,
            key=values["idempotency_key"],
            method="POST",
            path=_PATH_OF_ONE,
            body=to_json(body),
            field="idempotency_key",
        )
    except Invalid as error:
        return error
    return Wanted(
        intent=bodies.intent_of(values),
        narrative=bodies.narrative_of(values),
        supersedes=values["supersedes"],
        claim=claim,
    )


def _worded(proposal: Proposal) -> bytes:
    return to_json(proposal_record(proposal, now=proposal.created_at))


def _item(request: Request, one: Given | AikaError) -> bytes:
    if isinstance(one, AikaError):
        problem = as_member(request, one)
        return to_json({"status": problem["status"], "replayed": False, "proposal": None, "problem": problem})
    proposal = with_member(one.answer, "lessons", to_json(recall_record(one.lessons))).body
    replayed = b"true" if isinstance(one.answer, Replay) else b"false"
    return b'{"status":%d,"replayed":%b,"proposal":%b,"problem":null}' % (one.answer.status, replayed, proposal)
