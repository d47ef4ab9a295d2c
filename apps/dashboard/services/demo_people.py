"""The people of the demo desk and their programs' key: random secrets, written once, kept over restarts."""

import json
import os
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from django.db import transaction

from apps.accounts.services import api_keys, seating
from apps.accounts.types import Role, Scope
from apps.audit.types import Actor

if TYPE_CHECKING:
    from apps.accounts.models import ApiKey, Desk, User

DESK_SLUG: Final = "demo"
SEEDING: Final = Actor.system("seed_demo")
KEY_LIFE: Final = timedelta(days=365)


@dataclass(frozen=True, kw_only=True)
class Person:
    """A part in the demo: how they sign in, what they are called, what they may do."""

    part: str
    name: str
    roles: tuple[Role, ...]
    is_superuser: bool = False


PEOPLE: Final = (
    Person(part="trader", name="Jonas Weber", roles=(Role.TRADER,)),
    Person(part="approver", name="Marta Lind", roles=(Role.APPROVER,)),
    Person(part="approver2", name="Ines Okafor", roles=(Role.APPROVER, Role.RISK)),
    Person(part="operator", name="Ravi Menon", roles=(Role.OPERATOR,)),
    Person(part="admin", name="Ada Novak", roles=(), is_superuser=True),
)


@dataclass(frozen=True, kw_only=True)
class DemoPeople:
    """Who sits at the demo desk, by part."""

    desk: "Desk"
    users: "dict[str, User]"


def read_demo_file(path: Path) -> dict[str, object]:
    """What an earlier run wrote; empty where there is none."""
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def write_demo_file(path: Path, *, url: str, passwords: dict[str, str], api_key: str) -> None:
    """Where to go, whom to sign in as, and the key; readable by this user only, and whole whenever it is there."""
    content = {
        "url": url,
        "users": {part: {"username": part, "password": password} for part, password in passwords.items()},
        "api_key": api_key,
    }
    draft = path.with_name(f"{path.name}.draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
    draft.replace(path)


@transaction.atomic
def seat_people(passwords: dict[str, str], *, now: datetime) -> DemoPeople:
    """Make the desk and its people, or find them; `passwords` are used for those made now."""
    desk = seating.seat_desk(slug=DESK_SLUG, name="Demo desk", reporting_currency="USD", actor=SEEDING, now=now)
    users = {
        person.part: seating.seat_person(
            username=person.part,
            display_name=person.name,
            email=f"{person.part}@demo.invalid",
            password=passwords[person.part],
            roles=person.roles,
            desk=desk,
            is_superuser=person.is_superuser,
            actor=SEEDING,
            now=now,
        )
        for person in PEOPLE
    }
    return DemoPeople(desk=desk, users=users)


def new_passwords(earlier: dict[str, object]) -> dict[str, str]:
    """A password per part: the one of an earlier run where there is one, else a random one."""
    users = earlier.get("users")
    known = users if isinstance(users, dict) else {}
    return {
        person.part: str(known.get(person.part, {}).get("password") or secrets.token_urlsafe(12)) for person in PEOPLE
    }


def trader_key(owner: "User", *, now: datetime) -> "tuple[ApiKey, str]":
    """A key of the trader's own that may propose, read, report and halt; the secret is shown this once."""
    return api_keys.issue(
        owner=owner,
        name="momentum-bot",
        scopes=[Scope.PROPOSE, Scope.READ, Scope.REPORT, Scope.HALT],
        expires_at=now + KEY_LIFE,
        actor=SEEDING,
        now=now,
    )
