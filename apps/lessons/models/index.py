"""What stands in the vector index, and what should. SQL is the truth; the index may be deleted at any time."""

from typing import ClassVar
from uuid import uuid4

from django.db import models
from django.db.models import Q

from apps.lessons.types import EntryKind, EntryState, SpaceState


class IndexSpace(models.Model):
    """Vectors that may be compared: provider, model, dimension and version of the texts. One is active."""

    name = models.CharField(max_length=80, unique=True)
    provider = models.CharField(max_length=40)
    model = models.CharField(max_length=200, blank=True)
    dim = models.PositiveIntegerField()
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of what the provider says it is.")
    state = models.CharField(max_length=8, choices=[(one.value, one.value) for one in SpaceState])
    weighed_by = models.CharField(
        max_length=64, blank=True, default="", help_text="SHA-256 of how the mistakes of its texts were found."
    )
    created_at = models.DateTimeField()
    activated_at = models.DateTimeField(null=True)
    retired_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ("view",)
        ordering: ClassVar = ["-created_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["state"], condition=Q(state="ACTIVE"), name="index_space_one_active")
        ]

    def __str__(self) -> str:
        return self.name


class IndexEntry(models.Model):
    """A case or chunk on its way into one space: the outbox. `subject` is the id of the row it stands for.

    `content_hash` is of what is to be indexed. Whoever works on it has it until `claimed_until`: a worker that died
    holds it no longer than that. GONE has no point in the index, since there is no text or no row any more. `weights`
    say how much a case with this content speaks of each mistake (`services.weighing`); None until they are found.
    """

    kind = models.CharField(max_length=5, choices=[(one.value, one.value) for one in EntryKind])
    subject = models.UUIDField()
    space = models.ForeignKey(IndexSpace, on_delete=models.CASCADE, related_name="entries")
    content_hash = models.CharField(max_length=64)
    state = models.CharField(
        max_length=8, choices=[(one.value, one.value) for one in EntryState], default=EntryState.PENDING
    )
    attempts = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField()
    claimed_until = models.DateTimeField(null=True)
    indexed_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=300, blank=True)
    queued_at = models.DateTimeField(help_text="When its text was last handed over.")
    weights = models.BinaryField(null=True)

    class Meta:
        default_permissions = ("view",)
        verbose_name_plural = "index entries"
        ordering: ClassVar = ["-queued_at"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["kind", "subject", "space"], name="index_entry_once")]
        indexes: ClassVar = [
            models.Index(fields=["space", "state", "next_try_at"], name="index_entry_due"),
            models.Index(fields=["queued_at", "id"], name="index_entry_recent"),
            models.Index(fields=["subject"], name="index_entry_subject"),
            models.Index(fields=["state", "queued_at"], name="index_entry_state_recent"),
            models.Index(fields=["kind", "queued_at"], name="index_entry_kind_recent"),
            models.Index(
                fields=["space", "kind", "state", "id"], condition=Q(weights=None), name="index_entry_unweighed"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject} ({self.state})"


class IndexLook(models.Model):
    """A point of the index that SQL does not know, at its first look; the second look deletes it."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    collection = models.CharField(max_length=120)
    point = models.UUIDField()
    seen_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [models.UniqueConstraint(fields=["collection", "point"], name="index_look_once")]

    def __str__(self) -> str:
        return f"{self.point} in {self.collection}"
