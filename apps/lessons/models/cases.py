"""Closed trades as they are remembered, and the lessons of those that lost."""

from typing import ClassVar, Final
from uuid import uuid4

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.common.fields import ExactDecimalField
from apps.lessons.types import CaseSource, CaseVerdict, MistakeTag, Result, ReviewState, TagSource


class Case(models.Model):
    """A closed trade: what was planned, what was known, how it ended. Wins too: without them there is no rate.

    Money in `quote_currency`; `side` is the side of the entry. `facts` is a list of {name, value, unit, limit,
    violated}, decimals as text. The texts are what is embedded, each as a vector of its own;
    `content_hash` is of both and of what a search is filtered by.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    source = models.CharField(max_length=10, choices=[(one.value, one.value) for one in CaseSource])
    source_id = models.CharField(max_length=120)
    desk = models.ForeignKey("accounts.Desk", on_delete=models.PROTECT, related_name="+")
    environment = models.CharField(max_length=5)
    proposal_id = models.UUIDField(null=True, db_index=True)
    proposer_id = models.UUIDField(null=True)
    approver_ids = models.JSONField(default=list)
    product = models.CharField(max_length=40)
    asset_class = models.CharField(max_length=20)
    side = models.CharField(max_length=4)
    quantity = ExactDecimalField()
    quote_currency = models.CharField(max_length=12)
    entry_price = ExactDecimalField(null=True)
    exit_price = ExactDecimalField()
    fees = ExactDecimalField(default=0)
    pnl = ExactDecimalField(null=True)
    pnl_pct = ExactDecimalField(null=True)
    result = models.CharField(max_length=8, choices=[(one.value, one.value) for one in Result])
    r_multiple = ExactDecimalField(null=True)
    mfe_r = ExactDecimalField(null=True)
    mae_r = ExactDecimalField(null=True)
    thesis = models.TextField(blank=True, help_text="Verbatim, as the proposer wrote it.")
    setup = models.CharField(max_length=80, blank=True)
    planned_entry = ExactDecimalField(null=True)
    planned_stop = ExactDecimalField(null=True)
    planned_target = ExactDecimalField(null=True)
    planned_risk = ExactDecimalField(null=True)
    exit_reason = models.CharField(max_length=80, blank=True)
    regime = models.CharField(max_length=20, blank=True)
    notes = models.TextField(blank=True)
    facts = models.JSONField(default=list)
    facts_version = models.PositiveSmallIntegerField(default=1)
    verdict = models.CharField(
        max_length=15, choices=[(one.value, one.value) for one in CaseVerdict], default=CaseVerdict.UNKNOWN
    )
    counts = models.BooleanField(
        default=True, help_text="Whether it is evidence: disputed, superseded and retired cases are not."
    )
    summary = models.TextField()
    summary_version = models.PositiveSmallIntegerField(default=1)
    thesis_text = models.TextField(blank=True)
    narrative_text = models.TextField(blank=True)
    content_hash = models.CharField(max_length=64)
    opened_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField()
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        default_permissions = ("view",)
        ordering: ClassVar = ["-closed_at"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["source", "source_id"], name="case_once_per_source")]
        indexes: ClassVar = [
            models.Index(fields=["desk", "closed_at"], name="case_desk_closed"),
            # What policy counts is answered from indexes alone: a case is too wide to be read for its result.
            # One range of it for each result and source, of which only the length is asked.
            models.Index(fields=["desk", "result", "source", "closed_at"], condition=Q(counts=True), name="case_ended"),
            models.Index(fields=["desk", "product", "closed_at"], name="case_desk_product"),
            models.Index(fields=["closed_at", "id"], name="case_recent"),
            models.Index(fields=["product"], name="case_product", opclasses=["varchar_pattern_ops"]),
            models.Index(fields=["source_id"], name="case_source_id"),
            models.Index(fields=["result", "closed_at"], name="case_result_recent"),
            models.Index(fields=["verdict", "closed_at"], name="case_verdict_recent"),
            models.Index(fields=["counts", "closed_at"], name="case_counts_recent"),
            models.Index(fields=["source", "closed_at"], name="case_source_recent"),
        ]

    def __str__(self) -> str:
        return f"{self.product} {self.side} {self.result} {self.closed_at:%Y-%m-%d}"


class WeighedCase(models.Model):
    """What policy weighs of a case, repeated beside what makes it comparable, so that counting reads one index and
    looks up no case. The database itself keeps these columns, in the statement that writes the row or changes the case
    (`apps/lessons/weighed.py`): whoever writes, and whatever version of Aika it is, cannot forget them.

    `weighs`: it is evidence, and was won or lost. `told`: a program says that it took place and ended so.
    """

    desk = models.ForeignKey("accounts.Desk", on_delete=models.PROTECT, related_name="+", db_index=False)
    closed_at = models.DateTimeField()
    weighs = models.BooleanField(db_default=False)
    lost = models.BooleanField(db_default=False)
    told = models.BooleanField(db_default=False)
    verdict = models.CharField(max_length=15, db_default="")
    proposal_id = models.UUIDField(null=True)
    r_multiple = ExactDecimalField(null=True)

    class Meta:
        abstract = True


# In this order in both indexes: what is looked for, and then what is only read.
_WEIGHED: Final = ("closed_at", "weighs", "lost", "told", "verdict", "proposal_id", "r_multiple", "case")


class CaseTag(WeighedCase):
    """A mistake seen in a case. It counts where a rule over facts found it or a person confirmed it, and nobody
    disputes it."""

    case = models.ForeignKey(Case, on_delete=models.CASCADE, related_name="tags")
    tag = models.CharField(max_length=20, choices=[(one.value, one.value) for one in MistakeTag])
    source = models.CharField(max_length=10, choices=[(one.value, one.value) for one in TagSource])
    confidence = ExactDecimalField(default=1)
    because = models.CharField(max_length=200, blank=True)
    counts = models.BooleanField(default=False)
    disputed = models.BooleanField(default=False)
    confirmed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    confirmed_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        ordering: ClassVar = ["tag"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["case", "tag"], name="case_tag_once"),
            models.CheckConstraint(condition=Q(counts=False) | Q(disputed=False), name="case_tag_disputed_counts_not"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["desk", "tag", *_WEIGHED], condition=Q(counts=True), name="case_tag_weighed"),
            models.Index(fields=["tag", "case"], name="case_tag_tag"),
        ]

    def __str__(self) -> str:
        return self.tag


class CaseViolation(WeighedCase):
    """A fact of a case that was beyond its limit."""

    case = models.ForeignKey(Case, on_delete=models.CASCADE, related_name="violations")
    fact = models.CharField(max_length=40)

    class Meta:
        default_permissions = ()
        ordering: ClassVar = ["fact"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["case", "fact"], name="case_violation_once")]
        indexes: ClassVar = [models.Index(fields=["desk", "fact", *_WEIGHED], name="case_violation_weighed")]

    def __str__(self) -> str:
        return self.fact


class Lesson(models.Model):
    """What a lost case teaches. Made with the case; people confirm, dispute, complete, merge or supersede it.

    `severity` is from 0 to 1 and never falls as the loss grows. The proposer of the case cannot review it. One that
    rests is not shown and not indexed, since nobody found it useful; what is counted does not know of it.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    case = models.OneToOneField(Case, on_delete=models.PROTECT, related_name="lesson")
    state = models.CharField(
        max_length=10, choices=[(one.value, one.value) for one in ReviewState], default=ReviewState.AUTO
    )
    severity = ExactDecimalField()
    cause = models.TextField(blank=True)
    next_time = models.TextField(blank=True, help_text="What to do next time, as a rule.")
    superseded_by = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="supersedes")
    reviewed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    reviewed_at = models.DateTimeField(null=True)
    review_note = models.TextField(blank=True)
    taking_out = models.JSONField(
        null=True, help_text="What one reviewer would take out of the evidence, until another one confirms it."
    )
    version = models.PositiveIntegerField(default=1)
    rests_since = models.DateTimeField(null=True)
    woken_at = models.DateTimeField(null=True, help_text="Shown again by a person: what was said before is forgotten.")
    created_at = models.DateTimeField()

    class Meta:
        default_permissions = ("view",)
        permissions: ClassVar = [("review_lesson", "May review lessons of the desk")]
        ordering: ClassVar = ["-created_at"]
        indexes: ClassVar = [
            models.Index(fields=["state", "created_at"], name="lesson_state_age"),
            models.Index(fields=["rests_since"], name="lesson_rests"),
        ]

    def __str__(self) -> str:
        return f"Lesson of {self.case}"
