"""Rows of the memory."""

from apps.lessons.models.cases import Case, CaseTag, CaseViolation, Lesson
from apps.lessons.models.index import IndexEntry, IndexLook, IndexSpace
from apps.lessons.models.knowledge import (
    KnowledgeChunk,
    KnowledgeDocument,
    KnowledgeSource,
    KnowledgeTerm,
    KnowledgeVersion,
)
from apps.lessons.models.recalls import (
    Evaluation,
    KnowledgeRecall,
    KnowledgeRecallItem,
    Recall,
    RecallFeedback,
    RecallItem,
)

__all__ = [
    "Case",
    "CaseTag",
    "CaseViolation",
    "Evaluation",
    "IndexEntry",
    "IndexLook",
    "IndexSpace",
    "KnowledgeChunk",
    "KnowledgeDocument",
    "KnowledgeRecall",
    "KnowledgeRecallItem",
    "KnowledgeSource",
    "KnowledgeTerm",
    "KnowledgeVersion",
    "Lesson",
    "Recall",
    "RecallFeedback",
    "RecallItem",
]
