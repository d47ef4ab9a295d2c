"""People, desks, keys and second-person requests, valid by default."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import factory
from django.contrib.auth.models import Group

from apps.accounts.models import ApiKey, Desk, SecondPersonRequest, User
from apps.accounts.services import api_keys, people, roles

PASSWORD = "correct horse battery staple"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


class DeskFactory(factory.django.DjangoModelFactory[Desk]):
    class Meta:
        model = Desk

    slug = factory.Sequence(lambda n: f"desk-{n}")
    name = factory.Sequence(lambda n: f"Desk {n}")
    reporting_currency = "USD"


class UserFactory(factory.django.DjangoModelFactory[User]):
    """`role="approver"` puts the person into a role, `desk=...` to a desk. The password is `PASSWORD`."""

    class Meta:
        model = User
        skip_postgeneration_save = True

    username = factory.Sequence(lambda n: f"person{n}")
    email = factory.LazyAttribute(lambda person: f"{person.username}@example.com")
    display_name = factory.LazyAttribute(lambda person: person.username.title())
    password = factory.django.Password(PASSWORD)
    is_staff = True

    @factory.post_generation
    def role(self: Any, create: bool, extracted: str | None, **kwargs: Any) -> None:
        if extracted:
            self.groups.add(group_of(extracted))

    @factory.post_generation
    def desk(self: Any, create: bool, extracted: Desk | None, **kwargs: Any) -> None:
        if extracted:
            extracted.members.add(self)


class SecondPersonRequestFactory(factory.django.DjangoModelFactory[SecondPersonRequest]):
    class Meta:
        model = SecondPersonRequest

    kind = "policy.activate"
    subject = factory.Sequence(lambda n: f"policy_version:{n}")
    digest = factory.Sequence(lambda n: f"{n:064x}")
    summary = "Activate version 2: at most 1,000 USD an order becomes 2,000 USD."
    requester = factory.SubFactory(UserFactory)
    requested_at = LONG_AGO
    expires_at = LONG_AGO + timedelta(days=1)


def group_of(role: str) -> Group:
    """The group of a role with its permissions, also after a flush has emptied the tables."""
    group = Group.objects.filter(name=role).first()
    if group is None or not group.permissions.exists():
        roles.sync_roles(now=LONG_AGO)
        group = Group.objects.get(name=role)
    return group


def issue_key(
    *, owner: User, now: datetime, scopes: Collection[str] = ("propose", "read"), days: int = 30, name: str = "bot"
) -> tuple[ApiKey, str]:
    """A key through the service, and the value of the Authorization header that carries it."""
    key, secret = api_keys.issue(
        owner=owner,
        name=name,
        scopes=scopes,
        expires_at=now + timedelta(days=days),
        actor=people.actor_of(owner),
        now=now,
    )
    return key, f"Bearer {secret}"
