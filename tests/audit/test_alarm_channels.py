"""An alarm gets to a web server that verifies it as the documentation says, and to a mail server."""

import json
import logging
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core import mail
from django.core.checks import run_checks
from django.test import override_settings

from apps.audit.models import Alarm, Delivery
from apps.audit.rules import webhooks
from apps.audit.services import alarms, channels, notices, webhook
from apps.audit.services.mail import Mail
from apps.audit.types import Message, Says
from tests.audit.receivers import MailReceiver, WebReceiver, running

SECRET = "0123456789abcdef" * 3
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def web(settings: Any) -> Iterator[WebReceiver]:
    with running(WebReceiver()) as server:
        settings.ALARM_WEBHOOK_URL, settings.ALARM_WEBHOOK_SECRET = server.url, SECRET
        yield server


@pytest.fixture
def post(settings: Any) -> Iterator[MailReceiver]:
    with running(MailReceiver()) as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.server_address[1]
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        settings.ALARM_EMAIL_TO = ("night@desk.example", "ops@desk.example")
        yield server


@pytest.fixture
def message(now: datetime) -> Message:
    return Message(
        key=UUID(int=7),
        number=2,
        code="ORDER_UNKNOWN",
        subject="order:1",
        message="No answer.\nBcc: everybody@example.org",
        means="It may exist.",
        do="Wait.",
        extent=1,
        since=now,
        environment="test",
        says=Says.OPEN,
        at=now,
        by="",
    )


def documented() -> Callable[[str, bytes, str, float], bool]:
    """The recipe in docs/alarms.md, as a receiver would paste it."""
    page = (ROOT / "docs" / "alarms.md").read_text(encoding="utf-8")
    found = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert found is not None
    names: dict[str, Any] = {}
    exec(found.group(1), names)  # noqa: S102  our own page
    return names["is_genuine"]  # type: ignore[no-any-return]


def documented_body() -> dict[str, Any]:
    """The object that docs/alarms.md shows."""
    page = (ROOT / "docs" / "alarms.md").read_text(encoding="utf-8")
    found = re.search(r"^    (\{.*?\})$", page, re.DOTALL | re.MULTILINE)
    assert found is not None
    return json.loads(found.group(1))  # type: ignore[no-any-return]


