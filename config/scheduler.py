"""The scheduler of `celery beat`: the rows of the database. Named by `CELERY_BEAT_SCHEDULER`."""

from typing import Any

from django_celery_beat.schedulers import DatabaseScheduler

from config import start


class Scheduler(DatabaseScheduler):  # type: ignore[misc]  # django-celery-beat is not typed
    """django-celery-beat's. Before it reads anything: `beat_init` comes when it has read, and written, already."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        start.require_keys()
        super().__init__(*args, **kwargs)
