"""Celery tasks of this app: one service call each, sent by beat."""

from typing import Any

from celery import shared_task
from django.utils import timezone

from apps.quotes.services import current


@shared_task(name="quotes.keep_candles", queue="default")
def keep_candles(**extra: Any) -> int:
    """Fetch what candles of watched instruments miss. Returns how often the venue was asked."""
    return current.keep_current(clock=timezone.now)