class TestWebhook:
    def test_the_receiver_verifies_it_by_the_documented_recipe(
        self, web: WebReceiver, message: Message, now: datetime
    ) -> None:
        answer = webhook.Webhook().send(message, now=now)
        assert (answer.delivered, answer.text) == (True, "answered 204")
        ((path, headers, body),) = web.got
        is_genuine, signed, sent_at = documented(), headers["aika-signature"], now.timestamp()
        assert is_genuine(signed, body, SECRET, sent_at)
        assert is_genuine(signed, body, SECRET, sent_at + 300)
        assert not is_genuine(signed, body, SECRET, sent_at + 302), "an old one is played again"
        assert not is_genuine(signed, body + b" ", SECRET, sent_at)
        assert not is_genuine(signed, body, SECRET[:-1] + "!", sent_at)
        assert not is_genuine(signed.replace("t=1", "t=2"), body, SECRET, sent_at + 1_000_000_000)
        assert path == "/alarms?for=desk"
        assert headers["aika-alarm-id"] == json.loads(body)["id"] == str(message.key)
        assert json.loads(body)["message"] == message.message
        assert set(json.loads(body)) == set(documented_body()), "docs/alarms.md shows every name"

    @pytest.mark.parametrize("says", [Says.ACKNOWLEDGED, Says.OVER])
    def test_the_end_of_it_is_said_as_docs_alarms_shows(
        self, web: WebReceiver, message: Message, now: datetime, says: Says
    ) -> None:
        assert webhook.Webhook().send(replace(message, says=says, by="Mara"), now=now).delivered
        body = json.loads(web.got[0][2])
        assert (body["state"], body["by"], body["at"]) == (says.value, "Mara", "2026-03-02T14:46:00.000000Z")

    def test_a_redirect_is_not_followed(self, web: WebReceiver, message: Message, now: datetime) -> None:
        web.status, web.location = 307, web.url.replace("alarms", "elsewhere")
        answer = webhook.Webhook().send(message, now=now)
        assert (answer.delivered, answer.text, len(web.got)) == (False, "answered 307", 1)

    @pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
    def test_anything_but_2xx_is_no_delivery(
        self, web: WebReceiver, message: Message, now: datetime, status: int
    ) -> None:
        web.status = status
        assert not webhook.Webhook().send(message, now=now).delivered

    def test_a_server_that_is_away_is_an_answer_without_its_address(
        self, message: Message, now: datetime, settings: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            settings.ALARM_WEBHOOK_URL = f"http://127.0.0.1:{taken.getsockname()[1]}/token-in-the-path"
            settings.ALARM_WEBHOOK_SECRET = SECRET
            with caplog.at_level(logging.DEBUG):
                answer = webhook.Webhook().send(message, now=now)
        assert not answer.delivered
        assert "token-in-the-path" not in answer.text
        kept = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore", "asyncio"))]
        assert "token-in-the-path" not in str([record.getMessage() for record in kept])

    def test_a_server_that_drips_does_not_outlast_the_whole_deadline(
        self, message: Message, now: datetime, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(webhook, "TOTAL_S", 0.15)
        ended = threading.Event()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            settings.ALARM_WEBHOOK_URL = f"http://127.0.0.1:{listener.getsockname()[1]}/"
            settings.ALARM_WEBHOOK_SECRET = SECRET

            def drip() -> None:
                peer, _ = listener.accept()
                with peer:
                    for byte in b"HTTP/1.1 200 OK\r\nX: " + b"a" * 10_000:
                        try:
                            peer.sendall(bytes([byte]))
                        except OSError:
                            return
                        if ended.wait(0.02):
                            return

            thread = threading.Thread(target=drip, daemon=True)
            thread.start()
            answer = webhook.Webhook().send(message, now=now)
            ended.set()
            thread.join()
        assert (answer.delivered, answer.text) == (False, "no answer within 0.15 s")


class TestRefused:
    @pytest.mark.parametrize(
        ("url", "secret", "environment", "part"),
        [
            ("https://desk.example/x", SECRET, "production", ""),
            ("https://desk.example/x", SECRET[:31], "production", "32 characters"),
            ("https://desk.example/x", "", "production", "32 characters"),
            ("http://desk.example/x", SECRET, "production", "https"),
            ("http://127.0.0.1/x", SECRET, "production", "https"),
            ("http://desk.example/x", SECRET, "local", "this machine"),
            ("http://127.0.0.1:9/x", SECRET, "local", ""),
            ("http://localhost/x", SECRET, "local", ""),
            ("http://localhost.evil.example/x", SECRET, "local", "this machine"),
            ("https://u:hunter2@desk.example/", SECRET, "production", "name or password"),
            ("https://", SECRET, "production", "no address"),
            ("https://desk.example:99999/", SECRET, "production", "no address"),
            ("https://desk.example/#part", SECRET, "production", "#"),
            ("ftp://desk.example/", SECRET, "production", "no address"),
        ],
    )
    def test_addresses_and_secrets(self, url: str, secret: str, environment: str, part: str) -> None:
        said = webhooks.why_not(url=url, secret=secret, environment=environment)
        assert bool(said) == bool(part)
        assert part in said
        assert "hunter2" not in said and SECRET[:31] not in said

    def test_nothing_is_sent_and_the_check_says_so_before(
        self, web: WebReceiver, message: Message, now: datetime, settings: Any
    ) -> None:
        settings.ALARM_WEBHOOK_SECRET = "short"
        assert not webhook.Webhook().send(message, now=now).delivered
        assert web.got == []
        assert "audit.E004" in {found.id for found in run_checks(tags=["security"])}
        settings.ALARM_WEBHOOK_SECRET = SECRET
        assert "audit.E004" not in {found.id for found in run_checks(tags=["security"])}

    def test_mail_in_the_clear_leaves_no_production(self) -> None:
        def found(**changes: Any) -> bool:
            wrong = {
                "ENVIRONMENT": "production",
                "ALARM_EMAIL_TO": ("a@desk.example",),
                "EMAIL_HOST": "mail.desk.example",
                "EMAIL_SECURITY": "none",
            }
            with override_settings(**(wrong | changes)):
                return "audit.E005" in {item.id for item in run_checks(tags=["security"])}

        assert found()
        assert not found(EMAIL_SECURITY="starttls")
        assert not found(EMAIL_HOST="localhost")
        assert not found(ALARM_EMAIL_TO=())
        assert not found(ENVIRONMENT="local")


class TestMail:
    def test_everybody_gets_it_over_a_real_server(self, post: MailReceiver, message: Message, now: datetime) -> None:
        answer = Mail().send(message, now=now)
        assert answer.delivered
        ((to, got),) = post.mails
        assert to == ["night@desk.example", "ops@desk.example"]
        assert got["Message-ID"] == f"<{message.key}@alarms.aika>"
        assert got["Subject"] == "[Aika] ORDER_UNKNOWN (told 2 times): No answer. Bcc: everybody@example.org"
        assert got["Bcc"] is None, "a line break in a venue's text adds no header"
        text = got.get_content()
        assert "What to do: Wait." in text and "since 14:46 UTC" in text

    @pytest.mark.parametrize(
        ("says", "by", "subject", "text"),
        [
            (Says.ACKNOWLEDGED, "Mara", "(acknowledged by Mara)", "Mara acknowledged it, 14:46 UTC. It is still open"),
            (Says.OVER, "", "(over)", "It is over, 14:46 UTC."),
        ],
    )
    def test_a_mail_says_how_it_ended(
        self, post: MailReceiver, message: Message, now: datetime, says: Says, by: str, subject: str, text: str
    ) -> None:
        assert Mail().send(replace(message, says=says, by=by), now=now).delivered
        ((_, got),) = post.mails
        assert subject in got["Subject"] and "told" not in got["Subject"]
        assert text in got.get_content()
        assert ("What to do" in got.get_content()) == (says is not Says.OVER)

    def test_a_server_that_refuses_or_is_away_is_no_delivery(
        self, post: MailReceiver, message: Message, now: datetime, settings: Any
    ) -> None:
        post.refuses = True
        refused = Mail().send(message, now=now)
        assert not refused.delivered and "desk.example" not in refused.text
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            settings.EMAIL_PORT = taken.getsockname()[1]
            assert not Mail().send(message, now=now).delivered


@pytest.mark.django_db
def test_a_telling_goes_every_way_that_is_set_up_and_every_attempt_is_kept(
    web: WebReceiver, now: datetime, settings: Any
) -> None:
    """Django's own outbox for the mail: which server takes it is tested above."""
    settings.ALARM_EMAIL_TO = ("night@desk.example",)
    alarms.raise_alarm(code="FILLS_DIFFER", subject="order:1", message="They differ.", now=now)
    web.status = 500
    ways = channels.configured()
    notices.tell_due(channels=[way.channel for way in ways], now=now)
    assert notices.send_owed(senders=ways, clock=lambda: now) == 2
    assert [sent.to for sent in mail.outbox] == [["night@desk.example"]]
    assert set(Delivery.objects.values_list("channel", "delivered", "answer")) == {
        ("LOG", True, "written"),
        ("EMAIL", True, "taken by the mail server"),
        ("WEBHOOK", False, "answered 500"),
    }
    assert Alarm.objects.get().told == 1


@pytest.mark.django_db
def test_without_any_address_there_is_the_log(settings: Any) -> None:
    assert [way.channel for way in channels.configured()] == ["LOG"]
