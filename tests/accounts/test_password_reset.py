"""Who forgot a password is mailed a link, and nobody learns from it who is here: not by the answer, not by its time."""

import logging
import re
import smtplib
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest
from celery import current_app
from django.core import mail
from django.core.cache import cache
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.test import Client, override_settings
from django.urls import reverse

from apps.accounts.models import User
from apps.accounts.tasks import send_reset_link
from tests.factories.accounts import PASSWORD

pytestmark = pytest.mark.django_db

NEW = "a new long password 8"
HERE, NOWHERE = "mara@example.com", "nobody@example.com"
Ask = Callable[[str], tuple[Any, list[tuple[str, dict[str, Any]]]]]


class Down(BaseEmailBackend):
    """A mail server that takes nothing."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        raise smtplib.SMTPServerDisconnected("not here")


down = override_settings(EMAIL_BACKEND=f"{__name__}.Down")


def waiting() -> list[tuple[str, dict[str, Any]]]:
    """Takes what waits in the queue: the names of tasks, and what they are told."""
    found = []
    with current_app.connection_for_read() as connection:
        queue = connection.SimpleQueue("default")
        with suppress(queue.Empty):
            while message := queue.get(block=False):
                message.ack()
                found.append((message.headers["task"], message.payload[1]))
        queue.close()
    return found


@pytest.fixture
def ask(django_capture_on_commit_callbacks: Any, approver: User) -> Ask:
    """Asks for a link, and says what was answered and which tasks left."""
    cache.clear()
    waiting()

    def asked(address: str) -> tuple[Any, list[tuple[str, dict[str, Any]]]]:
        client = Client(raise_request_exception=False)
        with django_capture_on_commit_callbacks(execute=True):
            answer = client.post(reverse("account_reset_password"), {"email": address})
        return answer, waiting()

    return asked


def said(answer: Any) -> tuple[int, str, bytes]:
    return answer.status_code, answer.get("Location", ""), answer.content


@pytest.mark.parametrize("server", ["up", "down"])
def test_the_answer_and_what_is_done_for_it_are_the_same_for_everybody(ask: Ask, approver: User, server: str) -> None:
    with override_settings(**({} if server == "up" else {"EMAIL_BACKEND": f"{__name__}.Down"})):
        (known, for_mara), (unknown, for_nobody) = ask(HERE), ask(NOWHERE)
    assert said(known) == said(unknown) == (302, reverse("account_reset_password_done"), b"")
    origin = "http://testserver"
    assert for_mara == [("accounts.send_reset_link", {"person_id": str(approver.pk), "origin": origin})]
    assert for_nobody == [("accounts.send_reset_link", {"person_id": None, "origin": origin})]
    assert mail.outbox == [], "nothing is mailed while somebody waits"


def test_allauth_s_own_form_tells_them_apart(ask: Ask) -> None:
    with down, override_settings(ACCOUNT_FORMS={}):
        assert (ask(HERE)[0].status_code, ask(NOWHERE)[0].status_code) == (500, 302)


def test_the_link_of_the_mail_works_once(ask: Ask, approver: User) -> None:
    told = [arguments for address in (HERE, NOWHERE) for _, arguments in ask(address)[1]]
    assert [send_reset_link(**arguments) for arguments in told] == [True, False]
    (message,) = mail.outbox
    assert message.to == [HERE]
    link = re.search(r"http://testserver(/\S+)", str(message.body))
    assert link
    client = Client()
    form = client.get(link[1], follow=True)
    done = client.post(form.redirect_chain[-1][0], {"password1": NEW, "password2": NEW})
    assert done.status_code == 302
    approver.refresh_from_db()
    assert approver.check_password(NEW) and not approver.check_password(PASSWORD)
    assert b"no longer works" in client.get(link[1], follow=True).content


def test_a_mail_that_is_not_taken_is_a_line_of_the_log_without_the_link(
    ask: Ask, approver: User, caplog: pytest.LogCaptureFixture
) -> None:
    ((_, told),) = ask(HERE)[1]
    with down, caplog.at_level(logging.INFO):
        assert send_reset_link(**told) is False
    assert f"user:{approver.pk} was not sent (SMTPServerDisconnected)" in caplog.text
    assert "/password/reset/key/" not in caplog.text


def test_nothing_is_mailed_to_who_left_or_with_a_link_to_another_host(ask: Ask, approver: User) -> None:
    ((_, told),) = ask(HERE)[1]
    assert send_reset_link(**{**told, "origin": "https://evil.example"}) is False
    User.objects.filter(pk=approver.pk).update(is_active=False)
    assert send_reset_link(**told) is False
    assert mail.outbox == []
