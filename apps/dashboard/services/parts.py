"""What traffic and orders need: does it answer? Kinds of errors only: their texts may hold addresses and names."""

from typing import Any, Final

import redis
from celery import current_app
from django.conf import settings
from django.db import Error, connection
from kombu.exceptions import KombuError

from apps.dashboard.rules.doctor import RedisSigns

ANSWER_S_MAX: Final = 2


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


def queue_depths() -> dict[str, int]:
    """How many messages of each queue nobody has taken yet; empty where the broker does not answer."""
    with current_app.connection_for_write() as broker:
        away: tuple[type[BaseException], ...] = (
            OSError, KombuError, *broker.connection_errors, *broker.channel_errors
        )  # fmt: skip
        try:
            channel: Any = broker.default_channel
            return {name: int(channel.queue_declare(name).message_count) for name in current_app.amqp.queues}
        except away:
            return {}


def redis_signs() -> RedisSigns | None:
    """What Redis says of how it keeps things; None where there is none, or it does not answer."""
    if not settings.REDIS_URL:
        return None
    server = redis.Redis.from_url(
        settings.REDIS_URL, socket_connect_timeout=ANSWER_S_MAX, socket_timeout=ANSWER_S_MAX, max_connections=1
    )
    try:
        said: dict[str, Any] = server.info("persistence") | server.info("memory")
    except redis.ResponseError as error:
        return RedisSigns(trouble=f"does not say how it keeps things ({type(error).__name__})")
    except (redis.RedisError, OSError):
        return None
    finally:
        server.close()
    evicts = bool(said.get("maxmemory")) and said.get("maxmemory_policy") != "noeviction"
    return RedisSigns(writes=bool(said.get("aof_enabled")), evicts=evicts)


def layer_trouble() -> str:
    """What is wrong with the server that takes prices and news to sockets; empty where they stay in this process."""
    for host in settings.CHANNEL_LAYERS["default"].get("CONFIG", {}).get("hosts", ()):
        server = redis.Redis.from_url(
            host["address"], socket_connect_timeout=ANSWER_S_MAX, socket_timeout=ANSWER_S_MAX, max_connections=1
        )
        try:
            server.ping()
        except (redis.RedisError, OSError) as error:
            return f"does not answer ({type(error).__name__})"
        finally:
            server.close()
    return ""
