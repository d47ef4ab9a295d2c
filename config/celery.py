"""The Celery apps. What they are told, and why, is in config/settings/base.py (`CELERY_*`)."""

import logging
import os
from typing import Any

from celery import Celery, Task
from celery.signals import (
    beat_init,
    celeryd_init,
    task_postrun,
    task_prerun,
    worker_init,
    worker_process_init,
    worker_ready,
)
from django.conf import settings
from django.db import close_old_connections
from django.utils import timezone

from apps.common import tracing
from apps.common.decimals import instant_text
from config import start

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")

logger = logging.getLogger("aika.tasks")
CONNECTION_KEPT_S = 60


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


@celeryd_init.connect
def with_right_keys(**_said: Any) -> None:
    """A worker begins no task with keys that open nothing. Beat: `config/scheduler.py`."""
    start.require_keys()


@worker_init.connect
def load_embeddings(**_said: Any) -> None:
    """Before it takes a task, and before it has children: they share the weights. A worker whose texts cannot become
    vectors does not start."""
    start.load_embeddings()


@worker_ready.connect
def compare_first(**_said: Any) -> None:
    """The first thing a worker asks for: that each connection is compared with its venue, as of now.

    Nothing leaves from this worker before that (see `apps.trades.tasks.STARTED_AT`), so that a lost message delays.
    """
    app.send_task(
        "trades.reconcile_due",
        kwargs={"needed_from": instant_text(timezone.now())},
        queue=app.conf.task_default_queue,
        retry=False,
    )


@beat_init.connect
def verify_at_start(**_said: Any) -> None:
    """What happened to the audit log while nothing ran is known before anybody relies on it."""
    app.send_task("audit.verify_log", queue=app.conf.task_default_queue, retry=False)


@worker_process_init.connect
def one_connection_each(**_said: Any) -> None:
    """A child process does one thing at a time: a connection that it keeps is enough. A pool would be filled for every
    task and thrown away after it."""
    for database in settings.DATABASES.values():
        if database["OPTIONS"].pop("pool", None):
            database["CONN_MAX_AGE"] = CONNECTION_KEPT_S


@task_prerun.connect
@task_postrun.connect
def let_go(task: "Task[Any, Any]", **_said: Any) -> None:
    """A connection that broke or has grown old is not the next task's; CELERY_DB_REUSE_MAX keeps the others."""
    if not task.request.is_eager:
        close_old_connections()


@task_prerun.connect
def take_up(task_id: str, task: "Task[Any, Any]", kwargs: dict[str, Any], **_said: Any) -> None:
    """Every line of the log from here on bears what the task is about, and the request that caused it."""
    sent = task.request.headers or {}
    tracing.begin(**tracing.ids_in(kwargs), request_id=sent.get(tracing.REQUEST), task_id=task_id, task=task.name)


@task_postrun.connect
def put_down(state: str, **_said: Any) -> None:
    """The one line that says what became of it."""
    logger.info("%s", state, extra={"outcome": state})
    tracing.end()
