"""Does the clock run? For a health check, and for the person who wonders."""

from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

# Beat writes down when it last sent a task every three minutes (celery's beat_sync_every); twice that is late.
LATE_S = 360


class Command(BaseCommand):
    """Exit 0 where every enabled task of a fixed interval was sent lately, else 1 with the names of the late ones."""

    help = "Say which periodic tasks are late. Exits 1 if any is."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Judge by the database only: beat itself may be the part that is ill."""
        now = timezone.now()
        tasks = PeriodicTask.objects.filter(enabled=True, interval__isnull=False).select_related("interval")
        late = [task.name for task in tasks if self._is_late(task, now)]
        if late:
            raise CommandError(f"late: {', '.join(sorted(late))}. Is the beat process running?")
        self.stdout.write(f"{len(tasks)} periodic tasks on time")

    @staticmethod
    def _is_late(task: PeriodicTask, now: datetime) -> bool:
        """A task that never ran is measured from the moment somebody last changed its row."""
        since: datetime = task.last_run_at or task.date_changed
        allowed: timedelta = task.schedule.run_every + timedelta(seconds=LATE_S)
        return now - since > allowed
