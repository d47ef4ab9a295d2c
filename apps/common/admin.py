"""Base classes of admin pages, and how a verb of one is carried out, for every app."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.text import smart_split, unescape_string_literal
from typing_extensions import TypeVar

from apps.common.errors import AikaError, Forbidden
from apps.common.fields import ExactDecimalField
from apps.common.lists import BoundedPaginator, searched
from apps.common.subjects import linked, way_to

M = TypeVar("M", bound=Model, default=Any)

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    _ModelAdmin = admin.ModelAdmin
else:  # Django's class is generic in its stubs only
    ModelAdmin = admin.ModelAdmin

    class _ModelAdmin(admin.ModelAdmin):
        def __class_getitem__(cls, model: object) -> type:
            return cls


class ReadOnlyAdmin(_ModelAdmin[M]):
    """A ledger: whoever holds the view permission reads it, nobody changes it, superusers included.

    No actions, no second count, no facets; a column of exact decimals is not sorted by, since SQLite would sort text.
    Rows are counted and searched as `lists` says: a ledger grows for ever. `filled_by` is what its list says
    while it is empty: what would put a row there.
    """

    filled_by = ""
    actions = None
    list_per_page = 50
    list_max_show_all = 200
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        fields = list(self.get_search_fields(request))
        bits = [
            unescape_string_literal(bit) if bit[0] in "\"'" and bit[0] == bit[-1] else bit
            for bit in smart_split(search_term)
        ]
        return (searched(queryset, fields, bits) if fields else queryset), False

    def get_sortable_by(self, request: HttpRequest) -> list[Any]:
        exact = {field.name for field in self.model._meta.concrete_fields if isinstance(field, ExactDecimalField)}
        return [column for column in super().get_sortable_by(request) if column not in exact]


class AboutAdmin(ReadOnlyAdmin[M]):
    """A ledger whose rows say in `subject` which other row they are about. Show `about` on a row's page: the subject,
    with the way to it for who may look at it."""

    def stream_of(self, row: Any) -> str:
        """The stream in which the subject is to be read, where it has one."""
        return ""

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> M | None:
        row = super().get_object(request, object_id, from_field)
        if row is not None:
            vars(row)["subject_url"] = way_to(request, str(vars(row)["subject"]), stream=self.stream_of(row))
        return row

    @admin.display(description="about")
    def about(self, row: Any) -> SafeString | str:
        return linked(row.subject, getattr(row, "subject_url", ""))


def act(request: HttpRequest, verb: Callable[[datetime], str], *, back: str) -> HttpResponse:
    """Carry out a POST verb with the clock of now, say what happened, and go to `back`. Anything but POST is refused.

    `verb` returns what to say. One's lack of a right is 403; every other refusal is said on the page.
    """
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    try:
        messages.info(request, verb(timezone.now()))
    except Forbidden as error:
        raise PermissionDenied(error.message) from error
    except AikaError as error:
        messages.warning(request, f"{error.message} {error.fix}".strip())
    return HttpResponseRedirect(back, status=303)
