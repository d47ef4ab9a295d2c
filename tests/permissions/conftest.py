"""Fifteen callers before every door: five roles of the desk, the same five of another, and who has none."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.contenttypes.models import ContentType
from django.test import Client, override_settings
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.services import second_person
from apps.audit.models import Alarm
from apps.audit.services import alarms
from apps.connectors.services import connections
from apps.dashboard.services.demo_policy import DEMO_RULES
from apps.policies.services import versions
from apps.policies.types import LatchKind
from tests.factories.accounts import DeskFactory, UserFactory, issue_key
from tests.factories.connectors import ConnectionFactory
from tests.factories.desk import PaperDesk
from tests.factories.knowledge import KnowledgeDocumentFactory
from tests.factories.latches import trip
from tests.factories.lessons import LessonFactory, recalled_item
from tests.factories.memory import EvaluationFactory, IndexEntryFactory
from tests.factories.oauth import authorisation_of
from tests.factories.soft_key import SoftKey
from tests.hooks.conftest import make_sender
from tests.permissions.bodies import OAUTH, prepare
from tests.permissions.setting import BACKEND, ROLES, Setting


def key_of(person: User) -> Authenticator:
    """A security key of this person: a colleague's, for everybody who is asked."""
    SoftKey().belongs_to(person)
    return Authenticator.objects.get(user=person, type=Authenticator.Type.WEBAUTHN)


@pytest.fixture
def setting(paper: PaperDesk) -> Setting:
    """A desk with something of every kind that a door may lead to."""
    now = timezone.now()
    other = DeskFactory(slug="other")
    persons = {
        "T": paper.trader,
        "A": paper.approver,
        "R": paper.risk,
        **{letter: UserFactory(username=f"own-{letter}", role=ROLES[letter], desk=paper.desk) for letter in "OU"},
        **{
            letter.lower(): UserFactory(username=f"other-{letter}", role=role, desk=other)
            for letter, role in ROLES.items()
        },
        "S": UserFactory(username="root", is_superuser=True),
        "X": UserFactory(username="stranger"),
        "V": UserFactory(username="visitor", is_staff=False),
        "Y": UserFactory(username="seated", desk=paper.desk),
    }
    cookies: dict[str, Any] = {}
    for letter, person in persons.items():
        client = Client()
        client.force_login(person, backend=BACKEND)
        cookies[letter] = client.cookies
    waiting, approved = paper.propose(), paper.propose(quantity=Decimal("0.02"))
    paper.approve(approved)
    alarms.raise_alarm(code="FILLS_DIFFER", subject=f"order:{uuid4()}", message="They differ.", now=now)
    draft = versions.create_draft(
        policy_set_id=paper.version.policy_set_id, author=paper.risk, now=now, rules=DEMO_RULES
    )
    asked = second_person.request(
        kind="test",
        subject="test",
        digest="a" * 64,
        summary="A test.",
        requester=paper.approver2,
        now=now,
        ttl=connections.SECOND_PERSON_TTL,
    )
    key, _ = issue_key(owner=paper.trader, now=now)
    shut = ConnectionFactory(slug="shut", desk=paper.desk)
    latch = trip(replace(paper, connection=shut), LatchKind.MISMATCH, now=now)
    lesson = LessonFactory(desk=paper.desk)
    item = recalled_item(lesson, proposal_id=waiting.pk, viewer=paper.approver, now=now)
    EvaluationFactory(desk=paper.desk)
    IndexEntryFactory(subject=lesson.case_id)
    objects: dict[str, dict[str, object]] = {
        "": {
            "proposal_id": waiting.pk,
            "order_id": paper.order_of(approved).pk,
            "key_id": key.pk,
            "latch_id": latch.pk,
            "scope": paper.connection.pk,
            "connection_id": paper.connection.pk,
            "difference_id": uuid4(),
            "alarm_id": Alarm.objects.latest("id").pk,
            "request_id": asked.pk,
            "id": paper.trader.pk,
            "content_type_id": ContentType.objects.get_for_model(User).pk,
            "name": "nobody",
            "object_id": paper.trader.pk,
            "person_id": paper.trader.pk,
            "lesson_id": lesson.pk,
            "item_id": item.pk,
        },
        "authorisation/": {"pk": authorisation_of(persons["O"]).pk},
        "policyset/": {"pk": paper.version.policy_set_id},
        "policyversion/": {"pk": draft.pk},
        "2fa/keys/": {"pk": key_of(paper.approver2).pk},
        "connection/": {"pk": paper.connection.pk},
        "lessons/knowledgedocument/": {"pk": KnowledgeDocumentFactory(desk=paper.desk).pk},
        "trades/hook/": {"pk": make_sender(paper).hook.pk},
    }
    headers = {"K": {"Authorization": paper.authorization}}
    return Setting(persons, headers, cookies, objects, paper, waiting, approved, item)


@pytest.fixture
def prepared(setting: Setting) -> Iterator[Setting]:
    """Each verb finds a row it can do something with, and an application is registered for OAuth."""
    with override_settings(**OAUTH, UNKNOWN_HORIZON_S=0):
        prepare(setting)
        yield setting
