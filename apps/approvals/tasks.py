"""Celery tasks of this app: one service call each, sent by beat."""

from typing import Any

from celery import shared_task
from django.utils import timezone

from apps.approvals.services import log_comparison


@shared_task(name="approvals.audit_rows", queue="default", soft_time_limit=3500, time_limit=3600)
def audit_rows(**extra: Any) -> int:
    """Hold every row that decides about money against the log. Returns how many places differ; one raises an alarm."""
    return len(log_comparison.watch(now=timezone.now()).findings)
