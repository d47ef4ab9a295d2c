"""The red button: one click, at once, from every page. Resuming is not here: it takes two people."""

from typing import TYPE_CHECKING, cast
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from apps.accounts.services.people import actor_of
from apps.dashboard import selectors
from apps.policies.services import trading_state

if TYPE_CHECKING:
    from apps.accounts.models import User

REASON = "Halted by the button on every page."


@require_POST
def halt(request: HttpRequest) -> HttpResponse:
    """Halt trading on every connection, and go to the page that says so: who is no staff has the watching page."""
    if not request.user.has_perm("accounts.halt_trading"):
        raise PermissionDenied("Your roles do not include halting. Tell somebody whose do.")
    actor = actor_of(cast("User", request.user))
    trading_state.halt(connection_id=None, actor=actor, reason=REASON, now=timezone.now())
    selectors.forget_status()
    if not cast("User", request.user).is_staff:
        return HttpResponseRedirect(reverse("home"), status=303)
    came_from = urlencode({"next": request.POST.get("next", "")})
    return HttpResponseRedirect(f"{reverse('admin:halted')}?{came_from}", status=303)
