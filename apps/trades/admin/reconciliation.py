"""What was compared with the venues and what differed."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.accounts.selectors import desks_of
from apps.accounts.services.people import actor_of
from apps.common.admin import act
from apps.common.lists import SeenRelatedFilter
from apps.connectors.selectors import active_connections
from apps.trades.admin import unknown
from apps.trades.admin.base import TradeLedgerAdmin, link
from apps.trades.models import Difference, Inquiry, ReconciliationRun
from apps.trades.services import differences
from apps.trades.services.reconciliation import runs
from apps.trades.types import RunTrigger

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.connectors.models import Connection

SETTLE: Final = "accounts.second_request"

DIFFERENCES_SHOWN_MAX: Final = 20


def connections_of(person: "User") -> "list[Connection]":
    """The active connections of the desks a person sits at; a superuser's are all."""
    rows = active_connections().order_by("slug")
    return list(rows if person.is_superuser else rows.filter(desk__in=desks_of(person.pk)))


@admin.register(ReconciliationRun)
class ReconciliationRunAdmin(TradeLedgerAdmin[ReconciliationRun]):
    filled_by = "Each start, the schedule and `manage.py reconcile` compare Aika with the venue and leave a row."
    list_display = ("started_at", "outcome", "connection", "seen", "trigger", "asked_by")
    list_filter = ("outcome", "trigger", ("connection", SeenRelatedFilter))
    list_select_related = ("connection",)
    ordering = ("-started_at",)
    sortable_by = ("started_at",)
    fields = (
        "outcome",
        "reason_code",
        "reason",
        "connection",
        "differences_found",
        "seen",
        "totals",
        "since",
        "until",
        "started_at",
        "finished_at",
        "trigger",
        "asked_by",
    )
    readonly_fields = ("differences_found", "seen", "totals")
    change_list_template = "trades/reconciliation_runs.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.compare_view)
        return [path("compare/<uuid:connection_id>/", view, name="trades_compare"), *super().get_urls()]

    def compare_view(self, request: HttpRequest, connection_id: UUID) -> HttpResponse:
        """POST: compare one connection of one's desks with its venue now."""
        person = cast("User", request.user)
        if not person.has_perm(SETTLE):
            raise PermissionDenied("Approvers, risk and operators may. Tell one of them.")
        if all(row.pk != connection_id for row in connections_of(person)):
            raise Http404("There is no such connection at your desks.")

        def verb(now: datetime) -> str:
            report = runs.reconcile(
                connection_id=connection_id,
                trigger=RunTrigger.PERSON,
                actor=actor_of(person),
                clock=timezone.now,
            )
            return f"{report.connection}: {report.outcome.value.lower()}. {report.reason}".strip()

        return act(request, verb, back=reverse("admin:trades_reconciliationrun_changelist"))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        person = cast("User", request.user)
        more = {"may_compare": person.has_perm(SETTLE), "to_compare": connections_of(person)}
        return super().changelist_view(request, {**more, **(extra_context or {})})

    @admin.display(description="seen")
    def seen(self, row: ReconciliationRun) -> str:
        return ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in row.counts.items()) or "nothing yet"

    @admin.display(description="balances at the venue")
    def totals(self, row: ReconciliationRun) -> str:
        if row.balances is None:
            return "not compared"
        held = {currency: total for currency, total in row.balances.items() if total != "0"}
        return ", ".join(f"{total} {currency}" for currency, total in sorted(held.items())) or "nothing held"

    @admin.display(description="differences")
    def differences_found(self, row: ReconciliationRun) -> SafeString | str:
        rows = list(row.differences.order_by("found_at")[: DIFFERENCES_SHOWN_MAX + 1])
        shown = format_html_join(
            "",
            "<div>{}</div>",
            ((link("trades_difference", found.pk, str(found)),) for found in rows[:DIFFERENCES_SHOWN_MAX]),
        )
        return shown if rows else "None"


@admin.register(Difference)
class DifferenceAdmin(TradeLedgerAdmin[Difference]):
    filled_by = "A comparison that finds Aika and the venue to differ writes it here. None is good news."
    list_display = ("found_at", "kind", "what", "theirs", "connection", "standing")
    list_display_links = ("kind",)
    list_filter = ("kind", ("settled_at", admin.EmptyFieldListFilter), ("connection", SeenRelatedFilter))
    list_select_related = ("connection", "order")
    search_fields = ("=id", "=subject", "=order__id")
    search_help_text = "A whole id: of the difference, of the order (ours or the venue's)"
    ordering = ("-found_at",)
    sortable_by = ("found_at",)
    fields = (
        "kind",
        "what",
        "ours",
        "theirs",
        "done",
        "standing",
        "settled_reason",
        "connection",
        "run_link",
        "subject",
        "found_at",
        "settled_at",
    )
    readonly_fields = ("what", "standing", "run_link")

    change_form_template = "trades/difference.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.settle_view)
        return [path("<uuid:difference_id>/settle/", view, name="trades_difference_settle"), *super().get_urls()]

    def settle_view(self, request: HttpRequest, difference_id: UUID) -> HttpResponse:
        """POST: a person says what it was."""
        if not request.user.has_perm(SETTLE):
            raise PermissionDenied("Approvers, risk and operators may. Tell one of them.")
        get_object_or_404(self.get_queryset(request), pk=difference_id)

        def verb(now: datetime) -> str:
            row = differences.settle(
                difference_id=difference_id,
                person=cast("User", request.user),
                reason=request.POST.get("reason", ""),
                now=now,
            )
            return f"Settled: {row.settled_reason}"

        return act(request, verb, back=reverse("admin:trades_difference_change", args=[difference_id]))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        may = {"may_settle": request.user.has_perm(SETTLE)}
        return super().change_view(request, object_id, form_url, {**may, **(extra_context or {})})

    @admin.display(description="about")
    def what(self, row: Difference) -> SafeString | str:
        return link("trades_order", row.order_id, str(row.order)) if row.order_id else row.subject

    @admin.display(description="stands")
    def standing(self, row: Difference) -> str:
        return "waits for a person" if row.settled_at is None else f"settled by {row.settled_by}"

    @admin.display(description="found by")
    def run_link(self, row: Difference) -> SafeString | str:
        if row.run_id is None:
            return "news of one order, between two comparisons"
        return link("trades_reconciliationrun", row.run_id, "a comparison")


@admin.register(Inquiry)
class InquiryAdmin(TradeLedgerAdmin[Inquiry]):
    filled_by = "Each time the venue is asked what became of an unknown order, the answer is kept here."
    connection_path = "order__connection"
    list_display = ("asked_at", "kind", "answer", "code", "order_link")
    list_filter = ("kind", "answer")
    list_select_related = ("order",)
    search_fields = ("=order__id",)
    search_help_text = "The whole id of an order"
    ordering = ("-id",)
    sortable_by = ("asked_at",)
    fields = ("order_link", "kind", "answer", "code", "detail", "asked_at", "since", "until", "fence")
    readonly_fields = ("order_link",)

    def get_urls(self) -> list[URLPattern]:
        return [*unknown.urls(self.admin_site.admin_view), *super().get_urls()]

    @admin.display(description="order")
    def order_link(self, row: Inquiry) -> SafeString:
        url = reverse("admin:trades_unknown", args=[row.order_id])
        return format_html('<a href="{}">{}</a>', url, str(row.order))
