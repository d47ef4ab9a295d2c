"""Does it help? The page, and every measurement it was ever made of."""

from typing import TYPE_CHECKING, cast

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from apps.accounts.selectors import desks_shown_to
from apps.common import words
from apps.common.lists import SeenRelatedFilter
from apps.lessons.admin.base import DeskLedgerAdmin
from apps.lessons.models import Evaluation
from apps.lessons.rules import help_words
from apps.lessons.rules.resting import DISMISSED_MIN, SHOWN_MIN
from apps.lessons.rules.shares import FEW
from apps.lessons.rules.walkforward import WARM_UP
from apps.lessons.selectors.help_page import help_of

if TYPE_CHECKING:
    from apps.accounts.models import User


@admin.register(Evaluation)
class EvaluationAdmin(DeskLedgerAdmin[Evaluation]):
    filled_by = "The nightly evaluation and `manage.py lessons_help` leave one each."
    list_display = ("when", "desk", "cases", "judged", "repeats", "answered", "held_out", "space", "code")
    list_filter = (("desk", SeenRelatedFilter),)
    list_select_related = ("desk",)
    ordering = ("-made_at",)
    sortable_by = ("when",)
    fields = (
        "desk",
        "as_of",
        "made_at",
        "cases",
        "judged",
        "repeats",
        "answered",
        "held_out",
        "space",
        "code",
        "says",
        "warnings",
    )
    readonly_fields = ("says", "warnings")

    def get_urls(self) -> list[URLPattern]:
        page = path("does-it-help/", self.admin_site.admin_view(self.help_view), name="lessons_evaluation_help")
        return [page, *super().get_urls()]

    def help_view(self, request: HttpRequest) -> HttpResponse:
        """GET: what was measured last of each desk this person may look at."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method != "GET":
            return HttpResponseNotAllowed(["GET"])
        percent: int = settings.LESSONS_HOLDOUT_SHARE
        desks = help_of(desks_shown_to(cast("User", request.user)).order_by("name"), percent=percent)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Does it help?",
            "desks": desks,
            "percent": percent,
            "few": FEW,
            "warm_up": WARM_UP,
            "shown_min": SHOWN_MIN,
            "dismissed_min": DISMISSED_MIN,
        }
        return TemplateResponse(request, "lessons/help.html", context)

    @admin.display(description="measured", ordering="made_at")
    def when(self, row: Evaluation) -> str:
        return words.moment(row.made_at, timezone.now())

    @admin.display(description="in a sentence")
    def says(self, row: Evaluation) -> str:
        return help_words.catches(row.figures)

    @admin.display(description="caught of repeat losses")
    def warnings(self, row: Evaluation) -> SafeString:
        lines = (
            (help_words.WARNINGS[one["warning"]][0], help_words.figure(one["recall"]))
            for one in row.figures["warnings"]
        )
        return format_html_join("", "<div>{}: {}</div>", lines)
