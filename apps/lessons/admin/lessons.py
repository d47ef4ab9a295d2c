"""Lessons: what waits for a review, and the page where people say what it was."""

from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils import timezone

from apps.common import words
from apps.lessons.admin import reviewing
from apps.lessons.admin.base import NOT_KNOWN, CaseMistakeFilter, DeskLedgerAdmin, OwnDesksFilter, held, multiple
from apps.lessons.models import Lesson
from apps.lessons.selectors.lesson_page import lesson_page, tag_words
from apps.lessons.selectors.reviewing import alike, lesson_of_desk, taking_out_request
from apps.lessons.services import reviews
from apps.lessons.types import STANDING, CaseVerdict, ReviewState

if TYPE_CHECKING:
    from apps.accounts.models import User

ALIKE_SHOWN_MAX = 50
STATES = {
    ReviewState.AUTO: ("warn", "wait", "Not reviewed yet"),
    ReviewState.REVIEWED: ("ok", "ok", "Reviewed"),
    ReviewState.DISPUTED: ("", "x", "Disputed, does not count"),
    ReviewState.SUPERSEDED: ("", "to", "Superseded, does not count"),
    ReviewState.RETIRED: ("", "x", "Retired"),
}
VERDICTS = {
    CaseVerdict.PROCESS_ERROR: "A rule of our own was broken",
    CaseVerdict.PLANNED_LOSS: "The plan was followed, and lost",
    CaseVerdict.EXECUTION: "The order went wrong",
    CaseVerdict.DATA: "The data was wrong",
    CaseVerdict.UNKNOWN: "Not known",
}


@admin.register(Lesson)
class LessonAdmin(DeskLedgerAdmin[Lesson]):
    """The list; the row itself is a page of its own."""

    filled_by = "A trade that lost makes one by itself."

    desk_path = "case__desk"
    list_display = ("what", "brought", "in_r", "state_word", "mistakes", "cause_text", "closed_at")
    list_display_links = ("what",)
    list_filter = (
        "state",
        ("rests_since", admin.EmptyFieldListFilter),
        "case__verdict",
        CaseMistakeFilter,
        ("case__desk", OwnDesksFilter),
    )
    list_select_related = ("case",)
    search_fields = ("=id", "=case__id", "=case__proposal_id", "^case__product")
    search_help_text = "A whole id (the lesson's, its case's, the proposal's), or the beginning of an instrument"
    ordering = ("-case__closed_at",)
    sortable_by = ("closed_at",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Lesson]:
        return super().get_queryset(request).prefetch_related("case__tags")

    def get_urls(self) -> list[URLPattern]:
        return [*reviewing.urls(self.admin_site.admin_view), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """GET: the lesson, and the forms of what this person may do."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method != "GET":
            raise PermissionDenied("A lesson is changed by a review.")
        person, now = cast("User", request.user), timezone.now()
        lesson = lesson_of_desk(_uuid(object_id), person)
        if lesson is None:
            raise Http404("There is no such lesson at your desks.")
        case = lesson.case
        refusal = reviews.refusal(lesson, reviewer=person, now=now)
        proposed = taking_out_request(lesson, now)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "page_environment": case.environment,
            "title": f"Lesson of {case.product}, {case.closed_at:%-d %b %Y}",
            "lesson": lesson,
            "case": case,
            "page": lesson_page(lesson),
            "state": STATES[ReviewState(lesson.state)],
            "verdict_words": VERDICTS[CaseVerdict(case.verdict)],
            "verdicts": [(verdict.value, text) for verdict, text in VERDICTS.items()],
            "in_r": multiple(case.r_multiple),
            "best": multiple(case.mfe_r),
            "worst": multiple(case.mae_r),
            "held": held(case.opened_at, case.closed_at),
            "severity": words.percent(lesson.severity),
            "closed_ago": words.ago(case.closed_at, now),
            "stands": lesson.state in STANDING,
            "refusal": refusal,
            "may_review": refusal is None,
            "proposed": proposed,
            "may_confirm": proposed is not None
            and (proposed.requester_id != person.pk or proposed.seconder is not None),
            "alike": list(alike(lesson, limit=ALIKE_SHOWN_MAX)) if refusal is None else [],
            "text_chars_max": reviews.TEXT_CHARS_MAX,
        }
        return TemplateResponse(request, "lessons/lesson.html", context)

    @admin.display(description="lesson")
    def what(self, row: Lesson) -> str:
        how = f", {row.case.exit_reason}" if row.case.exit_reason else ""
        return f"{row.case.side.capitalize()} {words.grouped(row.case.quantity)} {row.case.product}{how}"

    @admin.display(description="cost")
    def brought(self, row: Lesson) -> str:
        pnl = row.case.pnl
        return NOT_KNOWN if pnl is None else f"{words.result(pnl)} {row.case.quote_currency}"

    @admin.display(description="against the plan")
    def in_r(self, row: Lesson) -> str:
        return multiple(row.case.r_multiple)

    @admin.display(description="state")
    def state_word(self, row: Lesson) -> str:
        return STATES[ReviewState(row.state)][2] + (", not shown any more" if row.rests_since else "")

    @admin.display(description="mistakes")
    def mistakes(self, row: Lesson) -> str:
        return ", ".join(tag_words(tag.tag) for tag in row.case.tags.all() if tag.counts) or "none that counts"

    @admin.display(description="cause")
    def cause_text(self, row: Lesson) -> str:
        return row.cause if len(row.cause) <= 80 else row.cause[:79] + "…"

    @admin.display(description="closed", ordering="case__closed_at")
    def closed_at(self, row: Lesson) -> str:
        return words.moment(row.case.closed_at, timezone.now())


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise Http404("There is no such lesson.") from error
