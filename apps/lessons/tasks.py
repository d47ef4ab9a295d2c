"""Work of the memory that runs apart from requests."""

from typing import Any

from celery import shared_task


@shared_task(name="lessons.embed_pending", queue="default")
def embed_pending(**_later: Any) -> int:
    """Embed what waits. Nothing is embedded yet: what waits stays."""
    return 0
