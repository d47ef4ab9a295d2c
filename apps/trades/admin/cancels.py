"""The page that asks before an order is asked to be canceled: what it is, what is filled, what the click would do."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from apps.accounts.types import Principal
from apps.common import words
from apps.common.errors import AikaError, Forbidden, NotFound
from apps.trades.admin.base import exact
from apps.trades.selectors.orders import CancelPage, cancel_page
from apps.trades.services import cancels
from apps.trades.types import CancelAnswer

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite

_SAYS = {
    CancelAnswer.NEVER_SENT: "Canceled. It had not left, and nothing was sent.",
    CancelAnswer.REQUESTED: "Asked to cancel. It may still fill until the venue has answered.",
    CancelAnswer.REMEMBERED: "Asked to cancel. It is not known to be at the venue: it is canceled once it is found.",
    CancelAnswer.ALREADY_CANCELED: "It was canceled already.",
}


def cancel_view(site: "AdminSite", request: HttpRequest, order_id: UUID) -> HttpResponse:
    """GET shows what would happen; POST asks. 404 for another desk's order, 403 for who may not."""
    principal = _principal(request)
    if request.method not in {"GET", "HEAD", "POST"}:
        return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
    try:
        if request.method == "POST":
            return _ask(request, order_id, principal)
        page = cancel_page(order_id=order_id, principal=principal, now=timezone.now())
    except NotFound as error:
        raise Http404(error.message) from error
    except Forbidden as error:
        raise PermissionDenied(error.message) from error
    return TemplateResponse(request, "trades/cancel.html", {**site.each_context(request), **_context(page)})


def _ask(request: HttpRequest, order_id: UUID, principal: Principal) -> HttpResponse:
    back = reverse("admin:trades_order_cancel", args=[order_id])
    try:
        asked = cancels.request_cancel_as(
            order_id=order_id, principal=principal, reason=request.POST.get("reason", ""), now=timezone.now()
        )
    except (NotFound, Forbidden):
        raise
    except AikaError as error:
        messages.warning(request, f"{error.message} {error.fix}".strip())
    else:
        messages.info(request, _SAYS[asked.answer])
        back = reverse("decide:story", args=[asked.order.proposal_id])
    return HttpResponseRedirect(back, status=303)


def _context(page: CancelPage) -> dict[str, Any]:
    order = page.order
    facts = [
        ("Filled so far", f"{exact(order.filled_quantity)} {page.base_currency}"),
        ("Would be canceled", f"{exact(order.quantity - order.filled_quantity)} {page.base_currency}"),
        ("Limit", f"{words.price(page.limit_price)} {page.quote_currency}" if page.limit_price is not None else "none"),
        ("Price now", page.price_now),
        ("Last read from the venue", page.read_ago),
    ]
    return {
        "title": "Ask to cancel an order",
        "opts": order._meta,
        "order": order,
        "page_environment": order.connection.environment,
        "what": f"{order.side.capitalize()} {exact(order.quantity)} {order.instrument}",
        "consequence": page.consequence,
        "facts": facts,
        "may_ask": page.may_ask,
        "why_not": page.why_not,
        "button": page.button,
    }


def _principal(request: HttpRequest) -> Principal:
    user = request.user
    if not user.is_authenticated:
        raise PermissionDenied
    return Principal(user_id=user.pk, api_key_id=None, name=user.shown_name)
