"""What is kept of a second factor and does not open lets nobody in, and is said to its person and told elsewhere."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from cryptography.fernet import Fernet
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client, override_settings
from django.urls import reverse

from apps.accounts.models import User
from apps.audit.models import Alarm, Event
from apps.audit.selectors import facts_of
from apps.common.encryption import SEALED_PREFIX
from tests.accounts.test_second_factor import entered, is_in, options_in, password
from tests.accounts.test_second_factor_rows import MINE, THEIRS, in_with, overwrite, raw
from tests.factories.accounts import PASSWORD
from tests.factories.soft_key import SoftKey, app_for, code_of

pytestmark = pytest.mark.django_db
CODE = "SECOND_FACTOR_UNREADABLE"
WAYS = {
    "moved": ("SECRET_MOVED", lambda other: other),
    "cut": ("SECRET_UNREADABLE", lambda other: other[:-20] + other[-2:]),
    "not sealed": ("SECRET_UNREADABLE", lambda other: json.dumps({"secret": THEIRS})),
    "gone": ("SECRET_MALFORMED", lambda other: "{}"),
    "of another kind": ("SECRET_MALFORMED", lambda other: '{"secret": 1}'),
    "no object": ("SECRET_MALFORMED", lambda other: "[]"),
}


@pytest.fixture(autouse=True)
def clock() -> Iterator[None]:
    """Time stands still, so that a code is a code of one period."""
    with time_machine.travel(1_800_000_000, tick=False):
        yield


def refused(person: User, code: str) -> str:
    """What the sign-in's second step says to this code; nobody is in afterwards, and nothing broke."""
    cache.clear()
    client = Client()
    password(client, person)
    answer = client.post(reverse("mfa_authenticate"), {"code": code})
    assert answer.status_code == 403 and not is_in(client)
    return str(answer.content.decode())


def found_by_doctor() -> tuple[str, str]:
    out = io.StringIO()
    with pytest.raises(SystemExit):  # a desk of tests has other things to look at
        call_command("doctor", "--json", "--offline", stdout=out)
    (line,) = [row for row in json.loads(out.getvalue())["checks"] if row["check"] == "second factors"]
    return line["verdict"], line["found"]


def said_in(event: Event) -> Any:
    return facts_of(event)["payload"]


def alarm_open() -> bool:
    return Alarm.objects.filter(code=CODE, cleared_at=None).exists()


