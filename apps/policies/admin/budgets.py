"""Budgets and what is reserved of them: how much room there is, and who holds the rest. Nobody changes them here."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.common import words
from apps.common.admin import ReadOnlyAdmin
from apps.common.lists import SeenRelatedFilter
from apps.common.money import from_minor
from apps.connectors.selectors import page_connections_of
from apps.policies.admin.base import MayRead
from apps.policies.models import Budget, Reservation, ReservedAmount
from apps.policies.rules.budgets import Dimension, ReservationState

if TYPE_CHECKING:
    from apps.accounts.models import User

HOLDERS_SHOWN_MAX = 20


class _OfOwnDesks(MayRead, ReadOnlyAdmin[Any]):
    """Rows of the desks a person sits at; a superuser sees every desk's."""

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return MayRead.has_view_permission(self, request, obj)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        user = cast("User", request.user)
        return rows if user.is_superuser else rows.filter(connection__in=page_connections_of(user))


@admin.register(Budget)
class BudgetAdmin(_OfOwnDesks):
    """One row per sum that is limited. The newest move first."""

    filled_by = "A limit of an active policy makes one, with the first proposal that it covers."

    list_display = ("what", "connection", "reserved", "used", "limit", "room", "updated_at")
    list_display_links = ("what",)
    list_filter = ("dimension", ("connection", SeenRelatedFilter))
    list_select_related = ("connection",)
    search_fields = ("^instrument", "=window")
    search_help_text = "The beginning of an instrument, or a day such as 2026-03-02"
    ordering = ("-updated_at", "-id")
    sortable_by = ("updated_at",)
    fields = (
        "what",
        "connection",
        "counts",
        "reserved",
        "used",
        "limit",
        "room",
        "holders",
        "created_at",
        "updated_at",
    )
    readonly_fields = ("what", "counts", "reserved", "used", "limit", "room", "holders")

    @admin.display(description="what")
    def what(self, row: Budget) -> str:
        about = " ".join(part for part in (row.instrument, row.window) if part)
        return f"{row.get_dimension_display()} {about}".strip()

    @admin.display(description="what it counts")
    def counts(self, row: Budget) -> str:
        return Dimension(row.dimension).explained

    @admin.display(description="reserved, not executed")
    def reserved(self, row: Budget) -> str:
        return _shown(row.reserved_minor, row)

    @admin.display(description="used")
    def used(self, row: Budget) -> str:
        return _shown(row.used_minor, row)

    @admin.display(description="limit")
    def limit(self, row: Budget) -> str:
        return "none" if row.limit_minor is None else _shown(row.limit_minor, row, ROUND_FLOOR)

    @admin.display(description="room left")
    def room(self, row: Budget) -> SafeString | str:
        if row.limit_minor is None:
            return "no limit"
        left = row.limit_minor - row.in_use_minor
        if left < 0:
            over = _shown(-left, row)
            return format_html('<strong class="bad">none: {} over the limit</strong>', over)
        taken = from_minor(row.in_use_minor) / from_minor(row.limit_minor)
        return f"{_shown(left, row, ROUND_FLOOR)} ({words.percent(taken)} taken)"

    @admin.display(description="held by")
    def holders(self, row: Budget) -> SafeString | str:
        found = row.amounts.filter(held_minor__gt=0).select_related("reservation").order_by("-reservation__held_at")
        rows = list(found[: HOLDERS_SHOWN_MAX + 1])
        shown = format_html_join(
            "",
            '<div>{} since {} UTC by <a href="{}">{}</a></div>',
            (
                (
                    _shown(amount.held_minor, row),
                    f"{amount.reservation.held_at:%Y-%m-%d %H:%M:%S}",
                    reverse("admin:policies_reservation_change", args=[amount.reservation_id]),
                    amount.reservation.source,
                )
                for amount in rows[:HOLDERS_SHOWN_MAX]
            ),
        )
        more = " and more" if len(rows) > HOLDERS_SHOWN_MAX else ""
        return format_html("{}{}", shown, more) if rows else "Nobody"


@admin.register(Reservation)
class ReservationAdmin(_OfOwnDesks):
    """One row per approved order."""

    filled_by = "An approval reserves what its order may cost at worst; a fill moves it, proof releases it."

    list_display = ("held_at", "source", "status", "connection", "ended_at")
    list_display_links = ("source",)
    list_filter = ("state", ("connection", SeenRelatedFilter))
    list_select_related = ("connection",)
    search_fields = ("=source",)
    search_help_text = "The whole id of an order"
    ordering = ("-held_at",)
    sortable_by = ("held_at",)
    fields = ("source", "connection", "status", "amounts_text", "rate", "held_at", "ended_at")
    readonly_fields = ("status", "amounts_text")

    @admin.display(description="state")
    def status(self, row: Reservation) -> str:
        if row.state == ReservationState.HELD:
            return "Held"
        ended = "used by fills" if row.state == ReservationState.CONSUMED else "given back"
        return f"{row.get_state_display()}: {ended}, the order is {row.reason.replace('_', ' ').lower()}"

    @admin.display(description="of which budgets")
    def amounts_text(self, row: Reservation) -> SafeString:
        rows = row.amounts.filter(amount_minor__gt=0).select_related("budget").order_by("budget_id")
        return format_html(
            '<table class="grid"><thead><tr><th>Budget</th><th>Reserved</th><th>Still held</th><th>Used</th></tr>'
            "</thead><tbody>{}</tbody></table>",
            format_html_join(
                "",
                '<tr><td><a href="{}">{}</a></td><td>{}</td><td>{}</td><td>{}</td></tr>',
                (
                    (
                        reverse("admin:policies_budget_change", args=[amount.budget_id]),
                        str(amount.budget),
                        _shown(amount.amount_minor, amount.budget),
                        _shown(amount.held_minor, amount.budget),
                        _used(amount),
                    )
                    for amount in rows
                ),
            ),
        )


def _used(amount: ReservedAmount) -> str:
    if Dimension(amount.budget.dimension).is_level:
        return "by the position"
    return _shown(amount.used_minor, amount.budget)


def _shown(minor: int, budget: Budget, rounding: str = ROUND_CEILING) -> str:
    """Money with two decimals, rounded up unless told otherwise; units with all they have."""
    value: Decimal = from_minor(minor)
    places = None if budget.dimension == Dimension.POSITION_QUANTITY else 2
    return f"{words.grouped(value, places=places, rounding=rounding)} {budget.unit}"
