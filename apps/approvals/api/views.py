"""Deciding over the API: for signed-in people only. And the one page of a proposal that shows its votes."""

import json
from functools import partial
from typing import Final

from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from apps.accounts.authentication import person_of, principal_of
from apps.accounts.permissions import HasScope, PersonOnly
from apps.accounts.types import Proof, Scope
from apps.approvals.api import bodies, shapes
from apps.approvals.selectors import ballots
from apps.approvals.services import challenges, decide, signed_quotes
from apps.approvals.types import Seen, VoteResult
from apps.common.api.queries import Query, row_id
from apps.common.api.schema import documented, id_in_path
from apps.common.api.views import ApiView, answer, read_body

APPROVALS: Final = "Approvals"
_ID: Final = (id_in_path("proposal_id", "The id of a proposal."),)


class ProposalView(ApiView):
    """/api/v1/trades/proposals/{id}"""

    access = {"GET": HasScope(Scope.READ)}

    @documented(
        operation="proposals_get",
        summary="Follow a proposal",
        tag="Proposals",
        answers={200: shapes.ProposalStory},
        problems=(404,),
        parameters=_ID,
    )
    def get(self, request: Request, proposal_id: str) -> HttpResponse:
        """Its state, terms and decision, who voted, the order, its fills and what it closed."""
        Query(request.query_params, known=())
        found = ballots.story(proposal_id=row_id(proposal_id), principal=principal_of(request), now=timezone.now())
        return answer(found)


class QueueView(ApiView):
    """/api/v1/approvals"""

    access = {"GET": PersonOnly}

    @documented(operation="approvals_list", summary="What waits for me", tag=APPROVALS, answers={200: shapes.Queue})
    def get(self, request: Request) -> HttpResponse:
        """The proposals the signed-in person may decide now, the soonest deadline first; at most 200."""
        Query(request.query_params, known=())
        return answer({"items": ballots.decidable(viewer=person_of(request), now=timezone.now())})


class BallotView(ApiView):
    """/api/v1/approvals/{id}"""

    access = {"GET": PersonOnly}

    @documented(
        operation="approvals_get",
        summary="Look at one decision",
        tag=APPROVALS,
        answers={200: shapes.Ballot},
        problems=(404,),
        parameters=_ID,
    )
    def get(self, request: Request, proposal_id: str) -> HttpResponse:
        """Judged now, with the live price, and in `vote` what an approval must carry back."""
        Query(request.query_params, known=())
        wanted = row_id(proposal_id)
        sign = partial(signed_quotes.sign, proposal_id=wanted)
        return answer(ballots.ballot(proposal_id=wanted, viewer=person_of(request), now=timezone.now(), sign=sign))


class ApproveView(ApiView):
    """/api/v1/approvals/{id}/approve"""

    access = {"POST": PersonOnly}

    @documented(
        operation="approvals_approve",
        summary="Approve",
        tag=APPROVALS,
        body=bodies.ApproveBody,
        answers={200: shapes.VoteResult},
        problems=(404, 409, 422),
        parameters=_ID,
    )
    def post(self, request: Request, proposal_id: str) -> HttpResponse:
        """Counts once. The last approval needed sends the order on its way. 409 where anything moved since it was
        shown: state, digest, policy version, tier, or the price beyond its bound."""
        values = read_body(request, bodies.ApproveBody)
        result = decide.approve(
            proposal_id=row_id(proposal_id),
            approver=person_of(request),
            seen=Seen(**{name: values[name] for name in ("digest", "signed_quote", "policy_version", "tier")}),
            comment=values["comment"],
            now=timezone.now(),
            clock=timezone.now,
            proof=Proof(code=values["code"], assertion=values["assertion"]),
            difference=values["difference"],
        )
        return answer(_record(result))


class ChallengeView(ApiView):
    """/api/v1/approvals/{id}/challenge"""

    access = {"POST": PersonOnly}

    @documented(
        operation="approvals_challenge",
        summary="Ask a security key",
        tag=APPROVALS,
        answers={200: shapes.KeyChallenge},
        problems=(404, 409),
        parameters=_ID,
    )
    def post(self, request: Request, proposal_id: str) -> HttpResponse:
        """What a security key signs where the tier asks for a second factor: a nonce and the digest of this proposal,
        for two minutes and one vote."""
        options = challenges.begin(
            proposal_id=row_id(proposal_id),
            approver=person_of(request),
            host=request.get_host(),
            now=timezone.now(),
        )
        return answer({"options": json.dumps(options)})


class DeclineView(ApiView):
    """/api/v1/approvals/{id}/decline"""

    access = {"POST": PersonOnly}

    @documented(
        operation="approvals_decline",
        summary="Decline",
        tag=APPROVALS,
        body=bodies.DeclineBody,
        answers={200: shapes.VoteResult},
        problems=(404, 409),
        parameters=_ID,
    )
    def post(self, request: Request, proposal_id: str) -> HttpResponse:
        """One no ends it."""
        values = read_body(request, bodies.DeclineBody)
        result = decide.decline(
            proposal_id=row_id(proposal_id),
            approver=person_of(request),
            digest=values["digest"],
            comment=values["comment"],
            now=timezone.now(),
        )
        return answer(_record(result))


def _record(result: VoteResult) -> dict[str, object]:
    return {
        "proposal_id": str(result.proposal_id),
        "state": result.state,
        "approvals": result.approvals,
        "needed": result.needed,
        "order_id": str(result.order_id) if result.order_id else None,
    }
