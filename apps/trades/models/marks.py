"""The highest worth of what a connection holds: what a drawdown is measured from."""

from django.db import models

from apps.common.fields import ExactDecimalField


class EquityMark(models.Model):
    """What a connection's balances were worth at the middle of the market when last measured, and the highest yet.

    In `currency`, the desk's reporting currency. `totals` are the balances it was measured on, by currency as texts,
    read at `balances_at`; money without a pair with `currency` is `left_out`. Where money came or went without a trade,
    `peak` moves along in proportion, so that neither a deposit hides a fall nor a withdrawal looks like one. Two people
    who reset the latch begin the mark anew.
    """

    connection = models.OneToOneField(
        "connectors.Connection", primary_key=True, on_delete=models.PROTECT, related_name="+"
    )
    currency = models.CharField(max_length=12)
    peak = ExactDecimalField()
    peak_at = models.DateTimeField()
    equity = ExactDecimalField()
    measured_at = models.DateTimeField()
    totals = models.JSONField()
    left_out = models.JSONField(default=list)
    balances_at = models.DateTimeField()

    class Meta:
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.peak} {self.currency} at the highest"
