"""Proposals and authorities: what was asked, and what gave the right to send it."""

from django.contrib import admin
from django.utils.safestring import SafeString

from apps.common import words
from apps.common.lists import SeenRelatedFilter, among
from apps.connectors.types import OrderType, Side
from apps.trades.admin.base import TradeLedgerAdmin, exact, story_link, wire_bytes
from apps.trades.models import Authority, Proposal
from apps.trades.selectors.pages import short_line


@admin.register(Proposal)
class ProposalAdmin(TradeLedgerAdmin[Proposal]):
    filled_by = "Programs and staff propose by `POST /api/v1/trades/proposals`; `/api/v1/docs` shows how."
    list_display = ("created_at", "what", "state", "connection", "proposer", "expires_at", "story")
    list_display_links = ("what",)
    list_filter = ("state", ("side", among(Side)), ("order_type", among(OrderType)), ("connection", SeenRelatedFilter))
    list_select_related = ("connection", "proposer")
    search_fields = ("=id", "=client_order_id", "^instrument", "^proposer__username")
    search_help_text = "A whole id, or the beginning of an instrument or a user name"
    ordering = ("-created_at",)
    sortable_by = ("created_at", "expires_at")
    fieldsets = (
        (None, {"fields": ("story", "state", "created_at", "expires_at", "ended_at", "end_code", "end_reason")}),
        (
            "What is asked",
            {
                "description": "Columns that repeat the frozen terms; the bytes below are what counts.",
                "fields": (
                    "connection",
                    "instrument",
                    "side",
                    "order_type",
                    "time_in_force",
                    "exact_quantity",
                    "exact_quote_quantity",
                    "exact_limit_price",
                    "exact_stop_price",
                    "not_after",
                ),
            },
        ),
        ("Who", {"fields": ("proposer", "api_key", "supersedes", "said", "tags", "confidence")}),
        ("What policy said", {"fields": ("decision", "exact_notional", "exact_worst_price", "needed", "roles")}),
        (
            "Frozen bytes",
            {"fields": ("terms_text", "digest", "client_order_id", "request_text", "request_digest")},
        ),
    )
    readonly_fields = (
        "story",
        "exact_quantity",
        "exact_quote_quantity",
        "exact_limit_price",
        "exact_stop_price",
        "exact_notional",
        "exact_worst_price",
        "said",
        "terms_text",
        "request_text",
    )

    @admin.display(description="what")
    def what(self, row: Proposal) -> str:
        return short_line(row)

    @admin.display(description="story")
    def story(self, row: Proposal) -> SafeString:
        return story_link(row.pk, row.label)

    @admin.display(description="quantity (base)")
    def exact_quantity(self, row: Proposal) -> str:
        return exact(row.quantity)

    @admin.display(description="quote quantity")
    def exact_quote_quantity(self, row: Proposal) -> str:
        return exact(row.quote_quantity)

    @admin.display(description="limit price")
    def exact_limit_price(self, row: Proposal) -> str:
        return exact(row.limit_price)

    @admin.display(description="stop price")
    def exact_stop_price(self, row: Proposal) -> str:
        return exact(row.stop_price)

    @admin.display(description="notional at worst")
    def exact_notional(self, row: Proposal) -> str:
        return exact(row.notional)

    @admin.display(description="worst price")
    def exact_worst_price(self, row: Proposal) -> str:
        return exact(row.worst_price)

    @admin.display(description="what the proposer wrote (unverified)")
    def said(self, row: Proposal) -> str:
        return "".join(words.bare_code(letter) if words.is_hidden(letter) else letter for letter in row.rationale)

    @admin.display(description="terms")
    def terms_text(self, row: Proposal) -> SafeString:
        return wire_bytes(row.terms)

    @admin.display(description="request to the venue")
    def request_text(self, row: Proposal) -> SafeString:
        return wire_bytes(row.request_body)


@admin.register(Authority)
class AuthorityAdmin(TradeLedgerAdmin[Authority]):
    """The rights to send: who approved (or that policy asked nobody), on which price, until when."""

    filled_by = "A proposal that has all its approvals gets one: the right to send one order."
    connection_path = "proposal__connection"
    list_display = ("created_at", "what", "who_approved", "valid_until", "story")
    list_display_links = ("what",)
    list_select_related = ("proposal", "policy_version")
    search_fields = ("=id", "=proposal__id", "=digest")
    search_help_text = "A whole id or digest"
    ordering = ("-created_at",)
    sortable_by = ("created_at",)
    fields = (
        "story",
        "created_at",
        "valid_until",
        "environment",
        "who_approved",
        "needed",
        "roles",
        "approvers",
        "exact_reference_mid",
        "exact_seen_price",
        "seen_at",
        "decision",
        "policy_version",
        "digest",
        "request_digest",
    )
    readonly_fields = ("story", "who_approved", "exact_reference_mid", "exact_seen_price")

    @admin.display(description="what")
    def what(self, row: Authority) -> str:
        return short_line(row.proposal)

    @admin.display(description="story")
    def story(self, row: Authority) -> SafeString:
        return story_link(row.proposal_id, row.proposal.label)

    @admin.display(description="approved by")
    def who_approved(self, row: Authority) -> str:
        return row.waiver or f"{words.count(len(row.approvers))} of {words.count(row.needed)} needed"

    @admin.display(description="middle of the market then")
    def exact_reference_mid(self, row: Authority) -> str:
        return exact(row.reference_mid)

    @admin.display(description="price seen by who approved last")
    def exact_seen_price(self, row: Authority) -> str:
        return exact(row.seen_price)
