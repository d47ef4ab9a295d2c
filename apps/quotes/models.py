"""Candles kept, how much of each market's past is known, and what is being filled in. Never one row per tick."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from apps.common.fields import ExactDecimalField
from apps.quotes.rules.candles import Source


class CandleSeries(models.Model):
    """The candles of one length of one instrument, wherever connections share the market's prices.

    Minutes are read from the venue or heard; hours are made of them whenever minutes change, so that a year in days
    reads no half million rows; other lengths have a series only where somebody backfilled them.
    """

    market = models.CharField(max_length=250, help_text="Where prices come from: venue and address.")
    instrument = models.CharField(max_length=40)
    seconds = models.PositiveIntegerField(help_text="Length of a candle.")

    class Meta:
        ordering: ClassVar = ["instrument", "seconds"]
        default_permissions = ("view",)
        verbose_name_plural = "candle series"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["market", "instrument", "seconds"], name="candle_series_once"),
            models.CheckConstraint(condition=Q(seconds__gte=60), name="candle_series_of_minutes"),
        ]

    def __str__(self) -> str:
        return f"{self.instrument} {self.seconds} s"


class Candle(models.Model):
    """One candle; `source` and `is_final` as in `rules.candles.Kept`. The key is the only index: every read is a range
    of one series."""

    pk = models.CompositePrimaryKey("series", "start")
    series = models.ForeignKey(CandleSeries, on_delete=models.PROTECT, related_name="candles", db_index=False)
    start = models.DateTimeField()
    open = ExactDecimalField()
    high = ExactDecimalField()
    low = ExactDecimalField()
    close = ExactDecimalField()
    volume = ExactDecimalField(help_text="In base currency.")
    source = models.PositiveSmallIntegerField(choices=[(one.value, one.name.lower()) for one in Source])
    is_final = models.BooleanField()

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(source__in=[one.value for one in Source]), name="candle_source_known"),
        ]

    def __str__(self) -> str:
        return f"{self.series_id} {self.start:%Y-%m-%d %H:%M}"


class CandleCover(models.Model):
    """From `since` up to `until` the venue has told everything: where no candle is, nothing traded. Spans of one series
    neither touch nor overlap."""

    series = models.ForeignKey(CandleSeries, on_delete=models.PROTECT, related_name="covers", db_index=False)
    since = models.DateTimeField()
    until = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["series", "since"]
        default_permissions = ()
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["series", "since"], name="candle_cover_once"),
            models.CheckConstraint(condition=Q(until__gt=F("since")), name="candle_cover_has_length"),
        ]

    def __str__(self) -> str:
        return f"{self.series_id} {self.since:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M}"


class CandleBackfill(models.Model):
    """One `backfill_candles`: what was asked for and how far it came. `ended_at` is empty while it runs, and stays
    empty where it was killed: `--resume` goes on with it."""

    series = models.ForeignKey(CandleSeries, on_delete=models.PROTECT, related_name="backfills")
    since = models.DateTimeField()
    until = models.DateTimeField()
    started_at = models.DateTimeField()
    progress_at = models.DateTimeField(help_text="When the last page was written.")
    ended_at = models.DateTimeField(null=True, blank=True)
    calls = models.PositiveIntegerField(default=0, help_text="Pages asked of the venue and written.")
    candles = models.PositiveIntegerField(default=0, help_text="Candles the venue told.")

    class Meta:
        ordering: ClassVar = ["-started_at"]
        default_permissions = ("view",)
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(until__gt=F("since")), name="candle_backfill_has_length"),
        ]

    def __str__(self) -> str:
        return f"{self.series} from {self.since:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M}"
