"""The story of one proposal. Reads only."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from apps.approvals.selectors.story import StoryPage, story_page
from apps.common.errors import NotFound
from apps.common.subjects import Named, may_open, url_of

if TYPE_CHECKING:
    from apps.accounts.models import User


@dataclass(frozen=True, slots=True)
class Way:
    """One link from the story to a row of it."""

    name: str
    say: str
    url: str


def _ways(request: HttpRequest, shown: StoryPage) -> list[Way]:
    """What the proposal led to, each for who may open such pages: its rows are of the desk whose story is shown."""
    rows = (
        ("proposal", shown.id, "The proposal\u2019s row", "every column"),
        ("decision", shown.decision_id, "The policy decision", "what it went by"),
        ("order", shown.order_id, "The order", "and its fills"),
        ("outcome", shown.outcome_id, "The outcome", "what it earned or lost"),
        ("case", shown.case_id, "The case", "as it is remembered"),
        ("lesson", shown.lesson_id, "The lesson", "what it teaches"),
    )
    ways = [
        Way(name, say, url_of(Named(kind, str(pk))))
        for kind, pk, name, say in rows
        if pk is not None and may_open(request, kind)
    ]
    if request.user.has_perm("audit.view_event"):
        asked = urlencode({"q": f"proposal:{shown.id}"})
        ways.append(
            Way("Its audit events", "of order and votes too", f"{reverse('admin:audit_event_changelist')}?{asked}")
        )
    return ways


@never_cache
@require_GET
def page(request: HttpRequest, proposal_id: UUID) -> HttpResponse:
    """From cause to effect, on one page."""
    try:
        shown = story_page(proposal_id=proposal_id, viewer=cast("User", request.user), now=timezone.now())
    except NotFound as error:
        raise Http404(error.message) from error
    context = {
        **admin.site.each_context(request),
        "story": shown,
        "ways": _ways(request, shown),
        "page_environment": shown.environment,
        "work": "look_back",
        "title": f"{shown.label}, story",
    }
    return render(request, "approvals/story.html", context)
