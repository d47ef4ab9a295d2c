"""Closed trades as they are remembered, every column."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.common import words
from apps.common.lists import SeenRelatedFilter
from apps.lessons.admin.base import NOT_KNOWN, DeskLedgerAdmin, MistakeFilter, exact, held, link, multiple
from apps.lessons.models import Case


@admin.register(Case)
class CaseAdmin(DeskLedgerAdmin[Case]):
    filled_by = "Each closed trade, won or lost, becomes one; `manage.py backfill_lessons` brings those of the past."
    list_display = ("closed_at", "what", "result", "brought", "in_r", "verdict", "found", "lesson_link", "counts")
    list_display_links = ("what",)
    list_filter = (
        "result",
        "verdict",
        "counts",
        "source",
        MistakeFilter,
        ("desk", SeenRelatedFilter),
    )
    list_select_related = ("lesson",)
    search_fields = ("=id", "=source_id", "=proposal_id", "^product")
    search_help_text = "A whole id (the case's, its source's, the proposal's), or the beginning of an instrument"
    ordering = ("-closed_at",)
    sortable_by = ("closed_at",)
    fieldsets = (
        (None, {"fields": ("story", "told", "lesson_link", "result", "verdict", "counts", "found")}),
        (
            "Figures",
            {
                "fields": (
                    "product",
                    "asset_class",
                    "side",
                    "size",
                    "prices",
                    "fee_text",
                    "brought",
                    "in_r",
                    "best_worst",
                    "held_for",
                    "exit_reason",
                    "regime",
                )
            },
        ),
        ("Plan", {"fields": ("thesis", "setup", "planned")}),
        ("At decision time", {"fields": ("measured", "facts_version")}),
        ("What was reported", {"fields": ("notes",)}),
        (
            "Where it comes from",
            {"fields": ("source", "source_id", "desk", "environment", "opened_at", "closed_at", "updated_at")},
        ),
        (
            "What is embedded",
            {
                "classes": ("collapse",),
                "fields": ("thesis_text", "narrative_text", "content_hash", "summary_version"),
            },
        ),
    )
    readonly_fields = (
        "story",
        "told",
        "lesson_link",
        "found",
        "size",
        "prices",
        "fee_text",
        "brought",
        "in_r",
        "best_worst",
        "held_for",
        "planned",
        "measured",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Case]:
        return super().get_queryset(request).prefetch_related("tags")

    @admin.display(description="what")
    def what(self, row: Case) -> str:
        return f"{row.side.capitalize()} {exact(row.quantity)} {row.product}"

    @admin.display(description="story")
    def story(self, row: Case) -> SafeString | str:
        if row.proposal_id is None:
            return "not proposed here: reported from outside"
        return format_html('<a href="{}">What led to it</a>', reverse("decide:story", args=[row.proposal_id]))

    @admin.display(description="in words")
    def told(self, row: Case) -> SafeString:
        return format_html('<pre class="inert" tabindex="0">{}</pre>', row.summary)

    @admin.display(description="P&L after fees")
    def brought(self, row: Case) -> str:
        return NOT_KNOWN if row.pnl is None else f"{words.result(row.pnl)} {row.quote_currency}"

    @admin.display(description="against the plan")
    def in_r(self, row: Case) -> str:
        return multiple(row.r_multiple)

    @admin.display(description="mistakes")
    def found(self, row: Case) -> str:
        tags = [tag for tag in row.tags.all() if not tag.disputed]
        return ", ".join(tag.tag if tag.counts else f"{tag.tag} (not confirmed)" for tag in tags) or "none"

    @admin.display(description="lesson")
    def lesson_link(self, row: Case) -> SafeString | str:
        lesson = getattr(row, "lesson", None)
        return "none: it did not lose" if lesson is None else link("lessons_lesson", lesson.pk, lesson.state.lower())

    @admin.display(description="quantity (base)")
    def size(self, row: Case) -> str:
        return exact(row.quantity)

    @admin.display(description="in and out")
    def prices(self, row: Case) -> str:
        return f"{exact(row.entry_price)} to {exact(row.exit_price)} {row.quote_currency}"

    @admin.display(description="fees")
    def fee_text(self, row: Case) -> str:
        return f"{exact(row.fees)} {row.quote_currency}"

    @admin.display(description="best and worst on the way")
    def best_worst(self, row: Case) -> str:
        return f"{multiple(row.mfe_r)}, {multiple(row.mae_r)}"

    @admin.display(description="held for")
    def held_for(self, row: Case) -> str:
        return held(row.opened_at, row.closed_at)

    @admin.display(description="entry, stop, target, money at risk")
    def planned(self, row: Case) -> str:
        plan = (row.planned_entry, row.planned_stop, row.planned_target, row.planned_risk)
        return ", ".join(exact(value) for value in plan)

    @admin.display(description="facts")
    def measured(self, row: Case) -> SafeString | str:
        shown = format_html_join(
            "",
            "<div>{}: {} {}{}{}</div>",
            (
                (
                    fact["name"],
                    NOT_KNOWN if fact["value"] is None else fact["value"],
                    fact["unit"],
                    "" if fact["limit"] is None else f", limit {fact['limit']}",
                    ", broken" if fact["violated"] else "",
                )
                for fact in row.facts
            ),
        )
        return shown or "none was measured"
