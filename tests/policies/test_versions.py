"""Drafts, activation by two people, and what is frozen from then on: by services, by the ORM, by raw SQL."""

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse

from apps.accounts.models import Desk, User
from apps.accounts.services import second_person
from apps.accounts.services.people import actor_of
from apps.audit.models import Event
from apps.audit.selectors import events_of, facts_of
from apps.common.errors import Conflict, Denied, Forbidden, Invalid, Misconfigured
from apps.connectors.models import Connection
from apps.policies.models import PolicySet, PolicyVersion, Rule
from apps.policies.selectors import active_version
from apps.policies.services import versions
from apps.policies.types import RuleRow
from tests.factories.accounts import UserFactory
from tests.policies.cases import APPROVALS, NOTIONAL, rule
from tests.policies.rows import a_connection, activated

pytestmark = pytest.mark.django_db

RULES = (NOTIONAL, APPROVALS)


@pytest.fixture
def paper(desk: Desk, now: datetime) -> Connection:
    return a_connection(desk, now)


@pytest.fixture
def policy_set(desk: Desk, risk: User, now: datetime) -> PolicySet:
    return versions.create_set(slug="main", name="Main policy", desk_id=desk.pk, author=risk, now=now)


def _draft(policy_set: PolicySet, risk: User, now: datetime, *rules: RuleRow) -> PolicyVersion:
    return versions.create_draft(policy_set_id=policy_set.pk, author=risk, now=now, rules=rules or RULES)


def test_without_an_active_version_there_are_no_rules(
    policy_set: PolicySet, paper: Connection, risk: User, now: datetime
) -> None:
    _draft(policy_set, risk, now)
    assert active_version(paper.pk) is None


def test_two_people_activate_and_the_version_before_retires(
    policy_set: PolicySet, paper: Connection, risk: User, approver: User, now: datetime
) -> None:
    first = activated(policy_set, RULES, risk, approver, now)
    second = activated(policy_set, (*RULES, rule("least", "min_notional", min_notional="10")), risk, approver, now)
    first.refresh_from_db()
    assert (first.state, second.state, second.number) == ("RETIRED", "ACTIVE", 2)
    found = active_version(paper.pk)
    assert found is not None
    assert (found.version_id, found.digest, len(found.rules)) == (str(second.pk), second.digest, 3)
    kinds = [event.kind for event in events_of(f"policy_version:{second.pk}")]
    assert kinds == ["policy.drafted", "policy.activated"]


def test_one_person_does_not_activate(policy_set: PolicySet, risk: User, now: datetime) -> None:
    draft = _draft(policy_set, risk, now)
    with pytest.raises(Denied, match="SECOND_PERSON_REQUIRED"):
        versions.activate(version_id=draft.pk, person=risk, now=now)
    asked = versions.request_activation(version_id=draft.pk, requester=risk, now=now)
    with pytest.raises(Denied, match="SECOND_PERSON_IS_REQUESTER"):
        second_person.second(request_id=asked.pk, seconder=risk, now=now)
    with pytest.raises(Denied, match="SECOND_PERSON_REQUIRED"):
        versions.activate(version_id=draft.pk, person=risk, now=now)


def test_a_rule_changed_since_it_was_seconded_needs_a_new_second(
    policy_set: PolicySet, risk: User, approver: User, now: datetime
) -> None:
    draft = _draft(policy_set, risk, now)
    asked = versions.request_activation(version_id=draft.pk, requester=risk, now=now)
    second_person.second(request_id=asked.pk, seconder=approver, now=now)
    Rule.objects.filter(version=draft, key="notional").update(params={"max_notional": "1000000"})
    with pytest.raises(Denied, match="SECOND_PERSON_REQUIRED"):
        versions.activate(version_id=draft.pk, person=risk, now=now)


def test_a_second_is_good_for_a_day(policy_set: PolicySet, risk: User, approver: User, now: datetime) -> None:
    draft = _draft(policy_set, risk, now)
    asked = versions.request_activation(version_id=draft.pk, requester=risk, now=now)
    second_person.second(request_id=asked.pk, seconder=approver, now=now)
    with pytest.raises(Denied, match="SECOND_PERSON_REQUIRED"):
        versions.activate(version_id=draft.pk, person=risk, now=now + timedelta(days=1))


def test_trader_approver_and_outsider_do_not_draft(
    policy_set: PolicySet, risk: User, trader: User, approver: User, outsider: User, now: datetime
) -> None:
    draft = _draft(policy_set, risk, now)
    for person in (trader, approver, outsider):
        with pytest.raises(Forbidden, match="MAY_NOT_DRAFT_POLICY"):
            versions.create_draft(policy_set_id=policy_set.pk, author=person, now=now)
        with pytest.raises(Forbidden, match="MAY_NOT_DRAFT_POLICY"):
            versions.activate(version_id=draft.pk, person=person, now=now)


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ((NOTIONAL,), "POLICY_INCOMPLETE"),
        ((APPROVALS,), "POLICY_INCOMPLETE"),
    ],
)
def test_what_would_deny_everything_is_not_activated(
    rules: tuple[RuleRow, ...], code: str, policy_set: PolicySet, risk: User, now: datetime
) -> None:
    draft = _draft(policy_set, risk, now, *rules)
    with pytest.raises(Invalid, match=code):
        versions.request_activation(version_id=draft.pk, requester=risk, now=now)


