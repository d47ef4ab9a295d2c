"""Latches as rows: what tripped, on what evidence, who reset it and why. Verbs are on the page of the trading state."""

from django.contrib import admin
from django.http import HttpRequest

from apps.common.admin import ReadOnlyAdmin
from apps.policies.admin.base import HALT, MayRead
from apps.policies.models import Latch


@admin.register(Latch)
class LatchAdmin(MayRead, ReadOnlyAdmin):
    filled_by = "A limit on losses, a check that failed or a person trips one. None is good news."
    list_display = ("tripped_at", "kind", "scope_name", "message", "reset_at", "reset_requester", "reset_seconder")
    list_display_links = ("tripped_at",)
    list_select_related = ("connection", "reset_requester", "reset_seconder")
    list_filter = (("reset_at", admin.EmptyFieldListFilter), "kind")
    ordering = ("-tripped_at",)
    sortable_by = ("tripped_at",)
    fields = (
        "kind",
        "scope_name",
        "tripped_at",
        "message",
        "evidence",
        "reset_at",
        "reset_requester",
        "reset_seconder",
        "reset_reason",
    )
    readonly_fields = ("scope_name",)

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return MayRead.has_view_permission(self, request, obj) or request.user.has_perm(HALT)

    @admin.display(description="of")
    def scope_name(self, latch: Latch) -> str:
        return "everything" if latch.connection is None else latch.connection.name
