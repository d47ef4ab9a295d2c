"""Celery tasks of this app: one service call each, sent by beat."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from celery import shared_task
from django.utils import timezone

from apps.accounts.services import browser_sessions, idempotency, new_devices, reset_links

KEPT = timedelta(days=30)


@shared_task(name="accounts.prune_idempotency", queue="default")
def prune_idempotency(**extra: Any) -> int:
    """Forget stored answers older than a month. Returns how many went."""
    return idempotency.prune(older_than=KEPT, now=timezone.now())


@shared_task(name="accounts.forget_sessions", queue="default")
def forget_sessions(**extra: Any) -> int:
    """Forget sessions that have ended by the clock. Returns how many went."""
    return browser_sessions.forget_ended(now=timezone.now())


@shared_task(name="accounts.tell_of_new_device", queue="default")
def tell_of_new_device(person_id: str, event_id: int, **extra: Any) -> bool:
    """Mail to whoever signed in on a device that was new: the event says where. True where it was taken."""
    return new_devices.tell(person_id=UUID(person_id), event_id=event_id)


@shared_task(name="accounts.send_reset_link", queue="default")
def send_reset_link(person_id: str | None, origin: str, **extra: Any) -> bool:
    """Mail a link for a new password, made here. For nobody where the address was nobody's. True where it was taken."""
    return reset_links.send(person_id=UUID(person_id) if person_id else None, origin=origin)
