"""Which candles are kept, how far back without a gap, and which backfills ran. Nothing is changed here."""

from django.contrib import admin
from django.db.models import Count, Max, Min, QuerySet
from django.http import HttpRequest

from apps.common.admin import ReadOnlyAdmin
from apps.quotes.models import CandleBackfill, CandleSeries
from apps.quotes.types import Length

_LENGTHS = {length.seconds: length.value for length in Length}


def _length(seconds: int) -> str:
    return _LENGTHS.get(seconds, f"{seconds} s")


@admin.register(CandleSeries)
class CandleSeriesAdmin(ReadOnlyAdmin[CandleSeries]):
    filled_by = "A running feed makes candles of each instrument; `manage.py backfill_candles` brings older ones."
    list_display = ("instrument", "length", "market", "known", "gaps")
    search_fields = ("^instrument",)
    search_help_text = "The beginning of an instrument"
    ordering = ("instrument", "seconds")
    sortable_by = ("instrument",)
    fields = ("instrument", "length", "market", "known", "gaps")
    readonly_fields = ("length", "known", "gaps")

    def get_queryset(self, request: HttpRequest) -> QuerySet[CandleSeries]:
        return (
            super()
            .get_queryset(request)
            .annotate(known_since=Min("covers__since"), known_until=Max("covers__until"), spans=Count("covers"))
        )

    @admin.display(description="candles of")
    def length(self, row: CandleSeries) -> str:
        return _length(row.seconds)

    @admin.display(description="told by the venue (UTC)")
    def known(self, row: CandleSeries) -> str:
        since, until = getattr(row, "known_since", None), getattr(row, "known_until", None)
        if since is None or until is None:
            return "made here of minutes" if row.seconds == Length.H1.seconds else "nothing yet"
        return f"{since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M}"

    @admin.display(description="gaps in it")
    def gaps(self, row: CandleSeries) -> str:
        return str(max(getattr(row, "spans", 0) - 1, 0))


@admin.register(CandleBackfill)
class CandleBackfillAdmin(ReadOnlyAdmin[CandleBackfill]):
    filled_by = "`manage.py backfill_candles` and the repair of gaps leave one each."
    list_display = ("started_at", "instrument", "length", "since", "until", "state", "calls", "candles")
    list_select_related = ("series",)
    search_fields = ("^series__instrument",)
    search_help_text = "The beginning of an instrument"
    ordering = ("-started_at",)
    sortable_by = ("started_at",)
    fields = ("series", "since", "until", "started_at", "progress_at", "ended_at", "state", "calls", "candles")
    readonly_fields = ("state",)

    @admin.display(description="instrument")
    def instrument(self, row: CandleBackfill) -> str:
        return row.series.instrument

    @admin.display(description="candles of")
    def length(self, row: CandleBackfill) -> str:
        return _length(row.series.seconds)

    @admin.display(description="state")
    def state(self, row: CandleBackfill) -> str:
        return "complete" if row.ended_at else "not at its end: runs, or goes on with --resume"
