"""The story of one proposal. Reads only."""

from typing import TYPE_CHECKING, cast
from uuid import UUID

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from apps.approvals.selectors.story import story_page
from apps.common.errors import NotFound

if TYPE_CHECKING:
    from apps.accounts.models import User


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
        "page_environment": shown.environment,
        "work": "look_back",
        "title": f"{shown.label}, story",
    }
    return render(request, "approvals/story.html", context)
