"""Proposals over the API: ask, look, take back. Each method parses, calls one service or selector, and answers."""

import json
import re
from dataclasses import replace
from typing import Final

from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from apps.accounts.authentication import principal_of
from apps.accounts.permissions import HasScope, KeyScopeOrPerson
from apps.accounts.services import idempotency
from apps.accounts.services.idempotency import Answer, Claim, Replay
from apps.accounts.types import Principal, Scope
from apps.common.api.bodies import parse_json
from apps.common.api.queries import Place, Query, row_id
from apps.common.api.schema import IDEMPOTENCY_KEY, documented, id_in_path, key_header, paged, parameter
from apps.common.api.views import ApiView, answer, answer_bytes, raw_body, read_body, required_key, to_json
from apps.trades.api import bodies, lesson_shapes, shapes
from apps.trades.api.previews import preview_record
from apps.trades.models import Proposal
from apps.trades.selectors import listing
from apps.trades.selectors.lesson_records import recall_record
from apps.trades.selectors.records import ROOT, order_record, proposal_record
from apps.trades.services import cancels, intake, judging, recalling
from apps.trades.services.withdrawals import Withdrawal
from apps.trades.types import OrderState, ProposalState

REPLAYED: Final = "Idempotent-Replayed"
PROPOSALS: Final = "Proposals"
_ID_FIRST: Final = re.compile(rb'\{"id":"([0-9a-f-]{36})"')


class ProposalsView(ApiView):
    """/api/v1/trades/proposals"""

    access = {"GET": HasScope(Scope.READ), "POST": HasScope(Scope.PROPOSE)}

    @documented(
        operation="proposals_list",
        summary="List proposals",
        tag=PROPOSALS,
        answers={200: shapes.ProposalPage},
        parameters=(
            parameter("state", "Only in this state.", {"type": "string", "enum": [s.value for s in ProposalState]}),
            parameter("connection", "Only on the connection of this short name."),
            parameter("instrument", "Only of this instrument."),
            *paged(),
        ),
    )
    def get(self, request: Request) -> HttpResponse:
        """Newest first. A key sees what its owner asked on the connections it may use; a person, what was asked at
        their desks."""
        query = Query(request.query_params, known=("state", "connection", "instrument", "limit", "cursor"))
        now, limit, place = timezone.now(), query.page_size(), Place.of(query.text("cursor"))
        state = query.choice("state", ProposalState)
        rows = listing.page_of_proposals(
            principal_of(request),
            now=now,
            limit=limit,
            after=(place.at, place.id) if place else None,
            state=ProposalState(state) if state else None,
            connection=query.text("connection"),
            instrument=query.text("instrument"),
        )
        last = rows[limit - 1] if len(rows) > limit else None
        return answer(
            {
                "items": [proposal_record(row, now=now) for row in rows[:limit]],
                "next_cursor": Place(at=last.created_at, id=last.pk).cursor() if last else None,
            }
        )

    @documented(
        operation="proposals_create",
        summary="Propose a trade",
        tag=PROPOSALS,
        body=bodies.ProposalBody,
        answers={201: lesson_shapes.ProposalMade},
        problems=(404, 409, 422),
        parameters=(key_header(required=True),),
    )
    def post(self, request: Request) -> HttpResponse:
        """Judged at once and stored: AWAITING_APPROVAL, or DENIED with every reason, the numbers measured, the limits,
        and the largest change that would pass. Nothing is sent to a venue before people have approved; only on paper,
        and where policy waives it (`end_code` APPROVAL_WAIVED), is it APPROVED at once and no person asked. `lessons`
        are closed trades like it, so that a program can learn before a person must say no."""
        now, principal, raw = timezone.now(), principal_of(request), raw_body(request)
        values = bodies.ProposalBody.read(parse_json(raw) if raw else {})
        made: list[Proposal] = []

        def word(proposal: Proposal) -> bytes:
            made.append(proposal)
            return to_json(proposal_record(proposal, now=now))

        answered = intake.propose_once(
            intent=bodies.intent_of(values),
            narrative=bodies.narrative_of(values),
            supersedes=values["supersedes"],
            principal=principal,
            claim=idempotency.claim_of(
                principal_key=principal.reference, key=required_key(request), method="POST", path=request.path, body=raw
            ),
            word=word,
            now=now,
            clock=timezone.now,
        )
        # After it is stored, and apart from it: the memory never delays or fails a proposal.
        proposal_id = row_id(_id_in(answered.body))
        if made and made[-1].pk == proposal_id and not isinstance(answered, Replay):
            found = recalling.beside(proposal=made[-1], principal=principal, now=now)
        else:
            found = recalling.beside_again(proposal_id=proposal_id, principal=principal, now=now)
        return _answered(with_member(answered, "lessons", to_json(recall_record(found))), locate=True)


