"""Create the periodic tasks that are missing; leave those that are there as a person may have set them."""

from typing import Any

from django.conf import settings
from django.db import transaction
from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks

from apps.common.commands import AnswerCommand


class Command(AnswerCommand):
    """The list is config/beat.py. A task is switched off in the admin, not deleted: deleted, it comes back here."""

    help = "Create missing periodic tasks of config/beat.py. Never changes one that exists."

    def handle(self, *_args: Any, **options: Any) -> None:
        """Create what is missing, in one transaction."""
        with transaction.atomic():
            existing = set(PeriodicTask.objects.values_list("name", flat=True))
            missing = [entry for entry in settings.BEAT_DEFAULTS if entry.name not in existing]
            for entry in missing:
                PeriodicTask.objects.create(
                    name=entry.name,
                    task=entry.task,
                    interval=self._every(entry.every_s),
                    expire_seconds=entry.expires_s,
                    description=entry.why,
                )
            if missing:
                PeriodicTasks.update_changed()
        if options["verbosity"] > 0:
            known = {entry.name for entry in settings.BEAT_DEFAULTS}
            record = {"created": [entry.name for entry in missing], "others": sorted(existing - known)}
            lines = [
                f"created: {', '.join(record['created']) or 'none'}",
                f"not of config/beat.py, left alone: {', '.join(record['others']) or 'none'}",
            ]
            self.finish(record, as_json=options["json"], lines=lines)

    @staticmethod
    def _every(seconds: int) -> IntervalSchedule:
        """The shared row of this interval (the table has no unique constraint: the first one is taken)."""
        found = IntervalSchedule.objects.filter(every=seconds, period=IntervalSchedule.SECONDS).first()
        return found or IntervalSchedule.objects.create(every=seconds, period=IntervalSchedule.SECONDS)
