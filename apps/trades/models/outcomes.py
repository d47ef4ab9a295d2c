"""What was known when a trade was proposed, and how trades made elsewhere ended."""

from typing import ClassVar
from uuid import uuid4

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.common.fields import ExactDecimalField
from apps.connectors.types import Environment, Side


class ProposalFacts(models.Model):
    """The plan of a proposal and the facts at the moment it was judged, frozen: its outcome is held against these.

    `facts` is a list of {name, value, unit, limit, violated}, decimals as text; null where it could not be known, and
    `told` where the proposer states it.
    Prices in quote currency per one base unit.
    """

    proposal = models.OneToOneField(
        "trades.Proposal", on_delete=models.PROTECT, primary_key=True, related_name="known_then"
    )
    setup = models.CharField(max_length=80, blank=True)
    stop = ExactDecimalField(null=True)
    target = ExactDecimalField(null=True)
    entry = ExactDecimalField(null=True, help_text="The price it was judged at.")
    regime = models.CharField(max_length=20, blank=True)
    facts = models.JSONField(default=list)
    version = models.PositiveSmallIntegerField(help_text="Of the detectors.")
    recorded_at = models.DateTimeField()

    class Meta:
        default_permissions = ("view",)
        verbose_name_plural = "proposal facts"
        ordering = ("-recorded_at",)
        indexes = (models.Index(fields=["recorded_at", "proposal"], name="proposal_facts_recent"),)

    def __str__(self) -> str:
        return f"Known of {self.proposal_id}"


class ReportedOutcome(models.Model):
    """How a trade ended that Aika cannot reckon itself: made elsewhere (`trade_id`, the reporter's own), or an order of
    Aika that sold what it did not buy (`order`). Money in `quote_currency`; `side` is the side of the entry; `pnl` is
    after `fees` and follows from the other numbers. `reporter_key` is the name of an API key.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    desk = models.ForeignKey("accounts.Desk", on_delete=models.PROTECT, related_name="+")
    order = models.OneToOneField("trades.Order", null=True, on_delete=models.PROTECT, related_name="reported_outcome")
    trade_id = models.CharField(max_length=80, blank=True)
    environment = models.CharField(max_length=5, choices=[(one.value, one.value) for one in Environment])
    instrument = models.CharField(max_length=40)
    asset_class = models.CharField(max_length=20, blank=True)
    quote_currency = models.CharField(max_length=12)
    side = models.CharField(max_length=4, choices=[(one.value, one.value) for one in Side])
    quantity = ExactDecimalField()
    entry_price = ExactDecimalField()
    exit_price = ExactDecimalField()
    fees = ExactDecimalField(default=0)
    pnl = ExactDecimalField()
    pnl_pct = ExactDecimalField(null=True)
    opened_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField()
    thesis = models.TextField(blank=True)
    setup = models.CharField(max_length=80, blank=True)
    planned_stop = ExactDecimalField(null=True)
    planned_target = ExactDecimalField(null=True)
    exit_reason = models.CharField(max_length=80, blank=True)
    notes = models.TextField(blank=True)
    tags = models.JSONField(default=list)
    facts = models.JSONField(null=True, help_text="What is told of the moment it was decided, decimals as text.")
    reporter = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    reporter_key = models.CharField(max_length=200, blank=True)
    reported_at = models.DateTimeField()

    class Meta:
        default_permissions = ("view",)
        ordering = ("-reported_at",)
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["desk", "trade_id"], condition=~Q(trade_id=""), name="reported_outcome_once_per_trade"
            ),
            models.CheckConstraint(
                condition=Q(order__isnull=True) & ~Q(trade_id="") | Q(order__isnull=False, trade_id=""),
                name="reported_outcome_of_one_trade",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["desk", "closed_at"], name="reported_outcome_closed")]

    def __str__(self) -> str:
        return f"{self.quantity} {self.instrument} closed at {self.exit_price}"
