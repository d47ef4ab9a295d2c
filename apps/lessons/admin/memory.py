"""What the memory keeps of itself: what was recalled for whom, the spaces of the index, what is on its way there."""

from typing import TYPE_CHECKING, cast

from django.contrib import admin
from django.db.models import Prefetch, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.accounts.selectors import page_desks_of
from apps.common.admin import ReadOnlyAdmin
from apps.common.lists import SeenRelatedFilter
from apps.lessons.admin.base import DeskLedgerAdmin, link
from apps.lessons.models import IndexEntry, IndexSpace, KnowledgeRecall, KnowledgeRecallItem, Recall

if TYPE_CHECKING:
    from apps.accounts.models import User

HELD_OUT = "held out: shown to nobody, here neither"


def viewer_in_words(row: Recall | KnowledgeRecall) -> str:
    """Who asked: a person, and the key they asked by."""
    person = row.viewer.shown_name if row.viewer else ""
    return ", by ".join(part for part in (person, row.viewer_key) if part) or "nobody"


@admin.register(Recall)
class RecallAdmin(DeskLedgerAdmin[Recall]):
    """Questions to the memory and their answers."""

    filled_by = "Whenever similar trades are looked up, what was shown, and to whom, is kept here."

    list_display = ("asked_at", "purpose", "who", "answer", "withheld", "degraded", "space")
    list_filter = ("purpose", "withheld", "degraded", ("desk", SeenRelatedFilter))
    list_select_related = ("viewer",)
    search_fields = ("=id", "=proposal_id")
    search_help_text = "A whole id: the recall's or the proposal's"
    ordering = ("-asked_at",)
    sortable_by = ("asked_at",)
    fields = (
        "asked_at",
        "purpose",
        "who",
        "desk",
        "story",
        "asked",
        "answered",
        "withheld",
        "degraded",
        "space",
    )
    readonly_fields = ("who", "story", "asked", "answered")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Recall]:
        return super().get_queryset(request).prefetch_related("items__case")

    @admin.display(description="for whom")
    def who(self, row: Recall) -> str:
        return viewer_in_words(row)

    @admin.display(description="answer")
    def answer(self, row: Recall) -> str:
        return HELD_OUT if row.withheld else f"{len(row.items.all())} similar"

    @admin.display(description="story")
    def story(self, row: Recall) -> SafeString | str:
        if row.proposal_id is None:
            return "not about a proposal"
        return format_html('<a href="{}">What led to it</a>', reverse("decide:story", args=[row.proposal_id]))

    @admin.display(description="in words (unverified)")
    def asked(self, row: Recall) -> SafeString | str:
        return format_html('<pre class="inert">{}</pre>', row.text) if row.text else "nothing was said in words"

    @admin.display(description="what was similar")
    def answered(self, row: Recall) -> SafeString | str:
        if row.withheld:
            return HELD_OUT
        shown = format_html_join(
            "",
            "<div>{}. {}, score {}{}</div>",
            (
                (
                    item.rank,
                    link("lessons_case", item.case_id, str(item.case)),
                    item.score,
                    ", as a counter-example" if item.counter_example else "",
                )
                for item in row.items.all()
            ),
        )
        return shown or "nothing"


@admin.register(KnowledgeRecall)
class KnowledgeRecallAdmin(ReadOnlyAdmin[KnowledgeRecall]):
    """Questions to the documents and their answers: those of a person's desks, and their own."""

    filled_by = "Whenever the documents are asked, what was found, and for whom, is kept here for a year."

    list_display = ("asked_at", "who", "whose", "answer", "degraded", "space")
    list_filter = ("degraded", ("desk", SeenRelatedFilter))
    list_select_related = ("viewer", "desk")
    search_fields = ("=id",)
    search_help_text = "A whole id: of the answer"
    ordering = ("-asked_at",)
    sortable_by = ("asked_at",)
    fields = ("asked_at", "who", "whose", "asked", "answered", "degraded", "space")
    readonly_fields = ("who", "whose", "asked", "answered")

    def get_queryset(self, request: HttpRequest) -> QuerySet[KnowledgeRecall]:
        found = KnowledgeRecallItem.objects.select_related("chunk__version__document")
        # Of a version only its number is shown: its text may be a million characters.
        found = found.defer("chunk__text", "chunk__version__text")
        rows = super().get_queryset(request).prefetch_related(Prefetch("items", found))
        person = cast("User", request.user)
        return rows if person.is_superuser else rows.filter(Q(desk__in=page_desks_of(person)) | Q(viewer=person))

    @admin.display(description="for whom")
    def who(self, row: KnowledgeRecall) -> str:
        return viewer_in_words(row)

    @admin.display(description="desk")
    def whose(self, row: KnowledgeRecall) -> str:
        return row.desk.name if row.desk else "several, or none"

    @admin.display(description="answer")
    def answer(self, row: KnowledgeRecall) -> str:
        return f"{len(row.items.all())} found"

    @admin.display(description="in words (unverified)")
    def asked(self, row: KnowledgeRecall) -> SafeString:
        return format_html('<pre class="inert">{}</pre>', row.text)

    @admin.display(description="what was found")
    def answered(self, row: KnowledgeRecall) -> SafeString | str:
        found = ((item, item.chunk.version) for item in row.items.all())
        shown = format_html_join(
            "",
            '<div>{}. <a href="{}?version={}#c{}">{}</a>, score {}</div>',
            (
                (
                    item.rank,
                    reverse("admin:lessons_knowledgedocument_change", args=[version.document_id]),
                    version.number,
                    item.chunk.ordinal,
                    f"{version.document} v{version.number}",
                    item.score,
                )
                for item, version in found
            ),
        )
        return shown or "nothing"


@admin.register(IndexSpace)
class IndexSpaceAdmin(ReadOnlyAdmin[IndexSpace]):
    """Spaces that are asked, filled, or about to be dropped."""

    filled_by = "`manage.py migrate` and a change of EMBEDDINGS_PROVIDER make one."

    list_display = ("name", "state", "provider", "model", "dim", "activated_at", "retired_at")
    list_filter = ("state",)
    ordering = ("-created_at",)
    sortable_by = ("name",)


@admin.register(IndexEntry)
class IndexEntryAdmin(ReadOnlyAdmin[IndexEntry]):
    """Texts on their way into the index: what waits, what failed and why."""

    filled_by = "Each text that is to be found by meaning has one, pending until it is in the index."

    list_display = ("subject", "kind", "state", "attempts", "next_try_at", "indexed_at", "error", "space")
    list_filter = ("state", "kind", ("space", SeenRelatedFilter))
    list_select_related = ("space",)
    search_fields = ("=subject",)
    search_help_text = "A whole id: the case's or the piece's"
    ordering = ("-queued_at",)
    sortable_by = ()
