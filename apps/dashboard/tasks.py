"""Celery tasks of this app."""

from typing import Any

from celery import shared_task
from django.utils import timezone

from apps.dashboard.services import demo_candles


@shared_task(name="dashboard.fill_demo_candles", queue="default")
def fill_demo_candles(connection: str, **_later: Any) -> int:
    """Fetch the last day's candles for the demo desk. Returns how many the venue told."""
    return demo_candles.fill_in(connection=connection, clock=timezone.now)
