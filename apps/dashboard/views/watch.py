"""The page at `/` for whoever watches: signed-in people, staff or not, who may see the ledger."""

from typing import TYPE_CHECKING, Any, cast

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from apps.accounts.selectors import holds
from apps.dashboard.selectors import LATE_S
from apps.dashboard.watching import watch_page

if TYPE_CHECKING:
    from apps.accounts.models import User

KEY_CHARS_MAX = 100
GRANULARITIES = (("1m", "1 min"), ("5m", "5 min"), ("15m", "15 min"), ("1h", "1 h"), ("4h", "4 h"), ("1d", "1 day"))


@never_cache
@require_GET
@login_required
def home(request: HttpRequest) -> HttpResponse:
    """Prices, chart, positions, what waits, what happened, what it is worth: everything on one page."""
    return render(request, "dashboard/watch.html", _context(request))


@never_cache
@require_GET
@login_required
def parts(request: HttpRequest) -> HttpResponse:
    """The same without frame and chart, for the page to take what has changed."""
    return render(request, "dashboard/parts.html", _context(request))


def _context(request: HttpRequest) -> dict[str, Any]:
    person = cast("User", request.user)
    if not holds(person, "view_ledger"):
        raise PermissionDenied("You are signed in, and your roles do not include watching a desk.")
    page = watch_page(person, chosen=request.GET.get("chart", "")[:KEY_CHARS_MAX], now=timezone.now())
    return {"page": page, "work": "watch", "title": "Watch", "late_s": LATE_S, "granularities": GRANULARITIES}
