"""What was known when a trade was proposed, and what was reported of trades made elsewhere."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import QuerySet
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from apps.accounts.selectors import page_desks_of
from apps.common.lists import SeenRelatedFilter
from apps.trades.admin.base import TradeLedgerAdmin, exact, link, story_link
from apps.trades.models import ProposalFacts, ReportedOutcome

if TYPE_CHECKING:
    from apps.accounts.models import User


@admin.register(ProposalFacts)
class ProposalFactsAdmin(TradeLedgerAdmin[ProposalFacts]):
    filled_by = "What the market showed when a proposal was judged is kept here with it."
    connection_path = "proposal__connection"
    list_display = ("recorded_at", "story", "setup", "stop_text", "target_text", "broken", "regime")
    list_display_links = ("recorded_at",)
    list_select_related = ("proposal",)
    search_fields = ("=proposal__id",)
    search_help_text = "The whole id of a proposal"
    ordering = ("-recorded_at",)
    sortable_by = ("recorded_at",)
    fields = ("story", "setup", "entry_text", "stop_text", "target_text", "regime", "known", "version", "recorded_at")
    readonly_fields = ("story", "entry_text", "stop_text", "target_text", "known")

    @admin.display(description="story")
    def story(self, row: ProposalFacts) -> SafeString:
        return story_link(row.proposal_id, row.proposal.label)

    @admin.display(description="judged at")
    def entry_text(self, row: ProposalFacts) -> str:
        return exact(row.entry)

    @admin.display(description="planned stop")
    def stop_text(self, row: ProposalFacts) -> str:
        return exact(row.stop)

    @admin.display(description="planned target")
    def target_text(self, row: ProposalFacts) -> str:
        return exact(row.target)

    @admin.display(description="broken")
    def broken(self, row: ProposalFacts) -> str:
        return ", ".join(fact["name"] for fact in row.facts if fact["violated"]) or "\u2013"

    @admin.display(description="what was known")
    def known(self, row: ProposalFacts) -> SafeString:
        return format_html_join("", "<div>{}: {}</div>", ((fact["name"], _words(fact)) for fact in row.facts))


@admin.register(ReportedOutcome)
class ReportedOutcomeAdmin(TradeLedgerAdmin[ReportedOutcome]):
    filled_by = "Trades made elsewhere come here by `POST /api/v1/trades/outcome` and by `manage.py backfill_lessons`."
    list_display = ("closed_at", "what", "result", "desk", "reporter", "reported_at")
    list_display_links = ("what",)
    list_filter = (("desk", SeenRelatedFilter),)
    list_select_related = ("desk", "reporter")
    search_fields = ("=id", "=trade_id", "=order__id", "^instrument")
    search_help_text = "A whole id, the reporter's name of the trade, or the beginning of an instrument"
    ordering = ("-closed_at",)
    sortable_by = ("closed_at", "reported_at")
    fields = (
        "what",
        "trade_id",
        "order_link",
        "desk",
        "environment",
        "entry",
        "exit",
        "result",
        "fee_text",
        "opened_at",
        "closed_at",
        "thesis",
        "setup",
        "plan",
        "exit_reason",
        "notes",
        "tags",
        "reporter",
        "reporter_key",
        "reported_at",
    )
    readonly_fields = ("what", "order_link", "entry", "exit", "result", "fee_text", "plan")

    def seen_by(self, person: "User", rows: QuerySet[ReportedOutcome]) -> QuerySet[ReportedOutcome]:
        return rows.filter(desk__in=page_desks_of(person))

    @admin.display(description="what")
    def what(self, row: ReportedOutcome) -> str:
        way = "long" if row.side == "BUY" else "short"
        return f"{exact(row.quantity)} {row.instrument}, {way}"

    @admin.display(description="entered at")
    def entry(self, row: ReportedOutcome) -> str:
        return exact(row.entry_price)

    @admin.display(description="left at")
    def exit(self, row: ReportedOutcome) -> str:
        return exact(row.exit_price)

    @admin.display(description="result, after fees")
    def result(self, row: ReportedOutcome) -> str:
        return f"{exact(row.pnl)} {row.quote_currency}"

    @admin.display(description="fees")
    def fee_text(self, row: ReportedOutcome) -> str:
        return f"{exact(row.fees)} {row.quote_currency}"

    @admin.display(description="planned stop and target")
    def plan(self, row: ReportedOutcome) -> str:
        return f"{exact(row.planned_stop)} and {exact(row.planned_target)}"

    @admin.display(description="order")
    def order_link(self, row: ReportedOutcome) -> SafeString | str:
        return link("trades_order", row.order_id, str(row.order)) if row.order_id else "made elsewhere"


def _words(fact: dict[str, Any]) -> str:
    if fact["value"] is None:
        return "not known"
    limit = f", limit {fact['limit']}" if fact["limit"] is not None else ""
    told = ", as the proposer states" if fact.get("told") else ""
    return f"{fact['value']} {fact['unit']}{limit}{' - broken' if fact['violated'] else ''}{told}"
