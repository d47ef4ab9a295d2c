"""Publishing a task by name. Nothing imports another app's tasks; a test resolves every published name."""

import logging
from functools import partial
from uuid import UUID

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

from apps.common import fault_places as places
from apps.common import faults, tracing
from apps.common.redaction import redact

DEFAULT_QUEUE = "default"
# Orders have a queue of their own, so that a backlog of anything else never delays one.
QUEUES = dict.fromkeys(
    (
        "trades.execute_trade",
        "trades.cancel_order",
        "trades.cancel_halted",
        "trades.clear_halted",
        "trades.show_life_execution",
    ),
    "execution",
)

logger = logging.getLogger(__name__)

Argument = str | int | bool | UUID | None


def publish(name: str, /, **kwargs: Argument) -> None:
    """Sends the task after the transaction commits; at once outside a transaction. Never sent after a rollback.

    Arguments are ids, by keyword. A broker that cannot be reached is logged and forgotten: the rows that caused the
    task are committed, and a sweep finds what was not published. Raises TypeError for an argument that is not an id.
    """
    arguments = {key: _argument(key, value) for key, value in kwargs.items()}
    transaction.on_commit(partial(_send, name, arguments, tracing.carried()), robust=True)


def queue_of(name: str) -> str:
    """The queue a task goes to."""
    return QUEUES.get(name, DEFAULT_QUEUE)


def _argument(key: str, value: Argument) -> str | int | bool | None:
    if isinstance(value, UUID):
        return str(value)
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, str) and redact(value) == value:
        return value
    raise TypeError(f"{key}: a task takes ids, not {'a secret' if isinstance(value, str) else type(value).__name__}.")


def _send(name: str, arguments: dict[str, str | int | bool | None], headers: dict[str, str]) -> None:
    try:
        # No retry here: a person waits for this request, the sweep has all the time.
        with faults.call(places.PUBLISH):
            current_app.send_task(name, kwargs=arguments, queue=queue_of(name), retry=False, headers=headers)
    except (OperationalError, OSError) as error:
        logger.warning("Task %s was not published (%s); a sweep will find it.", name, type(error).__name__)
