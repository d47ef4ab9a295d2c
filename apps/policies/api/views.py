"""Policy over the API: what judges the caller. It is drafted and activated in the admin."""

from typing import Any, Final

from django.http import HttpResponse
from rest_framework.request import Request

from apps.accounts.authentication import principal_of
from apps.accounts.permissions import HasScope
from apps.accounts.types import Scope
from apps.common.api.queries import Query
from apps.common.api.schema import documented
from apps.common.api.views import ApiView, answer
from apps.common.decimals import instant_text
from apps.policies.api import shapes
from apps.policies.models import PolicyVersion, Rule
from apps.policies.rules import title_of
from apps.policies.selectors import active_versions_for

POLICIES_MAX: Final = 50


class PoliciesView(ApiView):
    """/api/v1/policies"""

    access = {"GET": HasScope(Scope.READ)}

    @documented(operation="policies_list", summary="The rules in force", tag="Trading", answers={200: shapes.Policies})
    def get(self, request: Request) -> HttpResponse:
        """The active versions that judge the connections of the caller, rule by rule; at most 50."""
        Query(request.query_params, known=())
        rows = active_versions_for(principal_of(request))[:POLICIES_MAX]
        return answer({"items": [_record(row) for row in rows]})


def _record(version: PolicyVersion) -> dict[str, Any]:
    return {
        "id": str(version.pk),
        "policy_set": version.policy_set.slug,
        "name": version.policy_set.name,
        "desk": version.policy_set.desk.name,
        "number": version.number,
        "state": version.state,
        "digest": version.digest,
        "note": version.note,
        "activated_at": instant_text(version.activated_at) if version.activated_at else None,
        "rules": [_rule(rule) for rule in version.rules.all()],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "key": rule.key,
        "kind": rule.kind,
        "title": title_of(rule.kind),
        "params": rule.params,
        "connection": str(rule.connection_id) if rule.connection_id else None,
        "instrument": rule.instrument or None,
        "side": rule.side or None,
        "proposer": str(rule.proposer_id) if rule.proposer_id else None,
        "reason": rule.reason,
    }
