"""What was recalled, for whom, and whether it helped."""

from typing import ClassVar
from uuid import uuid4

from django.conf import settings
from django.db import models

from apps.common.fields import ExactDecimalField
from apps.lessons.types import FeedbackVerdict, RecallPurpose


class Recall(models.Model):
    """One question to the memory and its answer. `withheld` is true for the share that is shown nothing, so that
    whether lessons help can be measured. `viewer` is a person; `viewer_key` the name of an API key."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    desk = models.ForeignKey("accounts.Desk", on_delete=models.PROTECT, related_name="+")
    purpose = models.CharField(max_length=8, choices=[(one.value, one.value) for one in RecallPurpose])
    proposal_id = models.UUIDField(null=True, db_index=True)
    viewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    viewer_key = models.CharField(max_length=80, blank=True)
    text = models.TextField(blank=True)
    space = models.CharField(max_length=80, blank=True)
    degraded = models.BooleanField(default=False)
    withheld = models.BooleanField(default=False)
    evidence = models.JSONField(default=dict)
    asked_at = models.DateTimeField()

    class Meta:
        default_permissions = ("view",)
        ordering: ClassVar = ["-asked_at"]
        indexes: ClassVar = [
            models.Index(fields=["desk", "asked_at"], name="recall_desk_asked"),
            models.Index(fields=["asked_at", "id"], name="recall_recent"),
            models.Index(fields=["purpose", "asked_at"], name="recall_purpose_recent"),
            models.Index(fields=["withheld", "asked_at"], name="recall_withheld_recent"),
            models.Index(fields=["degraded", "asked_at"], name="recall_degraded_recent"),
        ]

    def __str__(self) -> str:
        return f"{self.purpose} {self.asked_at:%Y-%m-%d %H:%M}"


class RankedItem(models.Model):
    """One thing in an answer: its place, its score and what the score is made of."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    rank = models.PositiveSmallIntegerField()
    score = ExactDecimalField()
    components = models.JSONField(default=dict)

    class Meta:
        abstract = True
        default_permissions = ()
        ordering: ClassVar = ["rank"]


class RecallItem(RankedItem):
    """A case in an answer, and what of it matched."""

    recall = models.ForeignKey(Recall, on_delete=models.CASCADE, related_name="items")
    case = models.ForeignKey("lessons.Case", on_delete=models.PROTECT, related_name="recalled")
    matched = models.JSONField(default=dict)
    counter_example = models.BooleanField(default=False)

    class Meta(RankedItem.Meta):
        constraints: ClassVar = [models.UniqueConstraint(fields=["recall", "case"], name="recall_item_once")]

    def __str__(self) -> str:
        return f"{self.rank}. {self.case_id}"


class RecallFeedback(models.Model):
    """What one person said of a recalled case; the last word of each person stands."""

    item = models.ForeignKey(RecallItem, on_delete=models.CASCADE, related_name="feedback")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    verdict = models.CharField(max_length=12, choices=[(one.value, one.value) for one in FeedbackVerdict])
    reason = models.CharField(max_length=300, blank=True)
    said_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        verbose_name_plural = "recall feedback"
        constraints: ClassVar = [models.UniqueConstraint(fields=["item", "person"], name="recall_feedback_once")]

    def __str__(self) -> str:
        return self.verdict


class KnowledgeRecall(models.Model):
    """One question to the documents and its answer. `desk` is where it was asked; null for a caller at several desks,
    or at none. `viewer` is a person, and for an API key, which `viewer_key` names, its owner. `degraded`: answered by
    words alone. Kept for as long as `services.knowledge_recalls` says."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    desk = models.ForeignKey("accounts.Desk", on_delete=models.PROTECT, null=True, related_name="+")
    viewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    viewer_key = models.CharField(max_length=80, blank=True)
    text = models.TextField()
    space = models.CharField(max_length=80, blank=True)
    degraded = models.BooleanField(default=False)
    asked_at = models.DateTimeField()

    class Meta:
        default_permissions = ("view",)
        verbose_name = "knowledge question"
        ordering: ClassVar = ["-asked_at"]
        indexes: ClassVar = [
            models.Index(fields=["asked_at", "id"], name="knowledge_recall_recent"),
            models.Index(fields=["desk", "asked_at"], name="knowledge_recall_desk"),
            models.Index(fields=["viewer", "asked_at"], name="knowledge_recall_viewer"),
            models.Index(fields=["degraded", "asked_at"], name="knowledge_recall_degraded"),
        ]

    def __str__(self) -> str:
        return f"{self.asked_at:%Y-%m-%d %H:%M}"


class KnowledgeRecallItem(RankedItem):
    """A piece of a document in an answer."""

    recall = models.ForeignKey(KnowledgeRecall, on_delete=models.CASCADE, related_name="items")
    chunk = models.ForeignKey("lessons.KnowledgeChunk", on_delete=models.PROTECT, related_name="recalled")

    class Meta(RankedItem.Meta):
        constraints: ClassVar = [models.UniqueConstraint(fields=["recall", "chunk"], name="knowledge_recall_item_once")]

    def __str__(self) -> str:
        return f"{self.rank}. {self.chunk_id}"


class Evaluation(models.Model):
    """A measurement of whether lessons help one desk, as it stood then: nothing from after `as_of` is in it.

    `cases` were walked, `judged` of them had a threshold to be judged by, of which `repeats` lost by a mistake that had
    lost before. `answered` recalled lessons were called useful or not similar; `held_out` proposals were shown none.
    `figures`, as `services.helping` writes them, has a row for each warning. `code` is of the rules that measured.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    desk = models.ForeignKey("accounts.Desk", on_delete=models.PROTECT, related_name="+")
    as_of = models.DateTimeField()
    space = models.CharField(max_length=80, blank=True)
    code = models.CharField(max_length=12)
    cases = models.PositiveIntegerField()
    judged = models.PositiveIntegerField()
    repeats = models.PositiveIntegerField()
    answered = models.PositiveIntegerField()
    held_out = models.PositiveIntegerField()
    figures = models.JSONField(default=dict)
    made_at = models.DateTimeField()

    class Meta:
        default_permissions = ("view",)
        ordering: ClassVar = ["-made_at"]
        indexes: ClassVar = [models.Index(fields=["desk", "made_at"], name="evaluation_desk_made")]

    def __str__(self) -> str:
        return f"{self.desk_id} {self.as_of:%Y-%m-%d}"
