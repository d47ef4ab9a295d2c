"""New people and desks, made by a command instead of a form. Each is written down as the admin writes it."""

from collections.abc import Collection
from datetime import datetime

from django.contrib.auth.models import Group
from django.db import transaction

from apps.accounts.models import Desk, User
from apps.accounts.services import desks, people
from apps.accounts.types import Role
from apps.audit.types import Actor
from apps.common.errors import Misconfigured


@transaction.atomic
def seat_desk(*, slug: str, name: str, reporting_currency: str, actor: Actor, now: datetime) -> Desk:
    """The desk of this short name, made where it is not there yet."""
    desk, made = Desk.objects.get_or_create(
        slug=slug, defaults={"name": name, "reporting_currency": reporting_currency}
    )
    if made:
        desks.record_change(desk=desk, before=None, actor=actor, now=now)
    return desk


@transaction.atomic
def seat_person(
    *,
    username: str,
    display_name: str,
    email: str,
    password: str,
    roles: Collection[Role],
    desk: Desk,
    is_superuser: bool,
    actor: Actor,
    now: datetime,
) -> User:
    """The person of this user name, made and seated at the desk where they are not there yet.

    An existing person keeps their password and roles. Raises Misconfigured ROLES_MISSING before `sync_roles` has run.
    """
    found = User.objects.filter(username=username).first()
    if found is not None:
        return found
    groups = list(Group.objects.filter(name__in=[role.value for role in roles]))
    if len(groups) != len(set(roles)):
        raise Misconfigured("ROLES_MISSING", "The groups of the roles are not there.", fix="Run: manage.py sync_roles")
    before = desks.description_of(desk)
    person = User(username=username, email=email, display_name=display_name, is_staff=True, is_superuser=is_superuser)
    person.set_password(password)
    person.save()
    person.groups.set(groups)
    desk.members.add(person)
    people.record_change(person=person, before=None, actor=actor, now=now)
    desks.record_change(desk=desk, before=before, actor=actor, now=now)
    return person
