"""The trading state: the page, the two brakes, and the three steps of letting go. Each verb is one service call."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, cast
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from apps.accounts.services.people import actor_of
from apps.audit.types import Actor
from apps.common.admin import act
from apps.connectors.selectors import all_connections
from apps.dashboard import selectors
from apps.dashboard.trading import GLOBAL, panels
from apps.policies.services import latches as policy_latches
from apps.policies.services import trading_state
from apps.trades.services import latches, resumption

if TYPE_CHECKING:
    from apps.accounts.models import User

HALT = "accounts.halt_trading"
READ = ("accounts.view_ledger", "accounts.activate_policy", HALT)


@never_cache
@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """Everything first, then each connection: its state and why, what would be denied, and the way back."""
    return _render(request, "policies/trading_state.html", "Trading state")


@never_cache
@require_GET
def halted(request: HttpRequest) -> HttpResponse:
    """Where the red button leads: that it worked, since when, by whom, and what became of the orders so far."""
    target = request.GET.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(target, allowed_hosts=None, require_https=request.is_secure())
    return _render(request, "policies/halted.html", "Halted", came_from=target if is_ours else "")


def halt(request: HttpRequest, scope: str) -> HttpResponse:
    """POST: halt at once."""

    def verb(now: datetime) -> str:
        trading_state.halt(connection_id=_connection_id(scope), actor=_actor(request), reason=_reason(request), now=now)
        return "Halted. No order leaves. Resuming takes two people."

    return _act(request, verb, back="admin:halted")


def reduce(request: HttpRequest, scope: str) -> HttpResponse:
    """POST: from now on only orders pass that shrink a position."""

    def verb(now: datetime) -> str:
        connection_id = _connection_id(scope)
        row = trading_state.reduce(connection_id=connection_id, actor=_actor(request), reason=_reason(request), now=now)
        return f"{row.state.capitalize()}: only what shrinks a position may pass. Loosening takes two people."

    return _act(request, verb)


def ask(request: HttpRequest, scope: str) -> HttpResponse:
    """POST: ask a second person to resume."""

    def verb(now: datetime) -> str:
        connection_id, person, reason = _connection_id(scope), _person(request), _reason(request)
        asked = resumption.ask(connection_id=connection_id, requester=person, reason=reason, clock=timezone.now)
        return f"A second person is asked, until {asked.expires_at:%H:%M} UTC. They resume here."

    return _act(request, verb)


def second(request: HttpRequest, scope: str) -> HttpResponse:
    """POST: second what somebody else asked for, and resume."""

    def verb(now: datetime) -> str:
        resumption.second(connection_id=_connection_id(scope), seconder=_person(request), clock=timezone.now)
        return "Trading goes on."

    return _act(request, verb)


def resume(request: HttpRequest, scope: str) -> HttpResponse:
    """POST: resume what was seconded among the second-person requests."""

    def verb(now: datetime) -> str:
        resumption.resume(connection_id=_connection_id(scope), person=_person(request), clock=timezone.now)
        return "Trading goes on."

    return _act(request, verb)


def ask_reset(request: HttpRequest, latch_id: UUID) -> HttpResponse:
    """POST: ask a second person to reset a latch."""

    def verb(now: datetime) -> str:
        person, reason = _person(request), _reason(request)
        asked = policy_latches.request_reset(latch_id=latch_id, requester=person, reason=reason, now=now)
        return f"A second person is asked, until {asked.expires_at:%H:%M} UTC. They reset it here."

    return _act(request, verb)


def second_reset(request: HttpRequest, latch_id: UUID) -> HttpResponse:
    """POST: second what somebody else asked for, and reset the latch."""

    def verb(now: datetime) -> str:
        latches.second_reset(latch_id=latch_id, seconder=_person(request), now=now)
        return "The latch is reset. The trading state stays as it is until two people resume."

    return _act(request, verb)


def reset(request: HttpRequest, latch_id: UUID) -> HttpResponse:
    """POST: reset what was seconded among the second-person requests."""

    def verb(now: datetime) -> str:
        latches.reset(latch_id=latch_id, person=_person(request), now=now)
        return "The latch is reset. The trading state stays as it is until two people resume."

    return _act(request, verb)


def urls(wrap: Callable[..., Callable[..., HttpResponse]]) -> list[URLPattern]:
    """The addresses, each wrapped by the admin site."""
    verbs = {"halt": halt, "reduce": reduce, "ask": ask, "second": second, "resume": resume}
    resets = {"ask": ask_reset, "second": second_reset, "reset": reset}
    return [
        *(path(f"latches/<uuid:latch_id>/{name}/", wrap(v), name=f"latch_{name}") for name, v in resets.items()),
        path("trading-state/", wrap(page), name="trading_state"),
        path("halted/", wrap(halted), name="halted"),
        *(path(f"trading-state/<slug:scope>/{name}/", wrap(v), name=f"trading_{name}") for name, v in verbs.items()),
    ]


def _render(request: HttpRequest, template: str, title: str, **more: object) -> HttpResponse:
    if not any(request.user.has_perm(permission) for permission in READ):
        raise PermissionDenied
    now = timezone.now()
    everything, *connections = panels(_person(request), now=now)
    context = {
        **admin.site.each_context(request),
        "work": "watch",
        "title": title,
        "everything": everything,
        "connections": connections,
        "may_halt": request.user.has_perm(HALT),
        "may_second": request.user.has_perm("accounts.second_request"),
        "now": now,
        **more,
    }
    return render(request, template, context)


def _act(request: HttpRequest, verb: Callable[[datetime], str], *, back: str = "admin:trading_state") -> HttpResponse:
    if not request.user.has_perm(HALT):
        raise PermissionDenied("Your roles do not include halting. Tell somebody whose do.")
    answer = act(request, verb, back=reverse(back))
    selectors.forget_status()
    return answer


def _person(request: HttpRequest) -> "User":
    return cast("User", request.user)


def _actor(request: HttpRequest) -> Actor:
    return actor_of(_person(request))


def _reason(request: HttpRequest) -> str:
    return request.POST.get("reason", "")


def _connection_id(scope: str) -> UUID | None:
    """The connection of a scope in a URL; None for everything. 404 for neither."""
    if scope == GLOBAL:
        return None
    for connection in all_connections():
        if str(connection.pk) == scope:
            return connection.pk
    raise Http404("There is no such connection.")