def test_a_rule_that_cannot_be_read_is_not_drafted(policy_set: PolicySet, risk: User, now: datetime) -> None:
    with pytest.raises(Invalid, match="RULE_PARAMS_INVALID"):
        _draft(policy_set, risk, now, *RULES, rule("r", "max_order_quantity", max_quantity=5))
    with pytest.raises(Invalid, match="RULE_KIND_UNKNOWN"):
        _draft(policy_set, risk, now, *RULES, rule("r", "moon_phase"))


def test_a_draft_begins_with_the_rules_in_force(
    policy_set: PolicySet, risk: User, approver: User, now: datetime
) -> None:
    activated(policy_set, RULES, risk, approver, now)
    draft = versions.create_draft(policy_set_id=policy_set.pk, author=risk, now=now)
    assert {row.key for row in draft.rules.all()} == {"notional", "approvals"}


def test_a_discarded_draft_is_never_activated(policy_set: PolicySet, risk: User, now: datetime) -> None:
    draft = versions.discard(version_id=_draft(policy_set, risk, now).pk, person=risk, now=now)
    with pytest.raises(Conflict, match="POLICY_NOT_A_DRAFT"):
        versions.activate(version_id=draft.pk, person=risk, now=now)


def test_two_sets_of_a_desk_judge_together(
    policy_set: PolicySet, paper: Connection, desk: Desk, risk: User, approver: User, now: datetime
) -> None:
    activated(policy_set, RULES, risk, approver, now)
    alone = active_version(paper.pk)
    other = versions.create_set(slug="firm", name="Firm", desk_id=desk.pk, author=risk, now=now)
    least = (rule("notional", "max_order_notional", max_notional="5"),)
    newest = activated(other, least, risk, approver, now + timedelta(seconds=1))
    joined = active_version(paper.pk)
    assert alone is not None and joined is not None
    assert {row.key for row in joined.rules} == {"main/notional", "main/approvals", "firm/notional"}
    assert (joined.version_id, joined.digest != alone.digest) == (str(newest.pk), True)


def test_another_desks_policy_does_not_judge_here(paper: Connection, risk: User, approver: User, now: datetime) -> None:
    elsewhere = Desk.objects.create(slug="elsewhere", name="Elsewhere")
    made = versions.create_set(slug="theirs", name="Theirs", desk_id=elsewhere.pk, author=risk, now=now)
    activated(made, RULES, risk, approver, now)
    assert active_version(paper.pk) is None


def test_knowing_the_version_takes_one_query(
    policy_set: PolicySet,
    paper: Connection,
    risk: User,
    approver: User,
    now: datetime,
    django_assert_num_queries: object,
) -> None:
    activated(policy_set, RULES, risk, approver, now)
    known = active_version(paper.pk)
    with django_assert_num_queries(1):  # type: ignore[operator]
        assert active_version(paper.pk) == known
    assert known is not None


SQL = [
    'UPDATE policies_rule SET params = \'{"max_notional": "9"}\' WHERE version_id = %s',
    "DELETE FROM policies_rule WHERE version_id = %s",
    "UPDATE policies_policyversion SET digest = 'x' WHERE id = %s",
    "UPDATE policies_policyversion SET state = 'DRAFT', digest = '', activated_at = NULL WHERE id = %s",
    "DELETE FROM policies_policyversion WHERE id = %s",
]


@pytest.mark.parametrize("statement", SQL)
def test_what_judges_cannot_be_changed_by_raw_sql(
    statement: str, policy_set: PolicySet, risk: User, approver: User, now: datetime
) -> None:
    version = activated(policy_set, RULES, risk, approver, now)
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, [_raw(version.pk)])
    version.refresh_from_db()
    assert (version.state, version.rules.count()) == ("ACTIVE", 2)


def test_what_judges_cannot_be_changed_by_the_orm(
    policy_set: PolicySet, risk: User, approver: User, now: datetime
) -> None:
    version = activated(policy_set, RULES, risk, approver, now)
    draft = _draft(policy_set, risk, now)
    attempts = (
        lambda: version.rules.update(instrument="ETH-USD"),
        lambda: version.rules.all().delete(),
        lambda: Rule.objects.create(version=version, key="more", kind="funds"),
        lambda: draft.rules.filter(key="notional").update(version=version),
        lambda: PolicyVersion.objects.filter(pk=version.pk).update(state="DRAFT"),
        lambda: PolicyVersion.objects.filter(pk=draft.pk).update(state="ACTIVE"),
        lambda: PolicyVersion.objects.create(
            policy_set=policy_set, number=9, state="ACTIVE", digest="x", author=risk, created_at=now
        ),
    )
    for attempt in attempts:
        with pytest.raises(IntegrityError), transaction.atomic():
            attempt()


