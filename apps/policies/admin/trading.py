"""The trading state: what is halted, what would be denied right now and why, and the buttons."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.urls.resolvers import URLPattern

from apps.accounts.services.people import actor_of
from apps.common.admin import ReadOnlyAdmin
from apps.connectors.selectors import all_connections
from apps.policies.admin.base import HALT, MayRead, act, person_of
from apps.policies.models import GLOBAL_SCOPE, TradingState
from apps.policies.selectors import gate_findings, trading_state, trading_states
from apps.policies.services import trading_state as services


@admin.register(TradingState)
class TradingStateAdmin(MayRead, ReadOnlyAdmin):
    """The list is a page of its own: every connection, whether it has a row or not."""

    fields = ("scope", "connection", "state", "reason", "changed_by", "changed_at")

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return MayRead.has_view_permission(self, request, obj) or request.user.has_perm(HALT)

    def get_urls(self) -> list[URLPattern]:
        wrap, name = self.admin_site.admin_view, "policies_tradingstate"
        return [
            path("<slug:scope>/halt/", wrap(self.halt_view), name=f"{name}_halt"),
            path("<slug:scope>/ask/", wrap(self.ask_view), name=f"{name}_ask"),
            path("<slug:scope>/resume/", wrap(self.resume_view), name=f"{name}_resume"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Everything first, then each connection with what would be denied on it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        rows = {row.scope: row for row in trading_states()}
        connections = [
            {
                "connection": connection,
                "state": trading_state(connection.pk),
                "own": rows.get(str(connection.pk)),
                "findings": gate_findings(connection),
            }
            for connection in all_connections()
        ]
        context = {
            **self.admin_site.each_context(request),
            "title": "Trading state",
            "opts": self.opts,
            "state": trading_state(None),
            "everything": rows.get(GLOBAL_SCOPE),
            "connections": connections,
            "may_halt": request.user.has_perm(HALT),
        }
        return TemplateResponse(request, "policies/trading_state.html", context)

    def halt_view(self, request: HttpRequest, scope: str) -> HttpResponse:
        """POST: halt at once."""

        def halt(now: datetime) -> str:
            actor = actor_of(person_of(request))
            reason = request.POST.get("reason", "")
            row = services.halt(connection_id=_connection_id(scope), actor=actor, reason=reason, now=now)
            return f"Halted: {row.reason} Resuming takes two people."

        return self._act(request, halt)

    def ask_view(self, request: HttpRequest, scope: str) -> HttpResponse:
        """POST: ask a second person to resume."""

        def ask(now: datetime) -> str:
            asked = services.request_resume(
                connection_id=_connection_id(scope),
                requester=person_of(request),
                reason=request.POST.get("reason", ""),
                now=now,
            )
            return f"A second person is asked, until {asked.expires_at:%H:%M} UTC. Then resume here."

        return self._act(request, ask)

    def resume_view(self, request: HttpRequest, scope: str) -> HttpResponse:
        """POST: resume, once seconded."""

        def resume(now: datetime) -> str:
            services.resume(connection_id=_connection_id(scope), person=person_of(request), now=now)
            return "Trading goes on."

        return self._act(request, resume)

    def _act(self, request: HttpRequest, verb: Any) -> HttpResponse:
        if not request.user.has_perm(HALT):
            raise PermissionDenied
        return act(request, verb, back=reverse("admin:policies_tradingstate_changelist"))


def _connection_id(scope: str) -> UUID | None:
    """The connection of a scope in a URL; None for everything. 404 for neither."""
    if scope == GLOBAL_SCOPE:
        return None
    found = {str(connection.pk): connection.pk for connection in all_connections()}
    if scope not in found:
        get_object_or_404(TradingState, pk=scope)
    return found.get(scope)
