"""What trading led to: positions and outcomes."""

from urllib.parse import urlencode

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from apps.common import words
from apps.common.lists import SeenRelatedFilter
from apps.trades.admin.base import TradeLedgerAdmin, exact, link, story_link
from apps.trades.models import EquityMark, Outcome, Position


@admin.register(Position)
class PositionAdmin(TradeLedgerAdmin[Position]):
    filled_by = "The first fill of a connection and an instrument opens one."
    list_display = ("instrument", "held", "entry", "realized", "connection", "updated_at")
    list_filter = (("connection", SeenRelatedFilter),)
    list_select_related = ("connection",)
    search_fields = ("^instrument",)
    search_help_text = "The beginning of an instrument"
    ordering = ("instrument",)
    sortable_by = ("instrument", "updated_at")
    fields = ("connection", "instrument", "held", "entry", "fees_open", "realized", "came_about", "updated_at")
    readonly_fields = ("held", "entry", "fees_open", "realized", "came_about")

    @admin.display(description="came about by")
    def came_about(self, row: Position) -> SafeString:
        """The orders and the fills of this connection and instrument; whoever sees the position sees those."""
        asked = urlencode({"connection__id__exact": row.connection_id, "q": row.instrument})
        return format_html_join(
            ", ",
            '<a href="{}?{}">its {}</a>',
            ((reverse(f"admin:trades_{name}_changelist"), asked, f"{name}s") for name in ("order", "fill")),
        )

    @admin.display(description="held, of known cost")
    def held(self, row: Position) -> str:
        return f"{exact(row.quantity)} {row.base_currency}"

    @admin.display(description="bought at, on average")
    def entry(self, row: Position) -> str:
        return f"{exact(row.average_entry_price)} {row.quote_currency}" if row.average_entry_price else "\u2013"

    @admin.display(description="fees paid for what is held")
    def fees_open(self, row: Position) -> str:
        return f"{exact(row.open_fees)} {row.quote_currency}"

    @admin.display(description="realised, after fees")
    def realized(self, row: Position) -> str:
        return f"{exact(row.realized_pnl)} {row.quote_currency}"


@admin.register(Outcome)
class OutcomeAdmin(TradeLedgerAdmin[Outcome]):
    filled_by = "A position that closes or shrinks leaves one, with what it earned or lost."
    list_display = ("closed_at", "what", "result", "connection", "story")
    list_display_links = ("what",)
    list_filter = (("connection", SeenRelatedFilter),)
    list_select_related = ("connection", "order__proposal")
    search_fields = ("=id", "=order__id", "^instrument")
    search_help_text = "A whole id, or the beginning of an instrument"
    ordering = ("-closed_at",)
    sortable_by = ("closed_at",)
    fields = (
        "story",
        "order_link",
        "connection",
        "instrument",
        "what",
        "entry",
        "exit",
        "result",
        "fee_text",
        "opened_at",
        "closed_at",
        "held_for",
    )
    readonly_fields = ("story", "order_link", "what", "entry", "exit", "result", "fee_text", "held_for")

    @admin.display(description="what")
    def what(self, row: Outcome) -> str:
        return f"{exact(row.quantity)} {row.instrument} closed"

    @admin.display(description="bought at")
    def entry(self, row: Outcome) -> str:
        return exact(row.entry_price) if row.entry_price is not None else "not known"

    @admin.display(description="sold at")
    def exit(self, row: Outcome) -> str:
        return exact(row.exit_price)

    @admin.display(description="result, after fees")
    def result(self, row: Outcome) -> str:
        return f"{exact(row.pnl)} {row.quote_currency}" if row.pnl is not None else "cost not known"

    @admin.display(description="fees")
    def fee_text(self, row: Outcome) -> str:
        return f"{exact(row.fees)} {row.quote_currency}"

    @admin.display(description="held for")
    def held_for(self, row: Outcome) -> str:
        if row.opened_at is None:
            return "not known: it was not bought here"
        return words.span(words.seconds_between(row.opened_at, row.closed_at))

    @admin.display(description="order")
    def order_link(self, row: Outcome) -> SafeString:
        return link("trades_order", row.order_id, str(row.order))

    @admin.display(description="story")
    def story(self, row: Outcome) -> SafeString:
        return story_link(row.order.proposal_id, row.order.proposal.label)


@admin.register(EquityMark)
class EquityMarkAdmin(TradeLedgerAdmin[EquityMark]):
    filled_by = "A running beat marks what each connection is worth; `manage.py doctor` says whether it runs."
    list_display = ("connection", "highest", "peak_at", "worth", "measured_at")
    list_select_related = ("connection",)
    ordering = ("connection",)
    sortable_by = ("measured_at",)
    fields = ("connection", "highest", "peak_at", "worth", "measured_at", "balances_at", "totals", "left_out")
    readonly_fields = ("highest", "worth")

    @admin.display(description="highest worth yet")
    def highest(self, row: EquityMark) -> str:
        return f"{exact(row.peak)} {row.currency}"

    @admin.display(description="worth when last measured")
    def worth(self, row: EquityMark) -> str:
        return f"{exact(row.equity)} {row.currency}"
