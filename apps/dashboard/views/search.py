"""Search by what people have in hand: the head of an id, an order id, an instrument, a name."""

from typing import TYPE_CHECKING, cast

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from apps.approvals.selectors.waiting import connection_ids_of
from apps.trades.selectors.searching import FOUND_MAX, find_proposals, id_range

if TYPE_CHECKING:
    from apps.accounts.models import User

TEXT_CHARS_MAX = 80


@never_cache
@require_GET
def search(request: HttpRequest) -> HttpResponse:
    """Proposals that match; an id that fits exactly one goes straight to its story."""
    text = request.GET.get("q", "").replace("\x00", "").strip()[:TEXT_CHARS_MAX]
    found = find_proposals(text, connection_ids=connection_ids_of(cast("User", request.user)))
    if len(found) == 1 and id_range(text.removeprefix("P-")) is not None:
        return HttpResponseRedirect(reverse("decide:story", args=[found[0].pk]))
    context = {**admin.site.each_context(request), "title": "Search", "search_text": text, "found": found}
    context["found_max"] = FOUND_MAX
    return render(request, "admin/search.html", context)
