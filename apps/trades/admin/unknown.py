"""An order whose fate is not known: what is known, what was asked when, and what two people may say."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, cast
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from apps.common import words
from apps.common.admin import act
from apps.common.decimals import decimal_text
from apps.trades.models import Inquiry, Order
from apps.trades.selectors import unknown as selectors
from apps.trades.selectors.pages import short_line
from apps.trades.services import conclusions, resolution
from apps.trades.types import InquiryAnswer, InquiryKind, OrderState

if TYPE_CHECKING:
    from apps.accounts.models import User

READ = "accounts.view_ledger"
CONCLUDE = "accounts.second_request"

_SAID = {
    (InquiryKind.SCAN, InquiryAnswer.FOUND): "The venue's list was searched: it is there.",
    (InquiryKind.SCAN, InquiryAnswer.NOT_FOUND): "The venue's list was searched: it is not shown.",
    (InquiryKind.SCAN, InquiryAnswer.DIFFERS): "The venue has another order under its name.",
    (InquiryKind.SCAN, InquiryAnswer.UNREADABLE): "The venue could not be asked.",
    (InquiryKind.REPLAY, InquiryAnswer.ASKED): "The same request was sent again, under the same name.",
    (InquiryKind.REPLAY, InquiryAnswer.ACCEPTED): "The venue says that it has it.",
    (InquiryKind.REPLAY, InquiryAnswer.EXISTS): "The venue says that one of this name exists.",
    (InquiryKind.REPLAY, InquiryAnswer.REFUSED): "The venue refused it. The first request may still arrive.",
    (InquiryKind.REPLAY, InquiryAnswer.UNCLEAR): "Again no answer that proves anything.",
    (InquiryKind.REPLAY, InquiryAnswer.NOT_SENT): "It did not leave.",
    (InquiryKind.REPLAY, InquiryAnswer.DIFFERS): "The venue answered with another order.",
    (InquiryKind.PERSON, InquiryAnswer.ASKED): "Somebody asked that it be named so.",
    (InquiryKind.PERSON, InquiryAnswer.FOUND): "Two people named it.",
    (InquiryKind.PERSON, InquiryAnswer.NOT_FOUND): "Two people gave it up.",
}


def urls(wrap: Callable[..., Callable[..., HttpResponse]]) -> list[URLPattern]:
    """The page and its verbs, each wrapped by the admin site."""
    verbs = {"look": look, "ask-abandon": ask_abandon, "abandon": abandon, "ask-attach": ask_attach, "attach": attach}
    names = {verb: f"trades_unknown_{verb.replace('-', '_')}" for verb in verbs}
    return [
        path("order/<uuid:order_id>/", wrap(page), name="trades_unknown"),
        *(path(f"order/<uuid:order_id>/{verb}/", wrap(view), name=names[verb]) for verb, view in verbs.items()),
    ]


def said(row: Inquiry) -> str:
    """One question and its answer, as people say it."""
    return _SAID.get((InquiryKind(row.kind), InquiryAnswer(row.answer)), str(row))


def page(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """GET: the facts, and the forms of what this person may do."""
    if not request.user.has_perm(READ):
        raise PermissionDenied
    order, now = _order(request, order_id), timezone.now()
    found = selectors.unknown_order(
        order,
        abandon_kind=conclusions.ABANDON_KIND,
        attach_kind=conclusions.ATTACH_KIND,
        subject=conclusions.subject_of(order.pk),
        now=now,
    )
    opens = conclusions.may_be_abandoned_from(order)
    sent_at = order.submitted_at or order.created_at
    context = {
        **admin.site.each_context(request),
        "title": "What became of this order",
        "found": found,
        "order": order,
        "what": short_line(order.proposal),
        "bound": f"{decimal_text(order.reserved_amount)} {order.reserved_currency}",
        "sent_at": sent_at,
        "sent_ago": words.ago(sent_at, now),
        "asked": [{"row": row, "said": said(row)} for row in found.inquiries],
        "being_asked": found.is_being_asked(now),
        "opens": opens,
        "may_abandon_now": now >= opens,
        "approval_stands": now < order.authority.valid_until,
        "may_conclude": request.user.has_perm(CONCLUDE),
        "person": request.user,
        "now": now,
    }
    return TemplateResponse(request, "trades/unknown.html", context)


def look(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """POST: look at the venue now. What is found is followed; sending it again is left to the workers."""

    def verb(now: datetime) -> str:
        state = resolution.resolve(order_id=order_id, clock=timezone.now, due_only=False, may_send=False)
        if state == OrderState.UNKNOWN:
            return "The venue was asked: nothing new."
        return f"The venue was asked: the order is {state.replace('_', ' ').lower()}."

    return _act(request, order_id, verb)


def ask_abandon(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """POST: ask a second person to give it up."""

    def verb(now: datetime) -> str:
        asked = conclusions.ask_to_abandon(
            order_id=order_id, requester=_person(request), reason=request.POST.get("reason", ""), now=now
        )
        return f"A second person is asked, until {asked.expires_at:%H:%M} UTC. They give it up here."

    return _act(request, order_id, verb)


def abandon(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """POST: second that, and give it up if the venue still has nothing."""

    def verb(now: datetime) -> str:
        conclusions.second_and_abandon(order_id=order_id, seconder=_person(request), clock=timezone.now)
        return "Given up. What it bound is free. If it turns up after all, trading on the connection halts."

    return _act(request, order_id, verb)


def ask_attach(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """POST: ask a second person to name it."""

    def verb(now: datetime) -> str:
        asked = conclusions.ask_to_attach(
            order_id=order_id,
            venue_order_id=request.POST.get("venue_order_id", ""),
            requester=_person(request),
            reason=request.POST.get("reason", ""),
            clock=timezone.now,
        )
        return f"It was read and compared. A second person is asked, until {asked.expires_at:%H:%M} UTC."

    return _act(request, order_id, verb)


def attach(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """POST: second that, and follow it from now on."""

    def verb(now: datetime) -> str:
        order = conclusions.second_and_attach(
            order_id=order_id,
            venue_order_id=request.POST.get("venue_order_id", ""),
            seconder=_person(request),
            clock=timezone.now,
        )
        return f"Named. The order is {order.get_state_display().lower()}."

    return _act(request, order_id, verb)


def _act(request: HttpRequest, order_id: UUID, verb: Callable[[datetime], str]) -> HttpResponse:
    if not request.user.has_perm(CONCLUDE):
        raise PermissionDenied("Approvers, risk and operators may. Tell one of them.")
    _order(request, order_id)
    return act(request, verb, back=reverse("admin:trades_unknown", args=[order_id]))


def _order(request: HttpRequest, order_id: UUID) -> Order:
    order = selectors.order_of_desk(order_id, _person(request))
    if order is None:
        raise Http404("There is no such order at your desks.")
    return order


def _person(request: HttpRequest) -> "User":
    return cast("User", request.user)
