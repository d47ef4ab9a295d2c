"""Does the clock run? For a health check, and for the person who wonders."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from apps.common.commands import AnswerCommand, Exit

# Beat writes down when it last sent a task every three minutes (celery's beat_sync_every); twice that is late.
LATE_S = 360


class Command(AnswerCommand):
    """Exit 0 where every enabled task of a fixed interval was sent lately, else 1 with the names of the late ones."""

    help = "Say which periodic tasks are late. Exit code 1: some are."

    def handle(self, *_args: Any, **options: Any) -> None:
        """Judge by the database only: beat itself may be the part that is ill."""
        now = timezone.now()
        tasks = PeriodicTask.objects.filter(enabled=True, interval__isnull=False).select_related("interval")
        late = sorted(task.name for task in tasks if self._is_late(task, now))
        said = f"{len(tasks)} periodic tasks on time"
        if late:
            said = f"late: {', '.join(late)}. Is the beat process running?"
        code = Exit.DIFFERS if late else Exit.WELL
        self.finish({"tasks": len(tasks), "late": late}, as_json=options["json"], lines=[said], code=code)

    @staticmethod
    def _is_late(task: PeriodicTask, now: datetime) -> bool:
        """A task that never ran is measured from the moment somebody last changed its row."""
        since: datetime = task.last_run_at or task.date_changed
        allowed: timedelta = task.schedule.run_every + timedelta(seconds=LATE_S)
        return now - since > allowed
