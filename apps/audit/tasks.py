"""Celery tasks of this app: one service call each, sent by beat."""

from typing import Any

from celery import shared_task
from django.utils import timezone

from apps.audit.services import sealing, verifications
from apps.audit.types import Actor


@shared_task(name="audit.seal_log", queue="default")
def seal_log(**extra: Any) -> int:
    """Seal and anchor what is committed. Returns how many events that were; trouble raises an alarm."""
    return sealing.seal(now=timezone.now()).events


@shared_task(name="audit.verify_log", queue="default", soft_time_limit=3500, time_limit=3600)
def verify_log(**extra: Any) -> str:
    """Verify the whole log, after sealing what was left behind. Returns the result; tampering raises an alarm."""
    return verifications.seal_and_verify(by=Actor.system("audit.verify_log"), now=timezone.now()).result
