"""Fifteen callers before every door: five roles of the desk, the same five of another, and who has none."""

import json
from dataclasses import asdict
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.services import second_person
from apps.accounts.types import Role
from apps.audit.models import Alarm
from apps.audit.services import alarms
from apps.connectors.services import connections
from apps.dashboard.services.demo_policy import DEMO_RULES
from apps.policies.services import versions
from apps.policies.types import LatchKind
from tests.factories.accounts import DeskFactory, UserFactory, issue_key
from tests.factories.desk import PaperDesk
from tests.factories.knowledge import KnowledgeDocumentFactory
from tests.factories.latches import trip
from tests.factories.lessons import LessonFactory, recalled_item
from tests.factories.memory import EvaluationFactory, IndexEntryFactory
from tests.factories.oauth import authorisation_of
from tests.hooks.conftest import make_sender

# What the letters of the matrix stand for: capitals sit at the desk, small letters at another one.
ROLES = {"T": Role.TRADER, "A": Role.APPROVER, "R": Role.RISK, "O": Role.OPERATOR, "U": Role.AUDITOR}
LETTERS = "TAROU" + "tarou" + "SXVNK"
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


class Setting(NamedTuple):
    """Who stands before the doors, and what lies behind them."""

    persons: dict[str, User]
    headers: dict[str, str]
    cookies: dict[str, Any]
    objects: dict[str, dict[str, object]]
    votes: dict[str, dict[str, str]]
    paper: PaperDesk

    def ask(self, letter: str, method: str, path: str) -> Any:
        """The answer to this caller; whatever it changed is taken back."""
        if "approve" in path:  # may ask the venue, which no transaction may; nothing changes, for a latch has halted
            return self._ask(letter, method, path)
        with transaction.atomic():
            answer = self._ask(letter, method, path)
            transaction.set_rollback(True)
        return answer

    def _ask(self, letter: str, method: str, path: str) -> Any:
        client = Client(raise_request_exception=False, headers=self.headers.get(letter, {}))
        client.cookies.update(self.cookies.get(letter, {}))
        body = self.votes.get(path.rstrip("/").rpartition("/")[2], {})
        if path.startswith("/api/"):
            return client.generic(method, path, json.dumps(body), content_type="application/json")
        return client.post(path, body) if method == "POST" else client.get(path)

    def values(self, route: str) -> dict[str, object]:
        """What to put into the varying parts of this route."""
        special = next((values for part, values in self.objects.items() if part and part in route), {})
        return self.objects[""] | special


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
    latch = trip(paper, LatchKind.MISMATCH, now=now)
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
        "2fa/keys/": {"pk": 1},
        "connection/": {"pk": paper.connection.pk},
        "lessons/knowledgedocument/": {"pk": KnowledgeDocumentFactory(desk=paper.desk).pk},
        "trades/hook/": {"pk": make_sender(paper).hook.pk},
    }
    seen = asdict(paper.seen(waiting))
    votes = {
        str(item.pk): {"verdict": "USEFUL"},
        "approve": seen,
        "decline": {"digest": waiting.digest, "comment": "No."},
    }
    return Setting(persons, {"K": {"Authorization": paper.authorization}}, cookies, objects, votes, paper)
