"""Every secret at rest gets the first key, wherever it rests, and nothing is lost or overwritten on the way."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import connection, transaction
from django.test import override_settings
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.second_factor import SecondFactorAdapter
from apps.accounts.services import token_keys
from apps.audit.models import Event
from apps.audit.types import Actor
from apps.common.errors import Misconfigured
from apps.connectors.models import Connection
from tests.factories.connectors import ConnectionFactory

pytestmark = pytest.mark.django_db

OLD, NEW, OTHER = (Fernet.generate_key().decode() for _ in range(3))
SECRETS = [f"secret-{number}" for number in range(5)]


@contextmanager
def keys(*used: str) -> Iterator[None]:
    with override_settings(TOKEN_ENCRYPTION_KEYS=used):
        yield


@pytest.fixture
def resting(trader: User) -> list[Connection]:
    """Five connections and one second factor, all under the old key."""
    with keys(OLD):
        made = [ConnectionFactory(secret=secret) for secret in SECRETS]
        data = {"secret": SecondFactorAdapter().encrypt("totp-secret"), "note": "sealed is only a word here"}
        Authenticator.objects.create(user=trader, type=Authenticator.Type.TOTP, data=data)
    return made


def secrets_now() -> list[str]:
    rows = [Connection.objects.get(pk=pk).secret.reveal() for pk in Connection.objects.values_list("pk", flat=True)]
    factor = SecondFactorAdapter().decrypt(Authenticator.objects.get().data["secret"])
    return [*sorted(rows), factor]


def tokens() -> list[bytes]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM connectors_connection ORDER BY id")
        return [bytes(row[0]) for row in cursor.fetchall()]


def rotate(*args: str, code: int = 0) -> dict[str, Any]:
    out = io.StringIO()
    try:
        call_command("rotate_keys", "--json", *args, stdout=out, stderr=io.StringIO())
    except SystemExit as ended:
        assert ended.code == code, out.getvalue()
    else:
        assert code == 0, out.getvalue()
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def test_every_place_is_found_by_itself() -> None:
    found = {place.name for place in token_keys.places()}
    assert found >= {
        "connectors.Connection.secret",
        "connectors.Authorisation.access_token",
        "connectors.Authorisation.refresh_token",
        "trades.Hook.secret",
        "mfa.Authenticator.data",
    }


def test_all_get_the_first_key_and_the_old_one_can_go(resting: list[Connection]) -> None:
    with keys(NEW, OLD):
        assert rotate("--dry-run", code=1)["rotated"] == 6
        assert rotate() == {"current": 0, "dry_run": False, "problems": [], "rotated": 6}
        assert rotate() == {"current": 6, "dry_run": False, "problems": [], "rotated": 0}
    with keys(NEW):
        assert secrets_now() == [*SECRETS, "totp-secret"]
        assert rotate("--dry-run")["rotated"] == 0
    assert Authenticator.objects.get().data["note"] == "sealed is only a word here"
    assert Event.objects.filter(kind="token_keys.rotated").count() == 1


def test_a_rotation_that_was_stopped_goes_on_where_it_was(resting: list[Connection]) -> None:
    def stop(done: int, total: int | None) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with keys(NEW, OLD):
        with pytest.raises(KeyboardInterrupt):
            token_keys.rotate(actor=Actor.system("test"), now=timezone.now(), report=stop)
        left = rotate()
    assert (left["rotated"], left["current"]) == (3, 3)
    with keys(NEW):
        assert secrets_now() == [*SECRETS, "totp-secret"]


def test_what_no_key_opens_is_told_and_stays_as_it_is(resting: list[Connection]) -> None:
    with keys(OTHER):
        ConnectionFactory(secret="of another key")
    before = tokens()
    with keys(NEW, OLD):
        told = rotate(code=2)
    assert (told["rotated"], len(told["problems"])) == (6, 1)
    assert "connectors.Connection.secret" in told["problems"][0] and "of another key" not in told["problems"][0]
    assert len(set(before) & set(tokens())) == 1
    with keys(NEW, OTHER):
        assert "of another key" in secrets_now()


def test_a_wrong_key_is_an_error_at_start_and_overwrites_nothing(resting: list[Connection]) -> None:
    before = tokens()

    def errors() -> list[str]:
        return [str(found.id) for found in run_checks(databases=["default"]) if str(found.id) == "accounts.E001"]

    with keys(OTHER):
        assert errors() == ["accounts.E001"] * 2
        with pytest.raises(Misconfigured, match="SECRET_UNREADABLE"):
            resting[0].refresh_from_db()
            _ = resting[0].secret
        with pytest.raises(Misconfigured, match="SECRET_UNREADABLE"), transaction.atomic():
            Connection.objects.get(pk=resting[0].pk).save()
        assert rotate(code=2)["rotated"] == 0
    assert tokens() == before
    for used in ((OLD,), (OTHER, OLD)):
        with keys(*used):
            assert errors() == []
