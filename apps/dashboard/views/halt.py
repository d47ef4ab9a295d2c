"""Halt: one click, at once, from every page. Resuming is not here: it takes two people."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from apps.audit.types import Actor, ActorKind
from apps.dashboard import selectors
from apps.policies.services import trading_state

REASON = "Halted by the button on the desk."


@require_POST
def halt(request: HttpRequest) -> HttpResponse:
    """Halt trading on every connection, and go back to where the button was."""
    if not request.user.has_perm("accounts.halt_trading"):
        raise PermissionDenied("Your roles do not include halting. Tell somebody whose do.")
    name = str(getattr(request.user, "shown_name", request.user.get_username()))
    actor = Actor(kind=ActorKind.USER, id=str(request.user.pk), name=name)
    trading_state.halt(connection_id=None, actor=actor, reason=REASON, now=timezone.now())
    selectors.forget_status()
    messages.warning(
        request, "Trading is halted. No order leaves; orders at the venue stay as they are. Resuming takes two people."
    )
    target = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(
        target, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        target = reverse("admin:index")
    return HttpResponseRedirect(target, status=303)
