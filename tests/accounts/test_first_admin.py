"""The first administrator, made at the command line, is in the audit log as everybody after them."""

import io
from typing import Any

import pytest
from django.contrib.auth.management.commands import createsuperuser as of_django
from django.core.management import call_command
from django.core.management.base import CommandError

from apps.accounts.models import User
from apps.audit.models import Event
from apps.audit.selectors import facts_of
from apps.audit.services import events
from tests.factories.accounts import PASSWORD

pytestmark = pytest.mark.django_db


def make(command: Any = "createsuperuser", username: str = "ada", email: str = "ada@example.com") -> str:
    said = io.StringIO()
    call_command(command, interactive=False, username=username, email=email, stdout=said)
    return said.getvalue()


def added() -> list[Event]:
    return list(Event.objects.filter(kind="user.added").order_by("pk"))


def test_the_first_administrator_is_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)

    assert "created" in make()

    person, (event,) = User.objects.get(username="ada"), added()
    assert person.is_superuser and person.is_staff and person.check_password(PASSWORD)
    facts: Any = facts_of(event)
    assert facts["subject"] == f"user:{person.pk}"
    assert facts["actor"]["name"] == "manage.py createsuperuser"
    assert facts["payload"]["username"] == {"before": None, "after": "ada"}
    assert facts["payload"]["is_superuser"] == {"before": None, "after": True}
    assert PASSWORD not in str(facts) and person.password not in str(facts)


def test_django_s_own_command_leaves_no_trace() -> None:
    make(of_django.Command())
    assert User.objects.filter(username="ada", is_superuser=True).exists() and not added()


def test_who_is_refused_is_nobody_and_no_event(admin_user: User) -> None:
    for username, email in (
        (admin_user.username, "new@example.com"),
        ("ada", "no address"),
        ("a da", "ada@example.com"),
    ):
        with pytest.raises(CommandError):
            make(username=username, email=email)
    assert User.objects.count() == 1 and not added()


def test_without_its_event_there_is_no_administrator(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_fact: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(events, "record", full)
    with pytest.raises(OSError, match="full"):
        make()
    assert not User.objects.filter(username="ada").exists()