def test_a_draft_can_be_changed_and_emptied(policy_set: PolicySet, risk: User, now: datetime) -> None:
    draft = _draft(policy_set, risk, now)
    draft.rules.update(reason="because")
    draft.rules.all().delete()
    assert draft.rules.count() == 0


def test_rows_that_are_not_what_was_activated_stop_everything(
    policy_set: PolicySet, paper: Connection, risk: User, now: datetime
) -> None:
    """Only a hand in the database, with the guards lifted, gets here: a version whose digest is another's."""
    draft = _draft(policy_set, risk, now)
    PolicyVersion.objects.filter(pk=draft.pk).update(
        state="ACTIVE", digest="f" * 64, activated_by=risk, activated_at=now
    )
    with pytest.raises(Misconfigured, match="POLICY_DIGEST_MISMATCH"):
        active_version(paper.pk)


def _raw(key: UUID) -> str:
    return key.hex if connection.vendor == "sqlite" else str(key)


def _activate(draft: PolicyVersion, author: User, second: User, now: datetime) -> PolicyVersion:
    asked = versions.request_activation(version_id=draft.pk, requester=author, now=now)
    second_person.second(request_id=asked.pk, seconder=second, now=now)
    return versions.activate(version_id=draft.pk, person=author, now=now)


def _stricter(policy_set: PolicySet, author: User, now: datetime, limit: str) -> PolicyVersion:
    """The demo's shape with this limit on one order."""
    return _draft(policy_set, author, now, replace(NOTIONAL, params={"max_notional": limit}), APPROVALS)


def test_one_person_activates_at_once_what_only_tightens(
    policy_set: PolicySet, risk: User, approver: User, now: datetime
) -> None:
    first = _stricter(policy_set, risk, now, "1000")
    _activate(first, risk, approver, now)

    tighter = versions.activate(version_id=_stricter(policy_set, risk, now, "900").pk, person=risk, now=now)

    assert tighter.state == "ACTIVE"
    event = facts_of(Event.objects.filter(kind="policy.activated").latest("id"))["payload"]
    assert (event["loosens"], event["second_person"]) == (False, None)  # type: ignore[index]
    looser = _stricter(policy_set, risk, now, "900.01")
    with pytest.raises(Denied, match="SECOND_PERSON_REQUIRED"):
        versions.activate(version_id=looser.pk, person=risk, now=now)
    back = _activate(looser, risk, approver, now)
    event = facts_of(Event.objects.filter(kind="policy.activated").latest("id"))["payload"]
    assert (back.state, event["loosens"], event["second_person"]) == ("ACTIVE", True, str(approver.pk))  # type: ignore[index]


def test_what_tightens_today_loosens_once_something_tighter_judges(
    policy_set: PolicySet, risk: User, approver: User, now: datetime
) -> None:
    _activate(_stricter(policy_set, risk, now, "1000"), risk, approver, now)
    waiting = _stricter(policy_set, risk, now, "900")
    versions.activate(version_id=_stricter(policy_set, risk, now, "800").pk, person=risk, now=now)
    with pytest.raises(Denied, match="SECOND_PERSON_REQUIRED"):
        versions.activate(version_id=waiting.pk, person=risk, now=now)


def test_who_had_a_hand_in_a_draft_does_not_second_what_loosens(
    policy_set: PolicySet, risk: User, approver: User, desk: Desk, now: datetime
) -> None:
    colleague = UserFactory(role="risk", desk=desk)
    by_colleague, edited = _stricter(policy_set, colleague, now, "1000"), _stricter(policy_set, risk, now, "2000")
    versions.record_version("policy.draft_edited", edited, actor_of(colleague), now)
    for draft in (by_colleague, edited):
        asked = versions.request_activation(version_id=draft.pk, requester=risk, now=now)
        second_person.second(request_id=asked.pk, seconder=colleague, now=now)
        with pytest.raises(Denied, match="SECOND_PERSON_IS_AUTHOR"):
            versions.activate(version_id=draft.pk, person=risk, now=now)
        second_person.withdraw(request_id=asked.pk, person=risk, now=now)
        assert _activate(draft, risk, approver, now).state == "ACTIVE"


def test_the_page_says_whether_one_person_is_enough(
    policy_set: PolicySet, risk: User, approver: User, now: datetime
) -> None:
    client = Client()
    client.force_login(risk)
    loose = _stricter(policy_set, risk, now, "1000")
    page = reverse("admin:policies_policyversion_activate", args=[loose.pk])
    assert "this loosens, so activating takes two people" in client.get(page).content.decode()
    _activate(loose, risk, approver, now)
    tight = _stricter(policy_set, risk, now, "900")
    page = reverse("admin:policies_policyversion_activate", args=[tight.pk])
    assert "this only tightens: one person may activate it at once" in client.get(page).content.decode()
    client.post(page)
    tight.refresh_from_db()
    assert (tight.state, tight.activated_by) == ("ACTIVE", risk)
