"""How far the canceling after a halt has come, connection by connection."""

from uuid import uuid4

from django.db import models
from django.db.models import Q

from apps.trades.types import ClearingOutcome


class HaltClearing(models.Model):
    """The canceling of everything of ours that is open on one connection, because trading was halted at `halted_at`.

    A pass asks for cancels and then lists what is open at the venue. `empty_lists` counts lists in a row after which
    nothing of ours was open, there or in our rows: two end it. `open_orders` and `foreign_orders` are what the last
    list showed (ours, and others that are left alone), `in_flight_orders` what may still turn up there.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    connection = models.ForeignKey("connectors.Connection", on_delete=models.PROTECT, related_name="+")
    halted_at = models.DateTimeField()
    outcome = models.CharField(
        max_length=8, choices=[(word.value, word.value.capitalize()) for word in ClearingOutcome]
    )
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    next_at = models.DateTimeField()
    passes = models.PositiveIntegerField(default=0)
    listed_at = models.DateTimeField(null=True)
    open_orders = models.PositiveIntegerField(null=True)
    in_flight_orders = models.PositiveIntegerField(default=0)
    foreign_orders = models.PositiveIntegerField(default=0)
    asked_orders = models.PositiveIntegerField(default=0)
    empty_lists = models.PositiveSmallIntegerField(default=0)
    reason_code = models.CharField(max_length=80, blank=True)
    reason = models.TextField(blank=True)

    class Meta:
        default_permissions = ("view",)
        ordering = ("-started_at",)
        constraints = (
            models.UniqueConstraint(fields=("connection", "halted_at"), name="clearing_once_per_halt"),
            models.UniqueConstraint(
                fields=("connection",), condition=Q(outcome="RUNNING"), name="clearing_one_at_a_time"
            ),
            models.CheckConstraint(
                condition=Q(outcome="RUNNING", finished_at__isnull=True)
                | (~Q(outcome="RUNNING") & Q(finished_at__isnull=False)),
                name="clearing_ends_with_an_outcome",
            ),
        )

    def __str__(self) -> str:
        return f"{self.get_outcome_display()} after the halt of {self.halted_at:%Y-%m-%d %H:%M:%S}"