class WithdrawView(ApiView):
    """/api/v1/trades/proposals/{id}/withdraw"""

    access = {"POST": HasScope(Scope.PROPOSE)}

    @documented(
        operation="proposals_withdraw",
        summary="Withdraw a proposal",
        tag=PROPOSALS,
        body=bodies.WithdrawBody,
        answers={200: shapes.Withdrawal, 202: shapes.Withdrawal},
        problems=(404, 409, 422),
        parameters=(id_in_path("proposal_id", "The id of an own proposal."), key_header(required=False)),
    )
    def post(self, request: Request, proposal_id: str) -> HttpResponse:
        """The proposer takes it back: withdrawn while it waits, void while its order has not left. After that the venue
        is asked to cancel the order (202), which may still fill."""
        now, principal, raw = timezone.now(), principal_of(request), raw_body(request)
        values = bodies.WithdrawBody.read(parse_json(raw) if raw else {})
        wanted = row_id(proposal_id)
        begun = _begin(request, principal, raw)

        def word(done: Withdrawal) -> bytes:
            order = None if done.order is None else order_record(done.order)
            return to_json(proposal_record(done.proposal, now=now) | {"answer": done.answer.value, "order": order})

        answered = intake.withdraw_once(
            proposal_id=wanted, principal=principal, reason=values["reason"], begun=begun, word=word, now=now
        )
        return _answered(answered)


class CancelView(ApiView):
    """/api/v1/trades/orders/{id}/cancel"""

    access = {"POST": KeyScopeOrPerson(Scope.PROPOSE)}

    @documented(
        operation="orders_cancel",
        summary="Ask for an order to be canceled",
        tag=PROPOSALS,
        body=bodies.CancelBody,
        answers={200: shapes.CancelAsked, 202: shapes.CancelAsked},
        problems=(404, 409),
        parameters=(id_in_path("order_id", "The id of an order."),),
    )
    def post(self, request: Request, order_id: str) -> HttpResponse:
        """By who proposed it, an approver, risk or an operator. 200 where it is canceled, 202 where that is asked for:
        the order may still fill, and ends as the venue says. Asking again changes nothing."""
        values = read_body(request, bodies.CancelBody)
        asked = cancels.request_cancel_as(
            order_id=row_id(order_id), principal=principal_of(request), reason=values["reason"], now=timezone.now()
        )
        is_over = asked.order.state == OrderState.CANCELED
        return answer(
            {"answer": asked.answer.value, "order": order_record(asked.order)}, status=200 if is_over else 202
        )


class PreviewView(ApiView):
    """/api/v1/trades/preview"""

    access = {"POST": HasScope(Scope.PROPOSE)}

    @documented(
        operation="trades_preview",
        summary="Ask what policy would say",
        tag=PROPOSALS,
        body=bodies.IntentBody,
        answers={200: shapes.Preview},
        problems=(404,),
    )
    def post(self, request: Request) -> HttpResponse:
        """The verdict with every rule line, who would have to approve, the remedy, the worst-case fee, and the venue's
        steps and bounds. Nothing is stored."""
        values = read_body(request, bodies.IntentBody)
        judged = judging.judge(intent=bodies.intent_of(values), principal=principal_of(request), clock=timezone.now)
        return answer(preview_record(judged, now=timezone.now()))


def _begin(request: Request, principal: Principal, raw: bytes) -> Claim | Replay | None:
    """The claim or the replay of the request's `Idempotency-Key`; None where there is none."""
    key = request.headers.get(IDEMPOTENCY_KEY)
    if key is None:
        return None
    return idempotency.begin(principal_key=principal.reference, key=key, method="POST", path=request.path, body=raw)


def _id_in(body: bytes) -> str:
    """The id a proposal's answer begins with. To read all of it for that would cost more than to word it did."""
    found = _ID_FIRST.match(body)
    return found[1].decode() if found else str(json.loads(body)["id"])


def with_member(answered: Answer, name: str, value: bytes) -> Answer:
    """The stored answer with one more member, which is not stored with it."""
    return replace(answered, body=answered.body[:-1] + f',"{name}":'.encode() + value + b"}")


def _answered(answered: Answer, *, locate: bool = False) -> HttpResponse:
    headers = {REPLAYED: "true"} if isinstance(answered, Replay) else {}
    if locate:
        headers["Location"] = f"{ROOT}/trades/proposals/{_id_in(answered.body)}"
    return answer_bytes(answered.body, status=answered.status, headers=headers)
