"""The Celery apps. What they are told, and why, is in config/settings/base.py (`CELERY_*`)."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")


def make_app(*, current: bool = True) -> Celery:
    """An app with Django's settings and every `apps.*.tasks`.

    The chosen queues of a worker are a property of its *app*: two workers in one process need one each, or the
    second would quietly make the first consume its queues.
    """
    made = Celery("aika", set_as_current=current)
    made.config_from_object("django.conf:settings", namespace="CELERY")
    made.autodiscover_tasks()
    return made


app = make_app()
