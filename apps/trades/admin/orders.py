"""Orders and their fills."""

from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.common.lists import SeenRelatedFilter, among
from apps.connectors.types import Side, TradeType
from apps.trades.admin.base import TradeLedgerAdmin, exact, link, story_link, wire_bytes
from apps.trades.admin.cancels import cancel_view
from apps.trades.models import Fill, Order
from apps.trades.selectors.orders import offers_cancel
from apps.trades.types import OrderState

if TYPE_CHECKING:
    from apps.accounts.models import User

FILLS_SHOWN_MAX = 20


@admin.register(Order)
class OrderAdmin(TradeLedgerAdmin[Order]):
    filled_by = "An approved proposal becomes exactly one order; nothing else does."
    list_display = ("created_at", "what", "state", "reason_code", "filled", "average", "connection", "story")
    list_display_links = ("what",)
    list_filter = ("state", ("side", among(Side)), ("connection", SeenRelatedFilter))
    list_select_related = ("connection", "proposal")
    search_fields = ("=id", "=client_order_id", "=venue_order_id", "^instrument")
    search_help_text = "A whole id (ours or the venue's), or the beginning of an instrument"
    ordering = ("-created_at",)
    sortable_by = ("created_at",)
    fieldsets = (
        (None, {"fields": ("story", "state", "fate", "reason_code", "reason", "connection", "instrument", "side")}),
        ("Quantities and money", {"fields": ("asked", "filled", "average", "fee_text", "worst", "reserved", "fills")}),
        (
            "Canceling",
            {
                "fields": (
                    "cancel_requested_at",
                    "cancel_requested_by",
                    "cancel_reason",
                    "cancel_attempts",
                    "cancel_next_at",
                )
            },
        ),
        (
            "On its way",
            {
                "fields": (
                    "attempt",
                    "created_at",
                    "submitted_at",
                    "accepted_at",
                    "polled_at",
                    "closed_at",
                    "fence",
                    "lease_until",
                    "next_attempt_at",
                )
            },
        ),
        (
            "What was sent",
            {"fields": ("client_order_id", "venue_order_id", "request_text", "request_digest", "authority")},
        ),
    )
    readonly_fields = (
        "story",
        "fate",
        "asked",
        "filled",
        "average",
        "fee_text",
        "worst",
        "reserved",
        "fills",
        "request_text",
    )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.cancel_view)
        return [path("<uuid:order_id>/cancel/", view, name="trades_order_cancel"), *super().get_urls()]

    def cancel_view(self, request: HttpRequest, order_id: UUID) -> HttpResponse:
        """What a cancel would do, and the request for one."""
        return cancel_view(self.admin_site, request, order_id)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        order = self.get_object(request, object_id)
        context = {"offers_cancel": offers_cancel(cast("User", request.user), order)}
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    @admin.display(description="what")
    def what(self, row: Order) -> str:
        return f"{row.side.capitalize()} {exact(row.quantity)} {row.instrument}"

    @admin.display(description="story")
    def story(self, row: Order) -> SafeString:
        return story_link(row.proposal_id, row.proposal.label)

    @admin.display(description="what became of it")
    def fate(self, row: Order) -> SafeString | str:
        if row.state != OrderState.UNKNOWN and not row.inquiries.exists():
            return "as the state says"
        url = reverse("admin:trades_unknown", args=[row.pk])
        text = "Nobody knows yet: what was asked, and what two people may say"
        return format_html(
            '<a href="{}">{}</a>', url, text if row.state == OrderState.UNKNOWN else "How it was found out"
        )

    @admin.display(description="quantity (base)")
    def asked(self, row: Order) -> str:
        return exact(row.quantity)

    @admin.display(description="filled (base)")
    def filled(self, row: Order) -> str:
        return exact(row.filled_quantity)

    @admin.display(description="price on average")
    def average(self, row: Order) -> str:
        return exact(row.average_fill_price)

    @admin.display(description="fees")
    def fee_text(self, row: Order) -> str:
        return f"{exact(row.fees)} {row.fee_currency}".strip()

    @admin.display(description="worst price")
    def worst(self, row: Order) -> str:
        return exact(row.worst_price)

    @admin.display(description="reserved")
    def reserved(self, row: Order) -> str:
        return f"{exact(row.reserved_amount)} {row.reserved_currency}"

    @admin.display(description="request, as sent")
    def request_text(self, row: Order) -> SafeString:
        return wire_bytes(row.request_body)

    @admin.display(description="fills")
    def fills(self, row: Order) -> SafeString | str:
        rows = list(row.fills.order_by("occurred_at")[: FILLS_SHOWN_MAX + 1])
        shown = format_html_join(
            "",
            "<div>{} {}</div>",
            (
                (link("trades_fill", fill.pk, f"{fill.occurred_at:%H:%M:%S}"), str(fill))
                for fill in rows[:FILLS_SHOWN_MAX]
            ),
        )
        return shown if rows else "None yet"


@admin.register(Fill)
class FillAdmin(TradeLedgerAdmin[Fill]):
    filled_by = "The venue reports each fill of an order; it comes by its channel, and by polling."
    list_display = ("occurred_at", "what", "at_price", "fee_text", "trade_type", "connection", "story")
    list_display_links = ("what",)
    list_filter = (("trade_type", among(TradeType)), ("side", among(Side)), ("connection", SeenRelatedFilter))
    list_select_related = ("connection", "order__proposal")
    search_fields = ("=id", "=venue_fill_id", "=order__id", "^instrument")
    search_help_text = "A whole id (ours or the venue's), or the beginning of an instrument"
    ordering = ("-occurred_at",)
    sortable_by = ("occurred_at",)
    fields = (
        "story",
        "order_link",
        "connection",
        "instrument",
        "side",
        "what",
        "at_price",
        "fee_text",
        "liquidity",
        "trade_type",
        "venue_fill_id",
        "trade_id",
        "occurred_at",
        "received_at",
        "recorded_at",
    )
    readonly_fields = ("story", "order_link", "what", "at_price", "fee_text")

    @admin.display(description="what")
    def what(self, row: Fill) -> str:
        return f"{row.side.capitalize()} {exact(row.quantity)} {row.instrument}"

    @admin.display(description="price")
    def at_price(self, row: Fill) -> str:
        return exact(row.price)

    @admin.display(description="fee")
    def fee_text(self, row: Fill) -> str:
        return f"{exact(row.fee)} {row.fee_currency}"

    @admin.display(description="order")
    def order_link(self, row: Fill) -> SafeString:
        return link("trades_order", row.order_id, str(row.order))

    @admin.display(description="story")
    def story(self, row: Fill) -> SafeString:
        return story_link(row.order.proposal_id, row.order.proposal.label)
