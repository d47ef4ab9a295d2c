"""How far the canceling after a halt has come."""

from django.contrib import admin

from apps.common.lists import SeenRelatedFilter
from apps.trades.admin.base import TradeLedgerAdmin
from apps.trades.models import HaltClearing


@admin.register(HaltClearing)
class HaltClearingAdmin(TradeLedgerAdmin[HaltClearing]):
    filled_by = "A halt opens one for each connection: its open orders are cancelled until the venue lists none twice."
    list_display = ("started_at", "outcome", "connection", "open_orders", "in_flight_orders", "foreign_orders")
    list_filter = ("outcome", ("connection", SeenRelatedFilter))
    list_select_related = ("connection",)
    ordering = ("-started_at",)
    sortable_by = ("started_at",)
    fields = (
        "outcome",
        "connection",
        "halted_at",
        "open_orders",
        "in_flight_orders",
        "foreign_orders",
        "asked_orders",
        "empty_lists",
        "passes",
        "listed_at",
        "next_at",
        "reason_code",
        "reason",
        "started_at",
        "finished_at",
    )
