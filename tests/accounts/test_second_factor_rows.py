"""A second factor's secret opens in the row that it was written for, and in no other: not another person's, not another
kind's. So nobody who can write in the table signs in as somebody else with a factor of their own."""

import io
import threading
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from cryptography.fernet import Fernet
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection, connections
from django.test import Client, override_settings
from django.urls import reverse

from apps.accounts.models import User
from apps.accounts.second_factor import SecondFactorAdapter
from apps.common.encryption import SEALED_PREFIX, open_text, seal_text
from apps.common.errors import Misconfigured
from tests.factories.accounts import PASSWORD
from tests.factories.migrating import migrating
from tests.factories.soft_key import app_for, code_of

pytestmark = pytest.mark.django_db
THEIRS, MINE = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", "KRSXG5CTMVRXEZLUKRSXG5CTMVRXEZLU"
OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))


def in_with(person: User, code: str) -> bool:
    """Whether password and code let this person in."""
    cache.clear()
    client = Client(raise_request_exception=False)
    client.post(reverse("account_login"), {"login": person.username, "password": PASSWORD})
    client.post(reverse("mfa_authenticate"), {"code": code})
    return "_auth_user_id" in client.session


def raw(person: User, type_: str = "totp") -> str:
    """What the table holds."""
    with connection.cursor() as cursor:
        user = Authenticator._meta.get_field("user").get_db_prep_value(person.pk, connection)
        cursor.execute("SELECT data FROM mfa_authenticator WHERE user_id = %s AND type = %s", [user, type_])
        return str(cursor.fetchone()[0])


def overwrite(person: User, data: str, type_: str = "totp") -> None:
    """As somebody with the database's password does it."""
    with connection.cursor() as cursor:
        user = Authenticator._meta.get_field("user").get_db_prep_value(person.pk, connection)
        change = "UPDATE mfa_authenticator SET data = %s WHERE user_id = %s AND type = %s"
        cursor.execute(change, [data.replace("'", '"'), user, type_])


def test_of_two_that_were_swapped_neither_opens_and_both_do_again_in_their_places(approver: User, trader: User) -> None:
    app_for(approver, THEIRS), app_for(trader, MINE)
    with time_machine.travel(1_800_000_000, tick=False):
        assert in_with(approver, code_of(THEIRS)) and in_with(trader, code_of(MINE))
        before = raw(approver), raw(trader)
        overwrite(approver, before[1])
        overwrite(trader, before[0])
        for person in (approver, trader):
            assert not in_with(person, code_of(MINE)) and not in_with(person, code_of(THEIRS))
            with pytest.raises(Misconfigured, match="SECRET_MOVED"):
                Authenticator.objects.get(user=person).wrap().validate_code(code_of(MINE))
        overwrite(approver, before[0])
        overwrite(trader, before[1])
        assert in_with(approver, code_of(THEIRS)) and in_with(trader, code_of(MINE))


def test_recovery_codes_are_their_persons_alone_also_after_one_was_used(approver: User, trader: User) -> None:
    app_for(approver), app_for(trader)
    theirs, mine = (RecoveryCodes.activate(person).generate_codes() for person in (approver, trader))
    assert in_with(approver, theirs[0]) and not in_with(approver, theirs[0]) and in_with(approver, theirs[1])
    kept = raw(approver, "recovery_codes")
    overwrite(approver, raw(trader, "recovery_codes"), "recovery_codes")
    assert not in_with(approver, mine[0]) and not in_with(approver, theirs[2])
    overwrite(approver, kept, "recovery_codes")
    assert in_with(approver, theirs[2])


def test_neither_another_kind_s_nor_one_of_no_row_opens(approver: User) -> None:
    app_for(approver, THEIRS)
    RecoveryCodes.activate(approver)
    row = Authenticator.objects.get(user=approver, type="totp")
    codes = Authenticator.objects.get(user=approver, type="recovery_codes")
    codes.data = {**codes.data, "seed": str(row.data["secret"])}
    codes.save()
    with pytest.raises(Misconfigured, match="SECRET_MOVED"):
        Authenticator.objects.get(pk=codes.pk).wrap().generate_codes()
    # What was sealed and never saved to a row, put there past the row.
    Authenticator.objects.filter(pk=row.pk).update(data={"secret": SecondFactorAdapter().encrypt(THEIRS)})
    with pytest.raises(Misconfigured, match="SECRET_MOVED"):
        Authenticator.objects.get(pk=row.pk).wrap().validate_code(code_of(THEIRS))


def test_a_dump_brings_them_back_to_their_rows(approver: User, tmp_path: Any) -> None:
    app_for(approver, THEIRS)
    dump = tmp_path / "mfa.json"
    call_command("dumpdata", "mfa", output=str(dump))
    assert THEIRS not in dump.read_text() and SEALED_PREFIX in dump.read_text()
    Authenticator.objects.all().delete()
    call_command("loaddata", str(dump), verbosity=0)
    assert in_with(approver, code_of(THEIRS))


# Threads share SQLite's test database in memory, where a locked table is an error at once and never waited for.
@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_while_the_key_is_rotated_everybody_gets_in_and_none_is_lost(approver: User, trader: User) -> None:
    with override_settings(TOKEN_ENCRYPTION_KEYS=(OLD,)):
        app_for(approver, THEIRS), app_for(trader, MINE)
        codes = RecoveryCodes.activate(approver).generate_codes()
    refused: list[str] = []

    def sign_in() -> None:
        try:
            refused.extend(code for code in codes[:4] if not in_with(approver, code))
        finally:
            connections.close_all()

    with override_settings(TOKEN_ENCRYPTION_KEYS=(NEW, OLD)):
        people = threading.Thread(target=sign_in)
        people.start()
        while people.is_alive():
            call_command("rotate_keys", stdout=io.StringIO())
        people.join()
        call_command("rotate_keys", stdout=io.StringIO())
    assert refused == []
    with override_settings(TOKEN_ENCRYPTION_KEYS=(NEW,)):
        assert in_with(approver, code_of(THEIRS)) and in_with(trader, code_of(MINE))
        assert in_with(approver, codes[4]) and not in_with(approver, codes[0])


@pytest.mark.django_db(transaction=True)
def test_what_was_there_before_is_sealed_to_its_row(approver: User, trader: User) -> None:
    with migrating() as migrate:
        migrate("accounts", "0007_api_key_refused")
        for person, secret in ((approver, seal_text(THEIRS, purpose="second factor")), (trader, "sealed:junk")):
            Authenticator.objects.create(user=person, type="totp", data={"secret": secret, "note": "kept"})
    row = Authenticator.objects.get(user=approver)
    assert open_text(str(row.data["secret"]), purpose=f"second factor of {approver.pk}:totp") == THEIRS
    assert row.data["note"] == "kept" and Authenticator.objects.get(user=trader).data["secret"] == "sealed:junk"
    assert in_with(approver, code_of(THEIRS))
