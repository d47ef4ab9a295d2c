"""Celery tasks of this app: one service call each, sent by beat."""

from datetime import timedelta
from typing import Any

from celery import shared_task
from django.utils import timezone

from apps.accounts.services import idempotency

KEPT = timedelta(days=30)


@shared_task(name="accounts.prune_idempotency", queue="default")
def prune_idempotency(**extra: Any) -> int:
    """Forget stored answers older than a month. Returns how many went."""
    return idempotency.prune(older_than=KEPT, now=timezone.now())
