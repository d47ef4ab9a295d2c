"""Lines of the log as JSON: one object each, with the ids of what goes on, and without a secret."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils.module_loading import import_string

from apps.common import tracing
from apps.common.redaction import MASK, RedactingFormatter

KEY = "aika_0123456789ab_" + "f" * 64


@pytest.fixture(autouse=True)
def nothing_goes_on() -> Iterator[None]:
    """No ids of this test stay with the thread."""
    tracing.end()
    yield
    tracing.end()


def written(say: Any) -> list[dict[str, Any]]:
    """What the formatter of the settings makes of what `say(logger)` says."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(import_string(settings.LOGGING["formatters"]["json"]["()"])())
    logger = logging.Logger("aika.test")
    logger.addHandler(handler)
    say(logger)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_says_when_where_and_of_what() -> None:
    tracing.begin(request_id="abcdefgh", proposal_id="p-1", order_id=None)
    (line,) = written(lambda logger: logger.warning("Order %s waits.", 7, extra={"status": 503, "request": object()}))
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "warning",
        "logger": "aika.test",
        "message": "Order 7 waits.",
        "request_id": "abcdefgh",
        "proposal_id": "p-1",
        "status": 503,
    }, "an id that is nothing, and what nobody has looked at, are left out"


def test_a_secret_is_masked_in_message_field_and_traceback_and_the_line_stays_json() -> None:
    def fail(logger: logging.Logger) -> None:
        try:
            raise ValueError(f"refused {KEY}")
        except ValueError:
            logger.exception('with %r and {"password": "hunter22"}', KEY, extra={"path": f"/x?{KEY}"})

    (line,) = written(fail)
    assert KEY[-64:] not in json.dumps(line) and "hunter22" not in json.dumps(line)
    assert line["message"].count(MASK) == 2
    assert "ValueError: refused aika_0123456789ab_********" in line["exception"]


def test_an_id_that_is_a_key_is_masked_too() -> None:
    tracing.begin(request_id=KEY[:64])
    (line,) = written(lambda logger: logger.info("Asked."))
    assert line["request_id"] == f"aika_0123456789ab_{MASK}"


def test_a_visitor_writes_no_second_line() -> None:
    assert len(written(lambda logger: logger.warning("from %s", "x\n{}\r\u2028\x1b[2J"))) == 1


def test_a_line_of_words_has_the_ids_behind_it() -> None:
    record = logging.LogRecord("a", logging.INFO, "", 1, "Said.", (), None)
    tracing.begin(request_id="abcdefgh")
    tracing.bind(order_id="o-1")
    assert RedactingFormatter("{message}", style="{").format(record) == "Said. order_id=o-1 request_id=abcdefgh"


def test_one_piece_of_work_knows_nothing_of_the_one_before() -> None:
    tracing.begin(request_id="first-one", order_id="o-1")
    assert tracing.carried() == {"request_id": "first-one"}
    tracing.begin(task="trades.sweep")
    assert (tracing.bound(), tracing.carried()) == ({"task": "trades.sweep"}, {})
    tracing.end()
    assert tracing.bound() == {}


class TestRequests:
    """The header, and the line of each request."""

    @pytest.fixture
    def said(self) -> Iterator[list[logging.LogRecord]]:
        """The lines about requests, with the ids that are bound while each is written."""
        lines: list[logging.LogRecord] = []

        class Keeper(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                record.ids = tracing.bound()
                lines.append(record)

        logger, keeper = logging.getLogger("aika.requests"), Keeper()
        logger.addHandler(keeper)
        logger.setLevel(logging.DEBUG)
        yield lines
        logger.removeHandler(keeper)
        logger.setLevel(logging.NOTSET)

    def test_an_id_of_the_callers_own_is_kept_on_any_page(self, client: Client, said: list[Any]) -> None:
        answer = client.get("/healthz?key=secret", headers={"X-Request-Id": "my-own.request_1", "User-Agent": "probe"})
        assert answer.headers["X-Request-ID"] == "my-own.request_1"
        (line,) = said
        assert line.ids == {"request_id": "my-own.request_1"}
        assert (line.method, line.path, line.status, line.agent) == ("GET", "/healthz", 200, "probe")
        assert line.client == "127.0.0.1" and line.duration_ms >= 0
        assert line.levelno == logging.DEBUG, "a probe every few seconds buries nothing"
        assert tracing.bound() == {}, "and the thread is left as it was"

    @pytest.mark.parametrize("sent", ["", "short", "x" * 65, "with space in it", "line\nbreak", "é" * 8, 'quote"quote'])
    def test_what_is_no_plain_id_is_replaced(self, client: Client, sent: str) -> None:
        made = client.get("/healthz", headers={"X-Request-Id": sent}).headers["X-Request-ID"]
        assert made != sent and len(made) == 16 and int(made, 16) >= 0

    @pytest.mark.django_db
    def test_what_was_not_found_and_a_path_that_is_a_key(self, client: Client, said: list[Any]) -> None:
        assert client.get("/nowhere?q=1").status_code == 404
        client.get("/accounts/password/reset/key/1-set-a-secret/")
        assert [line.path for line in said][0] == "/nowhere"
        assert "1-set-a-secret" not in said[1].path and said[1].levelno == logging.INFO
