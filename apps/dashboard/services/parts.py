"""What traffic and orders need: does it answer? Kinds of errors only: their texts may hold addresses and names."""

from celery import current_app
from django.db import Error, connection
from kombu.exceptions import KombuError


def database_trouble() -> str:
    """What is wrong with the database; empty where nothing is."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
    except Error as error:
        return f"does not answer ({type(error).__name__})"
    return ""


def broker_trouble() -> str:
    """What is wrong with the broker: each queue is declared, which every worker does at its start anyway."""
    with current_app.connection_for_write() as broker:
        away: tuple[type[BaseException], ...] = (
            OSError, KombuError, *broker.connection_errors, *broker.channel_errors
        )  # fmt: skip
        try:
            for queue in current_app.amqp.queues.values():
                queue(broker.default_channel).declare()
        except away as error:
            return f"does not answer ({type(error).__name__})"
    return ""
