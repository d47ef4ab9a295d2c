"""Base classes of admin pages, for every app."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from typing_extensions import TypeVar

from apps.common.fields import ExactDecimalField

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
    """

    actions = None
    list_per_page = 50
    list_max_show_all = 200
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_sortable_by(self, request: HttpRequest) -> list[Any]:
        exact = {field.name for field in self.model._meta.concrete_fields if isinstance(field, ExactDecimalField)}
        return [column for column in super().get_sortable_by(request) if column not in exact]
