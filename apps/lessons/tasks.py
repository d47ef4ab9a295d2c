"""Work of the memory that runs apart from requests: ids in, one service call each."""

import logging
from dataclasses import asdict
from typing import Any

from celery import shared_task
from django.utils import timezone

from apps.audit.types import Actor
from apps.common.errors import Unavailable
from apps.lessons.services import (
    helping,
    index_checks,
    indexing,
    knowledge_items,
    knowledge_recalls,
    knowledge_sources,
    resting,
)

logger = logging.getLogger(__name__)


@shared_task(name="lessons.embed_pending", queue="default")
def embed_pending(**extra: Any) -> dict[str, Any]:
    """Embed what waits, in every space in use."""
    return asdict(indexing.embed_pending(clock=timezone.now))


@shared_task(name="lessons.check_index", queue="default")
def check_index(**extra: Any) -> dict[str, Any]:
    """Compare the index with the database, and queue what it lacks."""
    try:
        return asdict(index_checks.check_drift(now=timezone.now()))
    except Unavailable as away:
        logger.warning("The vector index was not compared: %s", away)
        return {"stopped": away.code}


@shared_task(name="lessons.sweep_index", queue="default")
def sweep_index(**extra: Any) -> dict[str, Any]:
    """Look for points that the database does not know; delete those it did not know at the last look either."""
    try:
        return asdict(index_checks.sweep_orphans(now=timezone.now()))
    except Unavailable as away:
        logger.warning("The vector index was not swept: %s", away)
        return {"stopped": away.code}


@shared_task(name="lessons.ingest_knowledge", queue="default")
def ingest_knowledge(payload: dict[str, Any], **_later: Any) -> dict[str, Any]:
    """Take in documents, `{"items": [{"id": "doc-1", "text": "…"}]}`, of the desk it names if any."""
    actor = Actor.system("ingest_knowledge")
    return knowledge_items.summary_of(knowledge_items.take_in(payload=payload, actor=actor, now=timezone.now()))


@shared_task(name="ingest_knowledge", queue="default")
def ingest_knowledge_by_bare_name(payload: dict[str, Any], **_later: Any) -> dict[str, Any]:
    """The same, under the name that senders outside of Aika use."""
    done: dict[str, Any] = ingest_knowledge(payload)
    return done


@shared_task(name="lessons.watch_knowledge", queue="default")
def watch_knowledge(**_later: Any) -> dict[str, int]:
    """Take in what changed in watched sources."""
    return knowledge_sources.watch(now=timezone.now())


@shared_task(name="lessons.evaluate", queue="default")
def evaluate(**_later: Any) -> dict[str, int]:
    """Measure whether lessons help, desk by desk."""
    return {"desks": len(helping.evaluate(now=timezone.now()))}


@shared_task(name="lessons.rest", queue="default")
def rest(**_later: Any) -> dict[str, int]:
    """Stop showing lessons that nobody found useful."""
    return {"rested": resting.rest(now=timezone.now())}


@shared_task(name="lessons.forget_questions", queue="default")
def forget_questions(**_later: Any) -> dict[str, int]:
    """Delete questions to the documents that are older than a year."""
    return {"forgotten": knowledge_recalls.forget(now=timezone.now())}
