"""One id from the call of the API to the call at the venue: on the lines of the web, of the task, and of the venue."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any
from uuid import uuid4

import pytest
from celery import current_app
from django.conf import settings
from django.test import Client
from django.utils.module_loading import import_string

from apps.common import tracing
from config.celery import app
from tests.factories.desk import PaperDesk
from tests.factories.trading import sent

pytestmark = pytest.mark.django_db

Committing = Callable[..., AbstractContextManager[object]]


@pytest.fixture
def lines() -> Iterator[Callable[..., list[dict[str, Any]]]]:
    """What the handlers of a server write from here on, by logger."""
    app.loader.import_default_modules()  # sets the log up once more, as in every worker
    stream, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(stream), root.level
    handler.setFormatter(import_string(settings.LOGGING["formatters"]["json"]["()"])())
    root.addHandler(handler)
    root.setLevel(logging.INFO)

    def of(logger: str) -> list[dict[str, Any]]:
        return [line for line in map(json.loads, stream.getvalue().splitlines()) if line["logger"] == logger]

    yield of
    root.removeHandler(handler)
    root.setLevel(level)
    tracing.end()


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any], dict[str, str]]]:
    """What is sent to the broker: name, arguments, headers."""
    taken: list[tuple[str, dict[str, Any], dict[str, str]]] = []

    def send(name: str, *, kwargs: dict[str, Any], headers: dict[str, str], **_how: Any) -> None:
        taken.append((name, kwargs, headers))

    monkeypatch.setattr(current_app._get_current_object(), "send_task", send)
    return taken


def test_from_the_api_to_the_venue(
    paper: PaperDesk, lines: Any, queue: list[Any], django_capture_on_commit_callbacks: Committing
) -> None:
    bot, people = Client(), Client()
    people.force_login(paper.approver, backend="allauth.account.auth_backends.AuthenticationBackend")
    asked = {
        "connection": paper.connection.slug,
        "instrument": "BTC-USD",
        "side": "BUY",
        "order_type": "LIMIT",
        "time_in_force": "GTC",
        "quantity": "0.01",
        "limit_price": str(paper.crossing_price("BTC-USD", paper.intent().side)),
        "rationale": "Because the test says so.",
    }
    with django_capture_on_commit_callbacks(execute=True):
        answer = bot.post(
            "/api/v1/trades/proposals",
            asked,
            content_type="application/json",
            headers={
                "Authorization": paper.authorization,
                "X-Request-Id": "the-robot-asks",
                "Idempotency-Key": str(uuid4()),
            },
        )
    proposal_id = answer.json()["id"]
    assert (answer.status_code, answer.headers["X-Request-ID"]) == (201, "the-robot-asks")
    ballot = people.get(f"/api/v1/approvals/{proposal_id}").json()
    with django_capture_on_commit_callbacks(execute=True):
        answer = people.post(
            f"/api/v1/approvals/{proposal_id}/approve",
            ballot["vote"] | {"comment": "Fine."},
            content_type="application/json",
            headers={"X-Request-Id": "mara-approves"},
        )
    assert answer.status_code == 200, answer.json()
    order_id = answer.json()["order_id"]
    (message,) = [one for one in queue if one[0] == "trades.execute_trade"]
    assert message == ("trades.execute_trade", {"order_id": order_id}, {"request_id": "mara-approves"})

    # As a worker: it compares first, and a message's headers become the task's; nothing of this thread is known to it.
    app.tasks["trades.reconcile"].apply(kwargs={"connection_id": str(paper.connection.pk)})
    name, arguments, headers = message
    with django_capture_on_commit_callbacks(execute=True):
        app.tasks[name].apply(kwargs=arguments, headers=headers, task_id="t" * 32)

    asks, _looks, approves = lines("aika.requests")
    compares, runs = lines("aika.tasks")
    (leaves,) = lines("aika.venue")
    assert (asks["request_id"], asks["proposal_id"]) == ("the-robot-asks", proposal_id)
    assert {line["request_id"] for line in (approves, runs, leaves)} == {"mara-approves"}
    assert {line["proposal_id"] for line in (asks, approves, runs, leaves)} == {proposal_id}
    assert {(line["order_id"], line["task_id"], line["task"]) for line in (runs, leaves)} == {
        (order_id, "t" * 32, "trades.execute_trade")
    }
    assert (leaves["method"], leaves["path"], leaves["status"]) == ("POST", "/api/v3/brokerage/orders", 200)
    assert runs["outcome"] == compares["outcome"] == "SUCCESS"
    assert "request_id" not in compares, "no request caused it"
    assert [headers for name, _, headers in queue if name == "trades.poll_order"] == [{"request_id": "mara-approves"}]
    (request,) = sent(paper)
    assert "mara-approves" not in json.dumps(request), "the venue is told nothing of it"
