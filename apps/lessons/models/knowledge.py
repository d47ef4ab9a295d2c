"""Documents people want at hand when they decide: versions, and the pieces that are embedded."""

from typing import ClassVar
from uuid import uuid4

from django.db import models
from django.db.models import Q


class KnowledgeSource(models.Model):
    """A folder or file that is looked at by the clock; `desk` null is knowledge of everybody."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    desk = models.ForeignKey("accounts.Desk", on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    path = models.CharField(max_length=500, unique=True)
    prune = models.BooleanField(default=False, help_text="Remove documents whose file is gone.")
    enabled = models.BooleanField(default=True)
    looked_at = models.DateTimeField(null=True, editable=False)
    problem = models.TextField(blank=True, editable=False)
    refused = models.JSONField(
        default=dict, editable=False, help_text="Id -> stamp, code and reason of what is refused."
    )

    class Meta:
        ordering: ClassVar = ["path"]

    def __str__(self) -> str:
        return self.path


class KnowledgeDocument(models.Model):
    """A text under a name of its own; `digest` is SHA-256 of its normalised text, `number` its latest version."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    desk = models.ForeignKey("accounts.Desk", on_delete=models.PROTECT, null=True, related_name="+")
    external_id = models.CharField(max_length=500)
    source = models.ForeignKey(KnowledgeSource, on_delete=models.SET_NULL, null=True, related_name="documents")
    title = models.CharField(max_length=300)
    media_type = models.CharField(max_length=60)
    digest = models.CharField(max_length=64)
    number = models.PositiveIntegerField(default=1)
    removed_at = models.DateTimeField(null=True)
    added_by = models.CharField(max_length=120)
    stamp = models.CharField(max_length=80, blank=True, help_text="Of the file it was read from: size, inode, times.")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        default_permissions = ("view", "add")
        ordering: ClassVar = ["title"]
        # Two, since SQLite cannot treat two nulls as the same.
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["desk", "external_id"], name="knowledge_document_once"),
            models.UniqueConstraint(
                fields=["external_id"], condition=Q(desk__isnull=True), name="knowledge_document_once_of_all"
            ),
        ]

    def __str__(self) -> str:
        return self.title


class KnowledgeVersion(models.Model):
    """One version's normalised text. Kept: what was recalled can be read again."""

    document = models.ForeignKey(KnowledgeDocument, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    digest = models.CharField(max_length=64)
    text = models.TextField()
    created_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        ordering: ClassVar = ["-number"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["document", "number"], name="knowledge_version_once")]

    def __str__(self) -> str:
        return f"{self.document} v{self.number}"


class KnowledgeChunk(models.Model):
    """A piece of a version: characters `start` to `end` of its text. `text` has title and headings in front; `digest`
    is of it. `current` while its version is the document's latest and the document is not removed."""

    id = models.UUIDField(primary_key=True, editable=False)
    version = models.ForeignKey(KnowledgeVersion, on_delete=models.CASCADE, related_name="chunks")
    desk = models.ForeignKey("accounts.Desk", on_delete=models.PROTECT, null=True, related_name="+")
    ordinal = models.PositiveIntegerField()
    heading = models.CharField(max_length=500, blank=True)
    text = models.TextField()
    start = models.PositiveIntegerField()
    end = models.PositiveIntegerField()
    digest = models.CharField(max_length=64)
    words = models.PositiveIntegerField(default=0)
    current = models.BooleanField(default=True)

    class Meta:
        default_permissions = ()
        ordering: ClassVar = ["ordinal"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["version", "ordinal"], name="knowledge_chunk_once"),
            models.CheckConstraint(condition=Q(end__gt=models.F("start")), name="knowledge_chunk_has_text"),
        ]
        indexes: ClassVar = [models.Index(fields=["desk"], condition=Q(current=True), name="knowledge_chunk_current")]

    def __str__(self) -> str:
        return f"{self.version_id}.{self.ordinal}"


class KnowledgeTerm(models.Model):
    """A word of a current piece: what is searched where the index cannot be, and beside it. `desk` and `length` (its
    words) repeat the piece's, so that a search reads one index. Rows of pieces that are no longer current are deleted.
    """

    chunk = models.ForeignKey(KnowledgeChunk, on_delete=models.CASCADE, related_name="terms")
    desk = models.ForeignKey("accounts.Desk", on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    term = models.CharField(max_length=40)
    count = models.PositiveIntegerField()
    length = models.PositiveIntegerField()

    class Meta:
        default_permissions = ()
        indexes: ClassVar = [models.Index(fields=["term", "desk"], name="knowledge_term_desk")]

    def __str__(self) -> str:
        return f"{self.term} ({self.count})"
