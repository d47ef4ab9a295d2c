"""What was compared with the venues and what differed."""

from django.contrib import admin
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from apps.trades.admin.base import TradeLedgerAdmin, link
from apps.trades.models import Difference, Inquiry, ReconciliationRun

DIFFERENCES_SHOWN_MAX = 20


@admin.register(ReconciliationRun)
class ReconciliationRunAdmin(TradeLedgerAdmin[ReconciliationRun]):
    list_display = ("started_at", "outcome", "connection", "seen", "trigger", "asked_by")
    list_filter = ("outcome", "trigger", ("connection", admin.RelatedOnlyFieldListFilter))
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
    list_display = ("found_at", "kind", "what", "theirs", "connection", "standing")
    list_display_links = ("kind",)
    list_filter = ("kind", ("settled_at", admin.EmptyFieldListFilter), ("connection", admin.RelatedOnlyFieldListFilter))
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
    desk_path = "order__connection__desk"
    list_display = ("asked_at", "kind", "answer", "code", "order_link")
    list_filter = ("kind", "answer")
    list_select_related = ("order",)
    search_fields = ("=order__id",)
    search_help_text = "The whole id of an order"
    ordering = ("-id",)
    sortable_by = ("asked_at",)
    fields = ("order_link", "kind", "answer", "code", "detail", "asked_at", "since", "until", "fence")
    readonly_fields = ("order_link",)

    @admin.display(description="order")
    def order_link(self, row: Inquiry) -> SafeString:
        return link("trades_order", row.order_id, str(row.order))
