"""Refused calls of a hook: one alarm for many of them, none for a mistake, and over when it is over."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts.services import api_keys
from apps.accounts.services.people import actor_of
from apps.audit.models import Alarm
from apps.audit.selectors import open_alarms
from apps.audit.services import alarms
from apps.trades.models import HookCall
from apps.trades.services import hooks
from tests.factories.alarms import Receiver, is_open, swept
from tests.factories.desk import PaperDesk
from tests.hooks.conftest import Sender, make_sender

pytestmark = pytest.mark.django_db

ELSEWHERE, REFUSED = "HOOK_USED_ELSEWHERE", "HOOK_CALLS_REFUSED"
MICROSECOND = timedelta(microseconds=1)
WRONG = "t=1,v1=" + "0" * 64


def subject(sender: Sender) -> str:
    return f"hook:{sender.hook.pk}"


def last_call(sender: Sender) -> datetime:
    return HookCall.objects.filter(hook=sender.hook).latest("called_at").called_at


def call_wrongly(sender: Sender, times: int) -> None:
    for number in range(times):
        assert sender.send(sender.body(alert=str(number)), signature=WRONG)[0] == 401


def call_from_elsewhere(sender: Sender, times: int) -> None:
    for number in range(times):
        status, said = sender.send(sender.body(alert=str(number)))
        assert (status, said["code"]) == (403, "HOOK_ADDRESS_REFUSED")


@pytest.fixture
def elsewhere(paper: PaperDesk) -> Sender:
    """A sender that has the secret and sits outside the networks of the hook."""
    return make_sender(paper, networks=["203.0.113.0/24"])


def test_a_right_secret_from_elsewhere_is_one_alarm_however_often_it_came(elsewhere: Sender) -> None:
    call_from_elsewhere(elsewhere, 6)
    at = last_call(elsewhere) + MICROSECOND
    receiver = Receiver()
    swept(at, senders=[receiver])
    swept(at + timedelta(seconds=10), senders=[receiver])
    (alarm,) = Alarm.objects.filter(subject=subject(elsewhere))
    assert (alarm.code, alarm.extent) == (ELSEWHERE, 6)
    assert elsewhere.hook.name in alarm.message and "127.0.0.1" in alarm.message
    assert elsewhere.secret not in alarm.message
    assert [told.code for told in receiver.heard if told.subject == subject(elsewhere)] == [ELSEWHERE]


def test_one_such_call_is_enough_and_one_within_the_networks_is_nothing(paper: PaperDesk, elsewhere: Sender) -> None:
    here = make_sender(paper, networks=["127.0.0.0/8"])
    assert here.send()[0] == 201
    call_from_elsewhere(elsewhere, 1)
    swept(last_call(elsewhere) + MICROSECOND)
    assert is_open(ELSEWHERE, subject(elsewhere))
    assert not is_open(ELSEWHERE, subject(here))


def test_a_wrong_secret_from_elsewhere_proves_nothing(elsewhere: Sender) -> None:
    call_wrongly(elsewhere, 1)
    swept(last_call(elsewhere) + MICROSECOND)
    assert not open_alarms().filter(subject=subject(elsewhere)).exists()


def test_it_is_over_a_day_after_the_last_such_call(elsewhere: Sender) -> None:
    call_from_elsewhere(elsewhere, 1)
    end = last_call(elsewhere) + timedelta(days=1)
    swept(end)
    assert is_open(ELSEWHERE, subject(elsewhere))
    swept(end + MICROSECOND)
    assert not is_open(ELSEWHERE, subject(elsewhere))


@pytest.mark.parametrize("dealt_with", ["another secret", "switched off", "key revoked"])
def test_it_is_over_when_the_copied_secret_is_worth_nothing(
    elsewhere: Sender, paper: PaperDesk, dealt_with: str
) -> None:
    call_from_elsewhere(elsewhere, 1)
    at, hook, actor = last_call(elsewhere) + MICROSECOND, elsewhere.hook, actor_of(paper.risk)
    swept(at)
    assert is_open(ELSEWHERE, subject(elsewhere))
    if dealt_with == "another secret":
        hooks.rotate(hook_id=hook.pk, expires_at=at + timedelta(days=9), actor=actor, now=at)
    elif dealt_with == "switched off":
        hooks.disable(hook_id=hook.pk, actor=actor, now=at)
    else:
        api_keys.revoke(key_id=hook.api_key_id, actor=actor, now=at)
    swept(at + MICROSECOND)
    assert not is_open(ELSEWHERE, subject(elsewhere))


def test_it_is_over_with_the_last_moment_of_the_key(elsewhere: Sender, paper: PaperDesk) -> None:
    now = timezone.now()
    end = now + timedelta(hours=1)
    _, secret = hooks.rotate(hook_id=elsewhere.hook.pk, expires_at=end, actor=actor_of(paper.risk), now=now)
    call_from_elsewhere(replace(elsewhere, secret=secret), 1)
    swept(end - MICROSECOND)
    assert is_open(ELSEWHERE, subject(elsewhere))
    swept(end)
    assert not is_open(ELSEWHERE, subject(elsewhere))


def test_five_refusals_are_one_alarm_and_four_are_none(signing: Sender) -> None:
    call_wrongly(signing, 4)
    swept(last_call(signing) + MICROSECOND)
    assert not is_open(REFUSED, subject(signing))
    call_wrongly(signing, 1)
    at = last_call(signing) + MICROSECOND
    swept(at)
    swept(at + timedelta(seconds=10))
    (alarm,) = Alarm.objects.filter(subject=subject(signing))
    assert (alarm.code, alarm.extent) == (REFUSED, 5)
    assert signing.hook.name in alarm.message and "HOOK_NOT_AUTHENTIC" in alarm.message


def test_whatever_refuses_the_sender_counts_and_what_was_taken_does_not(signing: Sender) -> None:
    call_wrongly(signing, 2)
    for number in range(2):
        assert signing.send(signing.body(ticker="NOPE", alert=str(number)))[0] == 422
    assert [signing.send(signing.body(alert=text))[0] for text in ("a", "b", "c")] == [201] * 3
    swept(last_call(signing) + MICROSECOND)
    assert not is_open(REFUSED, subject(signing))
    assert signing.send(signing.body(ticker="NOPE", alert="last"))[0] == 422
    swept(last_call(signing) + MICROSECOND)
    (alarm,) = open_alarms().filter(subject=subject(signing))
    assert "HOOK_VALUE_UNMAPPED" in alarm.message


def test_refusals_that_lie_further_apart_are_none(signing: Sender) -> None:
    call_wrongly(signing, 5)
    first = HookCall.objects.filter(hook=signing.hook).earliest("called_at").called_at
    end = first + timedelta(minutes=15)
    swept(end)
    assert is_open(REFUSED, subject(signing))
    swept(end + MICROSECOND)
    assert not is_open(REFUSED, subject(signing))


def test_what_people_switched_off_or_took_before_is_no_alarm(signing: Sender, paper: PaperDesk) -> None:
    body = signing.body()
    signature = signing.signed(body)
    assert signing.send(body, signature=signature)[0] == 201
    assert [signing.send(body, signature=signature)[0] for _ in range(5)] == [409] * 5
    swept(last_call(signing) + MICROSECOND)
    assert not is_open(REFUSED, subject(signing))
    hooks.disable(hook_id=signing.hook.pk, actor=actor_of(paper.risk), now=timezone.now())
    assert [signing.send(signing.body(alert=str(number)))[0] for number in range(5)] == [403] * 5
    call_wrongly(signing, 5)
    swept(last_call(signing) + MICROSECOND)
    assert not is_open(REFUSED, subject(signing))


def test_each_hook_counts_for_itself(paper: PaperDesk, signing: Sender) -> None:
    other = make_sender(paper)
    call_wrongly(signing, 3)
    call_wrongly(other, 3)
    swept(last_call(other) + MICROSECOND)
    assert not open_alarms().filter(code=REFUSED).exists()


def test_acknowledged_it_is_not_told_again_unless_it_doubles(signing: Sender, paper: PaperDesk) -> None:
    call_wrongly(signing, 5)
    receiver = Receiver()
    at = last_call(signing) + MICROSECOND
    swept(at, senders=[receiver])
    (alarm,) = open_alarms().filter(code=REFUSED)
    alarms.acknowledge(alarm_id=alarm.pk, actor=actor_of(paper.risk), now=at)
    call_wrongly(signing, 4)
    swept(last_call(signing) + MICROSECOND, senders=[receiver])
    alarm.refresh_from_db()
    assert alarm.acknowledged_by
    call_wrongly(signing, 1)
    swept(last_call(signing) + MICROSECOND, senders=[receiver])
    alarm.refresh_from_db()
    assert (alarm.acknowledged_by, alarm.extent) == ("", 10)


def test_it_stands_in_the_console_and_among_the_metrics(
    elsewhere: Sender, paper: PaperDesk, client: Client, settings: Any
) -> None:
    settings.METRICS_TOKEN = "tests-only-" + "m" * 32
    call_from_elsewhere(elsewhere, 1)
    swept(last_call(elsewhere) + MICROSECOND)
    client.force_login(paper.risk)
    page = client.get("/admin/audit/alarm/").content.decode()
    assert ELSEWHERE in page and elsewhere.hook.name in page
    said = client.get("/metrics", headers={"Authorization": f"Bearer {settings.METRICS_TOKEN}"}).content.decode()
    assert f'code="{ELSEWHERE}"' in said and f'code="{REFUSED}"' in said
