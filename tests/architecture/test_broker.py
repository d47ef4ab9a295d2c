"""The file broker: a message is whole or not there, is taken once, and waits for a worker that is not there yet."""

import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from kombu import Connection, Queue

from apps.common.tasks import queue_of
from config.broker import News
from config.settings import base

MESSAGES = 200
READERS = 4


@pytest.fixture
def broker(tmp_path: Path) -> dict[str, Any]:
    """Options of a broker in a folder of its own."""
    for name in ("queue", "taken"):
        (tmp_path / name).mkdir()
    return {
        "data_folder_in": str(tmp_path / "queue"),
        "data_folder_out": str(tmp_path / "queue"),
        "processed_folder": str(tmp_path / "taken"),
        "control_folder": str(tmp_path),
        "polling_interval": 0.001,
    }


def connect(options: dict[str, Any]) -> Connection:
    return Connection("filesystem://localhost", transport="config.broker:Transport", transport_options=options)


def test_each_message_is_taken_whole_by_one_reader_while_writers_write(broker: dict[str, Any]) -> None:
    taken: Counter[int] = Counter()
    lock = threading.Lock()
    start = threading.Barrier(READERS + 1)
    all_written = threading.Event()

    def read() -> None:
        with connect(broker) as connection, connection.SimpleQueue("default") as queue:
            start.wait()
            while True:
                nothing_will_follow = all_written.is_set()
                try:
                    message = queue.get(timeout=0.05)
                except queue.Empty:
                    if nothing_will_follow:
                        return
                    continue
                with lock:
                    taken[message.payload["n"]] += 1
                message.ack()

    with connect(broker) as connection, connection.SimpleQueue("default") as queue:
        threads = [threading.Thread(target=read) for _ in range(READERS)]
        for thread in threads:
            thread.start()
        start.wait()
        for number in range(MESSAGES):
            queue.put({"n": number, "text": "x" * 2000})
        all_written.set()
        for thread in threads:
            thread.join()

    assert taken == Counter(range(MESSAGES))
    assert list(Path(broker["data_folder_in"]).iterdir()) == []


def test_a_message_waits_for_its_own_queue_only(broker: dict[str, Any]) -> None:
    with connect(broker) as connection:
        with connection.SimpleQueue("execution") as execution:
            execution.put({"order": 1})
        with connection.SimpleQueue("default") as default, pytest.raises(default.Empty):
            default.get(timeout=0.05)
        with connection.SimpleQueue("execution") as execution:
            assert execution.get(timeout=1).payload == {"order": 1}


def test_who_waits_in_the_process_that_puts_a_message_need_not_look_again(
    broker: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = threading.Event()
    taken = []

    class Watched(News):
        def wait(self, seen: int, timeout_s: float) -> None:
            waiting.set()
            super().wait(seen, timeout_s)

    monkeypatch.setattr("config.broker.NEWS", Watched())
    monkeypatch.setattr("config.broker.WAIT_S_MAX", 300)

    def read() -> None:
        with connect(broker | {"polling_interval": 300}) as connection, connection.SimpleQueue("default") as queue:
            taken.append(queue.get(timeout=300).payload)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    assert waiting.wait(10)
    with connect(broker) as connection, connection.SimpleQueue("default") as queue:
        queue.put({"n": 1})
    reader.join(10)
    assert taken == [{"n": 1}]


def test_what_a_reader_had_in_hand_at_a_graceful_stop_is_put_back(broker: dict[str, Any]) -> None:
    with connect(broker) as connection:
        channel = connection.channel()
        Queue("default")(channel).declare()
        channel.basic_publish(channel.prepare_message(json.dumps({"n": 1})), exchange="", routing_key="default")
        assert channel.basic_get("default") is not None
        channel.close()
        assert len(list(Path(broker["data_folder_in"]).glob("*.default.msg"))) == 1


def test_a_task_goes_to_the_queue_that_publishing_by_name_says() -> None:
    for name, route in settings.CELERY_TASK_ROUTES.items():
        assert queue_of(name) == route["queue"]
    assert queue_of("trades.poll_open_orders") == settings.CELERY_TASK_DEFAULT_QUEUE
    assert base.CELERY_TASK_ROUTES["trades.execute_trade"] == {"queue": "execution"}
