"""Celery tasks of this app: one service call each, sent by beat."""

from typing import Any

from celery import shared_task
from django.utils import timezone

from apps.policies.services import replays


@shared_task(name="policies.replay_decisions", queue="default", soft_time_limit=3500, time_limit=3600)
def replay_decisions(**extra: Any) -> int:
    """Judge the last day's decisions again. Returns how many differ from what was stored; one raises an alarm."""
    return len(replays.watch(now=timezone.now()).differing)
