"""Work of the memory that runs apart from requests: ids in, one service call each."""

import logging
from dataclasses import asdict
from typing import Any

from celery import shared_task
from django.utils import timezone

from apps.common.errors import Unavailable
from apps.lessons.services import index_checks, indexing

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
