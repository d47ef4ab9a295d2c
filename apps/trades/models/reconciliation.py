"""What was compared with the venue, what differed, and what was asked about orders whose fate is not known."""

from uuid import uuid4

from django.db import models
from django.db.models import Q

from apps.trades.types import DifferenceKind, InquiryAnswer, InquiryKind, RunOutcome, RunTrigger


def _choices(
    words: type[RunOutcome | RunTrigger | DifferenceKind | InquiryKind | InquiryAnswer],
) -> list[tuple[str, str]]:
    return [(word.value, word.value.replace("_", " ").capitalize()) for word in words]


class ReconciliationRun(models.Model):
    """One comparison of a connection's rows with its venue. What it found is written once, when it ends.

    Until then it renews its lease; one that runs out says that its process died (see services/run_leases.py).

    Orders created and fills made in [since, until) were asked for, besides every order that still works. `counts` says
    how many of what; `balances` are the venue's totals by currency, as text, where they could be compared, and
    `counted_fills` the fills of the last minutes that those totals show. Both are where the next run goes on.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    connection = models.ForeignKey("connectors.Connection", on_delete=models.PROTECT, related_name="+")
    trigger = models.CharField(max_length=10, choices=_choices(RunTrigger))
    asked_by = models.CharField(max_length=200)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)
    since = models.DateTimeField()
    until = models.DateTimeField()
    outcome = models.CharField(max_length=12, choices=_choices(RunOutcome), default=RunOutcome.RUNNING)
    counts = models.JSONField(default=dict)
    balances = models.JSONField(null=True)
    counted_fills = models.JSONField(default=list)
    reason_code = models.CharField(max_length=80, blank=True)
    reason = models.TextField(blank=True)

    class Meta:
        default_permissions = ("view",)
        ordering = ("-started_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("connection",), condition=Q(outcome="RUNNING"), name="reconciliation_one_at_a_time"
            ),
            models.CheckConstraint(
                condition=Q(outcome="RUNNING", finished_at__isnull=True)
                | (~Q(outcome="RUNNING") & Q(finished_at__isnull=False)),
                name="reconciliation_ends_with_an_outcome",
            ),
        )
        indexes = (models.Index(fields=("connection", "-started_at"), name="reconciliation_recent"),)

    def __str__(self) -> str:
        return f"{self.get_outcome_display()} {self.started_at:%Y-%m-%d %H:%M:%S}"


class Difference(models.Model):
    """Where the venue and our rows did not agree: the venue won on the fact, and this is what was before.

    `ours` and `theirs` say it in words for people. Settled at once where the run itself put it right; an open one waits
    for a person to say what it was. Found outside a run where an answer or a message brought it.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    run = models.ForeignKey(ReconciliationRun, null=True, on_delete=models.PROTECT, related_name="differences")
    connection = models.ForeignKey("connectors.Connection", on_delete=models.PROTECT, related_name="+")
    order = models.ForeignKey("trades.Order", null=True, on_delete=models.PROTECT, related_name="differences")
    kind = models.CharField(max_length=20, choices=_choices(DifferenceKind))
    subject = models.CharField(max_length=120)
    ours = models.TextField()
    theirs = models.TextField("the venue's")
    done = models.TextField("what was done")
    found_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)
    settled_by = models.CharField(max_length=200, blank=True)
    settled_reason = models.TextField(blank=True)

    class Meta:
        default_permissions = ("view",)
        ordering = ("-found_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("connection", "kind", "subject"),
                condition=Q(settled_at__isnull=True),
                name="difference_open_once",
            ),
        )
        indexes = (models.Index(fields=("connection", "-found_at"), name="difference_recent"),)

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.subject}"


class Inquiry(models.Model):
    """One question to the venue about an order whose fate is not known, and what it answered.

    A REPLAY has two rows: ASKED is committed before the request leaves, the answer after. `code` is the venue's or our
    reason code; for a scan that found nothing it is why nothing was sent again.
    """

    id = models.BigAutoField(primary_key=True)
    order = models.ForeignKey("trades.Order", on_delete=models.PROTECT, related_name="inquiries")
    kind = models.CharField(max_length=10, choices=_choices(InquiryKind))
    answer = models.CharField(max_length=12, choices=_choices(InquiryAnswer))
    fence = models.PositiveIntegerField()
    asked_at = models.DateTimeField()
    since = models.DateTimeField(null=True)
    until = models.DateTimeField(null=True)
    code = models.CharField(max_length=80, blank=True)
    detail = models.TextField(blank=True)

    class Meta:
        default_permissions = ("view",)
        ordering = ("id",)
        verbose_name_plural = "inquiries"
        indexes = (models.Index(fields=("order", "kind", "answer"), name="inquiry_order_kind"),)

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.get_answer_display()}"
