"""Outcomes over the API: how a trade ended that Aika cannot reckon itself."""

from typing import Final

from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from apps.accounts.authentication import principal_of
from apps.accounts.permissions import HasScope
from apps.accounts.services import idempotency
from apps.accounts.services.idempotency import Replay
from apps.accounts.types import Scope
from apps.common.api.bodies import parse_json
from apps.common.api.schema import documented, key_header
from apps.common.api.views import ApiView, answer_bytes, raw_body, required_key, to_json
from apps.trades.api import bodies, shapes
from apps.trades.services import outcomes

OUTCOMES: Final = "Outcomes"
REPLAYED: Final = "Idempotent-Replayed"


class OutcomeView(ApiView):
    """/api/v1/trades/outcome"""

    access = {"POST": HasScope(Scope.REPORT)}

    @documented(
        operation="outcomes_report",
        summary="Report how a trade ended",
        tag=OUTCOMES,
        body=bodies.OutcomeBody,
        answers={201: shapes.ReportedOutcome},
        problems=(404, 409, 422),
        parameters=(key_header(required=True),),
    )
    def post(self, request: Request) -> HttpResponse:
        """For trades made elsewhere, and for orders that sold what Aika had not bought. What Aika trades it reckons
        itself (OUTCOME_COMPUTED). A P&L that does not follow from its own numbers is PNL_DOES_NOT_FOLLOW, with the
        right figure. It is remembered as a case at once; a loss makes a lesson."""
        now, principal, raw = timezone.now(), principal_of(request), raw_body(request)
        values = bodies.OutcomeBody.read(parse_json(raw) if raw else {})
        answered = outcomes.report_once(
            report=bodies.report_of(values),
            principal=principal,
            begun=idempotency.begin(
                principal_key=principal.reference, key=required_key(request), method="POST", path=request.path, body=raw
            ),
            word=to_json,
            now=now,
        )
        headers = {REPLAYED: "true"} if isinstance(answered, Replay) else {}
        return answer_bytes(answered.body, status=answered.status, headers=headers)
