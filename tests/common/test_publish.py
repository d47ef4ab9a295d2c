"""Tasks leave after the commit, by name, on the right queue."""

import logging
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, current_app
from django.db import transaction
from kombu import Connection

from apps.common.errors import (
    AikaError,
    Conflict,
    Denied,
    Forbidden,
    Invalid,
    Misconfigured,
    NotFound,
    OutcomeUnknown,
    Unavailable,
)
from apps.common.tasks import publish, queue_of


@pytest.fixture
def broker(tmp_path: Any) -> Iterator[Any]:
    """A filesystem broker of this test; yields a function that takes what waits in a queue."""
    before = current_app._get_current_object()
    app = Celery("publishing", broker="filesystem://", set_as_current=False)
    options = {name: str(tmp_path) for name in ("data_folder_in", "data_folder_out", "control_folder")}
    app.conf.broker_transport_options = options
    app.set_current()

    def waiting(queue: str) -> list[tuple[str, dict[str, Any]]]:
        found = []
        with Connection("filesystem://", transport_options=options) as connection:
            simple = connection.SimpleQueue(queue)
            while simple.qsize():
                message = simple.get(block=False)
                message.ack()
                found.append((message.headers["task"], message.payload[1]))
            simple.close()
        return found

    yield waiting
    before.set_current()


@pytest.mark.django_db(transaction=True)
def test_a_task_leaves_after_the_commit_and_never_after_a_rollback(broker: Any) -> None:
    order_id = uuid.uuid4()
    with transaction.atomic():
        publish("trades.execute_trade", order_id=order_id)
        assert broker("execution") == []
    assert broker("execution") == [("trades.execute_trade", {"order_id": str(order_id)})]
    with pytest.raises(RuntimeError), transaction.atomic():
        publish("trades.execute_trade", order_id=order_id)
        raise RuntimeError
    assert broker("execution") == []


@pytest.mark.django_db(transaction=True)
def test_outside_a_transaction_it_leaves_at_once_on_its_own_queue(broker: Any) -> None:
    publish("quotes.refresh", connection_id=3, force=True)
    assert broker("default") == [("quotes.refresh", {"connection_id": 3, "force": True})]
    assert broker("execution") == []
    assert (queue_of("trades.execute_trade"), queue_of("anything.else")) == ("execution", "default")


@pytest.mark.parametrize("argument", [1.5, {"id": 1}, [1], b"x", object()])
@pytest.mark.django_db
def test_only_ids_travel(argument: Any) -> None:
    with pytest.raises(TypeError):
        publish("trades.execute_trade", order=argument)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "filesystem://"])
def test_a_broken_broker_does_not_break_what_was_committed(
    broker: Any, url: str, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    app = current_app._get_current_object()
    app.conf.broker_url = url
    app.conf.broker_transport_options = {"data_folder_out": str(tmp_path / "no" / "such")} if url[0] == "f" else {}
    done = []
    with caplog.at_level(logging.WARNING, logger="apps.common.tasks"), transaction.atomic():
        publish("trades.execute_trade", order_id=1)
        transaction.on_commit(lambda: done.append(True))
    assert done == [True]
    assert "trades.execute_trade" in caplog.text
    assert "a sweep will find it" in caplog.text


def test_every_kind_of_error_says_what_to_do() -> None:
    kinds = [Invalid, Forbidden, NotFound, Conflict, Denied, Unavailable, OutcomeUnknown, Misconfigured]
    assert [kind.http_status for kind in kinds] == [400, 403, 404, 409, 422, 503, 202, 500]
    error = Denied(
        "NOTIONAL_EXCEEDS_MAX", "Too much.", fix="Ask for less.", field="quantity", notional="1200", max="1000"
    )
    assert isinstance(error, AikaError)
    assert str(error) == "NOTIONAL_EXCEEDS_MAX: Too much. (notional=1200, max=1000)"
    assert (error.fix, error.field, error.details) == ("Ask for less.", "quantity", {"notional": "1200", "max": "1000"})