@pytest.mark.parametrize("way", WAYS)
def test_an_app_whose_secret_does_not_open_lets_nobody_in_and_is_told_everywhere(
    way: str, approver: User, trader: User, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    app_for(approver, THEIRS), app_for(trader, MINE)
    why, change = WAYS[way]
    assert in_with(approver, code_of(THEIRS)) and found_by_doctor()[0] == "ok"
    whole = raw(approver)
    overwrite(approver, change(raw(trader)))

    for code in (code_of(THEIRS), code_of(MINE), "000000"):
        said = refused(approver, code)
    assert "authenticator app cannot be read" in said and "Ask an administrator" in said
    assert in_with(trader, code_of(MINE)), "somebody else's is theirs as before"

    alarm = Alarm.objects.get(code=CODE)
    told = f"authenticator app of {approver.username} ({why})"
    assert alarm.subject == f"user:{approver.pk}" and told in alarm.message
    event = Event.objects.get(kind="user.second_factor_unreadable")
    assert (event.subject, said_in(event)["closed"]) == (f"user:{approver.pk}", [f"authenticator app: {why}"])
    assert found_by_doctor() == ("fail", f"1 row that does not open: {told}")
    for text in (caplog.text, said, alarm.message, json.dumps(said_in(event))):
        assert not any(secret in text for secret in (THEIRS, MINE, SEALED_PREFIX, code_of(THEIRS)))

    overwrite(approver, whole)
    assert in_with(approver, code_of(THEIRS)), "what was written is there again"
    assert not alarm_open() and found_by_doctor()[0] == "ok"


def test_recovery_codes_that_do_not_open_are_as_bad_and_no_page_breaks_on_them(approver: User, trader: User) -> None:
    app_for(approver, THEIRS), app_for(trader, MINE)
    codes = [RecoveryCodes.activate(person).generate_codes() for person in (approver, trader)]
    pages = ("mfa_index", "mfa_view_recovery_codes", "mfa_download_recovery_codes", "mfa_generate_recovery_codes")
    client = Client()
    password(client, approver)
    client.post(reverse("mfa_authenticate"), {"code": code_of(THEIRS)})
    client.post(reverse("mfa_reauthenticate"), {"code": codes[0][0]})
    assert [client.get(reverse(page)).status_code for page in pages] == [200] * 4

    overwrite(approver, raw(trader, "recovery_codes"), "recovery_codes")
    assert [client.get(reverse(page)).status_code for page in pages] == [403] * 4
    assert client.post(reverse("mfa_generate_recovery_codes")).status_code == 403
    assert client.post(reverse("mfa_reauthenticate"), {"code": codes[0][1]}).status_code == 403
    for code in (codes[0][1], codes[1][1], code_of(THEIRS)):
        assert "recovery codes cannot be read" in refused(approver, code)
    assert Event.objects.filter(kind="user.second_factor_unreadable").count() == 1
    assert Client().get(reverse("mfa_index")).status_code == 302, "a stranger is led to the sign-in"


def test_an_administrator_takes_it_away_and_the_person_sets_up_another(approver: User, admin_user: User) -> None:
    app_for(approver, THEIRS)
    overwrite(approver, "{}")
    refused(approver, code_of(THEIRS))
    admin, page = Client(), reverse("admin:accounts_user_sign_in", args=[approver.pk])
    admin.force_login(admin_user)
    assert "authenticator app cannot be read (SECRET_MALFORMED)" in admin.get(page).content.decode()
    assert alarm_open()
    admin.post(page, {"verb": "factors"})
    assert not alarm_open() and "cannot be read" not in admin.get(page).content.decode()

    client = entered(approver)
    secret = client.get(reverse("mfa_activate_totp")).context["form"].secret
    client.post(reverse("mfa_activate_totp"), {"code": code_of(secret)})
    assert in_with(approver, code_of(secret)) and not in_with(approver, code_of(THEIRS))


def test_a_security_key_still_counts_and_its_owner_takes_the_app_away(approver: User) -> None:
    key = SoftKey().belongs_to(approver)
    app_for(approver, THEIRS)
    overwrite(approver, "{}")
    refused(approver, code_of(THEIRS))
    client = Client()
    password(client, approver)
    asked = options_in(client.get(reverse("mfa_authenticate"), secure=True))
    client.post(reverse("mfa_authenticate"), {"credential": key.get(asked)}, secure=True)
    assert is_in(client) and alarm_open()
    asked = options_in(client.get(reverse("mfa_reauthenticate_webauthn"), secure=True))
    client.post(reverse("mfa_reauthenticate_webauthn"), {"credential": key.get(asked)}, secure=True)
    client.post(reverse("mfa_deactivate_totp"), secure=True)
    assert not Authenticator.objects.filter(user=approver, type="totp").exists() and not alarm_open()


def test_without_the_key_it_was_sealed_with_it_is_said_of_everybody(approver: User, trader: User) -> None:
    app_for(approver, THEIRS), app_for(trader, MINE)
    with override_settings(TOKEN_ENCRYPTION_KEYS=(Fernet.generate_key().decode(),)):
        refused(approver, code_of(THEIRS))
        verdict, found = found_by_doctor()
    assert verdict == "fail" and found.startswith("2 rows that do not open: ") and "SECRET_UNREADABLE" in found
    assert in_with(approver, code_of(THEIRS)) and not alarm_open()


@override_settings(SECOND_FACTOR_REQUIRED=True)
def test_who_must_have_one_and_whose_does_not_open_gets_to_nothing(approver: User) -> None:
    app_for(approver, THEIRS)
    client = Client()
    client.force_login(approver)
    overwrite(approver, "{}")
    led: Any = client.get("/admin/")
    assert led["Location"].startswith(reverse("mfa_reauthenticate"))
    assert client.post(led["Location"], {"code": code_of(THEIRS)}).status_code == 403
    assert client.post(reverse("account_reauthenticate"), {"password": PASSWORD}).status_code == 303
    assert client.get("/admin/").status_code == 303
    assert client.get(reverse("mfa_activate_totp")).status_code in {302, 303}
