"""Votes, as they were cast. Deciding happens on the decision page only."""

from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.approvals.models import Vote
from apps.common.admin import ReadOnlyAdmin
from apps.connectors.selectors import page_connections_of

if TYPE_CHECKING:
    from apps.accounts.models import User


@admin.register(Vote)
class VoteAdmin(ReadOnlyAdmin[Vote]):
    filled_by = "Each approval and each decline becomes a row when somebody decides on a proposal."
    list_display = ("created_at", "verb", "approver", "desk_of_one", "story")
    list_display_links = ("created_at", "verb")
    list_filter = ("verb",)
    list_select_related = ("approver", "proposal")
    search_fields = ("=proposal__id", "^approver__username")
    search_help_text = "A proposal's whole id, or the beginning of a user name"
    ordering = ("-created_at",)
    sortable_by = ("created_at",)
    fields = (
        "story",
        "verb",
        "approver",
        "proposer",
        "desk_of_one",
        "environment",
        "comment",
        "difference",
        "second_factor",
        "quote",
        "digest",
        "policy_version",
        "created_at",
    )
    readonly_fields = ("story",)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("accounts.view_ledger")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Vote]:
        rows = super().get_queryset(request)
        user = cast("User", request.user)
        if user.is_superuser:
            return rows
        return rows.filter(proposal__connection__in=page_connections_of(user))

    @admin.display(description="story")
    def story(self, row: Vote) -> SafeString:
        return format_html('<a href="{}">{}</a>', reverse("decide:story", args=[row.proposal_id]), row.proposal.label)
