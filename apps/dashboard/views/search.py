"""Search by what people have in hand: the head of an id, an order id, an instrument, a name, a subject."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from apps.approvals.selectors.waiting import connection_ids_of
from apps.common.subjects import rows_by_id, url_of, way_to
from apps.trades.selectors.searching import FOUND_MAX, find_proposals, id_range

if TYPE_CHECKING:
    from apps.accounts.models import User

TEXT_CHARS_MAX: Final = 80


@dataclass(frozen=True, slots=True)
class FoundRow:
    """A row that is no proposal: what it is, its id, the way to its page."""

    kind: str
    pk: str
    url: str


@never_cache
@require_GET
def search(request: HttpRequest) -> HttpResponse:
    """Proposals that match, and by an id every other row that this person may open.

    An id that fits exactly one thing goes straight to it: a proposal's story, or the row's page.
    """
    text = request.GET.get("q", "").replace("\x00", "").strip()[:TEXT_CHARS_MAX]
    if ":" in text and (way := way_to(request, text)):
        return HttpResponseRedirect(way)
    found = find_proposals(text, connection_ids=connection_ids_of(cast("User", request.user)))
    rows = _rows(request, text)
    if len(found) == 1 and not rows and id_range(text.removeprefix("P-")) is not None:
        return HttpResponseRedirect(reverse("decide:story", args=[found[0].pk]))
    if len(rows) == 1 and not found:
        return HttpResponseRedirect(rows[0].url)
    context = {**admin.site.each_context(request), "title": "Search", "search_text": text, "found": found, "rows": rows}
    context["found_max"] = FOUND_MAX
    return render(request, "admin/search.html", context)


def _rows(request: HttpRequest, text: str) -> list[FoundRow]:
    """What else has this id, or begins with it; an alarm's is a number."""
    found = rows_by_id(request, ids=id_range(text), number=text, limit=FOUND_MAX)
    return [FoundRow(name, named.pk, url_of(named)) for named, name in found]
