"""Documents: the list, what one says and how it is cut, handing over, taking out, and the folders that are watched."""

from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from apps.accounts.selectors import desks_shown_to
from apps.accounts.services.people import actor_of
from apps.common import words
from apps.common.admin import ModelAdmin, ReadOnlyAdmin, act
from apps.common.lists import SeenRelatedFilter
from apps.common.uploads import FewUploads
from apps.lessons.forms import SourceForm, UploadForm
from apps.lessons.models import KnowledgeDocument, KnowledgeSource
from apps.lessons.selectors import knowledge as selectors
from apps.lessons.services import knowledge, knowledge_sources

if TYPE_CHECKING:
    from apps.accounts.models import Desk, User

ADD = "lessons.add_knowledgedocument"


def _person(request: HttpRequest) -> "User":
    return cast("User", request.user)


def _desks(request: HttpRequest) -> "QuerySet[Desk]":
    return desks_shown_to(_person(request)).order_by("name")


@admin.register(KnowledgeDocument)
class KnowledgeDocumentAdmin(ReadOnlyAdmin[KnowledgeDocument]):
    """Documents of a person's desks and of everybody; those of everybody are a superuser's to change."""

    filled_by = "Upload one here, or use `manage.py ingest_knowledge PATH`."

    list_display = ("title", "whose", "state_in_words", "version", "updated_at", "external_id")
    list_display_links = ("title",)
    list_select_related = ("desk",)
    list_filter = ("media_type", ("desk", SeenRelatedFilter))
    search_fields = ("^title", "=external_id")
    search_help_text = "The beginning of a title, or a whole id"
    ordering = ("-updated_at",)
    sortable_by = ("title", "updated_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[KnowledgeDocument]:
        rows = super().get_queryset(request)
        person = _person(request)
        return rows if person.is_superuser else rows.filter(selectors.of_desks(_desks(request).values("pk")))

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(ADD)

    @admin.display(description="whose")
    def whose(self, row: KnowledgeDocument) -> str:
        return row.desk.name if row.desk else "everybody"

    @admin.display(description="state")
    def state_in_words(self, row: KnowledgeDocument) -> str:
        return "found in answers" if row.removed_at is None else "taken out"

    @admin.display(description="version", ordering="number")
    def version(self, row: KnowledgeDocument) -> int:
        return row.number

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        remove = path("<uuid:pk>/remove/", view(self.remove_view), name="lessons_knowledgedocument_remove")
        return [remove, *super().get_urls()]

    # The token of the form is in the body, and whoever reads the body first decides how files are taken: first the
    # handler, then the check.
    @method_decorator(csrf_exempt)
    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """GET the form; POST takes documents in and says what became of each."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        request.upload_handlers = [FewUploads(request)]
        return self._add(request)

    @method_decorator(csrf_protect)
    def _add(self, request: HttpRequest) -> HttpResponse:
        person = _person(request)
        posted = (request.POST, request.FILES) if request.method == "POST" else (None, None)
        form = UploadForm(*posted, desks=_desks(request), for_everybody=person.is_superuser)
        results: list[knowledge.Ingested] = []
        if form.is_valid():
            desk = form.cleaned_data["desk"]
            results = knowledge.ingest(
                items=form.items, desk_id=desk.pk if desk else None, actor=actor_of(person), now=timezone.now()
            )
            form = UploadForm(desks=_desks(request), for_everybody=person.is_superuser)
        return self._page(request, "lessons/knowledge_add.html", "Hand documents over", form=form, results=results)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """GET: what a version says, piece by piece, each under its place."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method != "GET":
            raise PermissionDenied("A document is changed by handing it over again.")
        row = self._row(request, object_id)
        wanted = request.GET.get("version", "")
        page = selectors.document_page(row, number=int(wanted) if wanted.isascii() and wanted.isdigit() else row.number)
        if page is None:
            raise Http404("There is no such version.")
        return self._page(
            request,
            "lessons/knowledge_document.html",
            row.title,
            document=row,
            page=page,
            whose=self.whose(row),
            may_change=self._may_change(request, row),
            updated_ago=words.ago(row.updated_at, timezone.now()),
        )

    def remove_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """POST: take it out of what is found."""
        row = self._row(request, str(pk))
        if not self._may_change(request, row):
            raise PermissionDenied

        def verb(now: Any) -> str:
            done = knowledge.remove(document=row, actor=actor_of(_person(request)), now=now)
            return f"{row.title} is taken out of answers." if done else f"{row.title} was taken out before."

        return act(request, verb, back=reverse("admin:lessons_knowledgedocument_change", args=[row.pk]))

    def _may_change(self, request: HttpRequest, row: KnowledgeDocument) -> bool:
        return request.user.has_perm(ADD) and (row.desk_id is not None or _person(request).is_superuser)

    def _row(self, request: HttpRequest, object_id: str) -> KnowledgeDocument:
        try:
            found = self.get_queryset(request).select_related("desk", "source").filter(pk=UUID(object_id)).first()
        except ValueError:
            found = None
        if found is None:
            raise Http404("There is no such document.")
        return found

    def _page(self, request: HttpRequest, template: str, title: str, **context: Any) -> TemplateResponse:
        site = self.admin_site.each_context(request)
        return TemplateResponse(request, template, {**site, "title": title, "opts": self.opts, **context})


@admin.register(KnowledgeSource)
class KnowledgeSourceAdmin(ModelAdmin):
    """Folders that are looked at by the clock. One that is not wanted any more is switched off, and kept."""

    filled_by = "`Add` names a folder that is read again on a schedule."

    form = SourceForm
    actions = None
    show_full_result_count = False
    list_display = ("path", "whose", "enabled", "prune", "looked_at", "problem")
    list_display_links = ("path",)
    list_select_related = ("desk",)
    readonly_fields = ("looked_at", "problem")

    @admin.display(description="whose")
    def whose(self, row: KnowledgeSource) -> str:
        return row.desk.name if row.desk else "everybody"

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[KnowledgeSource]:
        rows = super().get_queryset(request)
        return rows if _person(request).is_superuser else rows.filter(desk__in=_desks(request))

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "desk":
            kwargs |= {"queryset": _desks(request), "required": not _person(request).is_superuser}
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: KnowledgeSource, form: Any, change: bool) -> None:
        now = timezone.now()
        knowledge_sources.keep(source=obj, actor=actor_of(_person(request)), now=now)
        messages.info(request, f"{obj.path} is looked at within a minute." if obj.enabled else f"{obj.path} is off.")
