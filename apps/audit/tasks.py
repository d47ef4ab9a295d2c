"""Celery tasks of this app: one service call each, sent by beat."""

from typing import Any

from celery import shared_task
from django.utils import timezone

from apps.audit.services import verifications
from apps.audit.types import Actor


@shared_task(name="audit.verify_log", queue="default", soft_time_limit=3500, time_limit=3600)
def verify_log(**extra: Any) -> str:
    """Verify the whole log. Returns "intact", "tampered" or "incomplete"; tampering raises an alarm."""
    return verifications.verify_and_record(by=Actor.system("audit.verify_log"), now=timezone.now()).result
