"""Policy in the admin: who sees it, who changes it, nothing on GET, nothing after draft."""

import json
from datetime import datetime

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import Desk, SecondPersonRequest, User
from apps.accounts.services import second_person
from apps.audit.selectors import events_of
from apps.connectors.models import Connection
from apps.policies.models import PolicySet, PolicyVersion
from apps.policies.rules import evaluate
from apps.policies.selectors import rules_of, trading_state
from apps.policies.services import decisions, versions
from apps.policies.types import Gate
from tests.policies.cases import ALL_KINDS, APPROVALS, NOTIONAL, NOW, ask, facts
from tests.policies.rows import a_connection, activated

pytestmark = pytest.mark.django_db


def _as(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture
def policy_set(desk: Desk, risk: User, now: datetime) -> PolicySet:
    return versions.create_set(slug="main", name="Main policy", desk_id=desk.pk, author=risk, now=now)


@pytest.fixture
def draft(policy_set: PolicySet, risk: User, now: datetime) -> PolicyVersion:
    return versions.create_draft(policy_set_id=policy_set.pk, author=risk, now=now, rules=(NOTIONAL, APPROVALS))


def _form(draft: PolicyVersion, **changes: str) -> dict[str, str]:
    values = {"note": "Wider.", "rules-TOTAL_FORMS": "2", "rules-INITIAL_FORMS": "2"}
    for index, row in enumerate(draft.rules.all()):
        values |= {
            f"rules-{index}-id": str(row.pk),
            f"rules-{index}-version": str(draft.pk),
            f"rules-{index}-key": row.key,
            f"rules-{index}-kind": row.kind,
            f"rules-{index}-params": '{"max_notional": "900"}' if row.key == "notional" else json.dumps(row.params),
        }
    return values | changes


def test_every_page_opens_for_whoever_may_read_and_for_nobody_else(
    policy_set: PolicySet,
    draft: PolicyVersion,
    desk: Desk,
    risk: User,
    approver: User,
    auditor: User,
    outsider: User,
    now: datetime,
) -> None:
    a_connection(desk, now)
    version = activated(policy_set, ALL_KINDS, risk, approver, now)
    policy, wanted = rules_of(version), ask()
    known = facts(wanted, policy)
    evaluation = evaluate(policy, wanted, known, NOW)
    decision = decisions.record(
        gate=Gate.PROPOSAL, subject="p", version=policy, ask=wanted, facts=known, evaluation=evaluation, now=NOW
    )
    pages = [reverse(f"admin:policies_{name}_changelist") for name in ("policyset", "policyversion", "decision")]
    pages.append(reverse("admin:trading_state"))
    pages += [
        reverse("admin:policies_policyset_change", args=[policy_set.pk]),
        reverse("admin:policies_policyversion_change", args=[draft.pk]),
        reverse("admin:policies_policyversion_change", args=[version.pk]),
        reverse("admin:policies_decision_change", args=[decision.pk]),
    ]
    for url in pages:
        for person in (risk, auditor):
            assert (url, _as(person).get(url).status_code) == (url, 200)
        assert _as(outsider).get(url).status_code == 403
    activate = reverse("admin:policies_policyversion_activate", args=[draft.pk])
    assert [_as(person).get(activate).status_code for person in (risk, auditor, outsider)] == [200, 403, 403]


def test_a_draft_is_edited_and_the_edit_is_recorded(draft: PolicyVersion, risk: User) -> None:
    url = reverse("admin:policies_policyversion_change", args=[draft.pk])
    answer = _as(risk).post(url, _form(draft))
    assert answer.status_code == 302, answer.content.decode()[:2000]
    assert draft.rules.get(key="notional").params == {"max_notional": "900"}
    assert events_of(f"policy_version:{draft.pk}").last().kind == "policy.draft_edited"


def test_parameters_that_cannot_be_read_are_refused_in_words(draft: PolicyVersion, risk: User) -> None:
    url = reverse("admin:policies_policyversion_change", args=[draft.pk])
    index = [row.key for row in draft.rules.all()].index("notional")
    answer = _as(risk).post(url, _form(draft, **{f"rules-{index}-params": '{"max_notional": 900}'}))
    assert answer.status_code == 200
    assert "max_notional must be a text" in answer.content.decode()
    assert draft.rules.get(key="notional").params == {"max_notional": "1000"}


def test_others_do_not_edit_and_what_left_draft_is_not_edited(
    policy_set: PolicySet, draft: PolicyVersion, risk: User, approver: User, auditor: User, now: datetime
) -> None:
    url = reverse("admin:policies_policyversion_change", args=[draft.pk])
    for person in (approver, auditor):
        assert _as(person).post(url, _form(draft)).status_code == 403
    form = _form(draft)
    asked = versions.request_activation(version_id=draft.pk, requester=risk, now=now)
    second_person.second(request_id=asked.pk, seconder=approver, now=now)
    versions.activate(version_id=draft.pk, person=risk, now=now)
    assert _as(risk).post(url, form).status_code == 403
    assert draft.rules.get(key="notional").params == {"max_notional": "1000"}


def test_activation_is_asked_for_seconded_and_carried_out(
    draft: PolicyVersion, risk: User, approver: User, now: datetime
) -> None:
    client = _as(risk)
    activate = reverse("admin:policies_policyversion_activate", args=[draft.pk])
    page = client.post(activate, follow=True)
    assert "nobody has seconded" in page.content.decode()
    client.post(reverse("admin:policies_policyversion_request", args=[draft.pk]))
    asked = SecondPersonRequest.objects.get()
    second_person.second(request_id=asked.pk, seconder=approver, now=asked.requested_at)
    client.post(activate)
    draft.refresh_from_db()
    assert draft.state == "ACTIVE"


def test_verbs_do_nothing_on_get(draft: PolicyVersion, policy_set: PolicySet, risk: User) -> None:
    client = _as(risk)
    for url in (
        reverse("admin:policies_policyversion_request", args=[draft.pk]),
        reverse("admin:policies_policyversion_discard", args=[draft.pk]),
        reverse("admin:policies_policyset_draft", args=[policy_set.pk]),
        *(reverse(f"admin:trading_{verb}", args=["global"]) for verb in ("halt", "reduce", "ask", "second", "resume")),
    ):
        assert (url, client.get(url).status_code) == (url, 405)
    assert (PolicyVersion.objects.count(), SecondPersonRequest.objects.count(), trading_state(None)) == (1, 0, "ACTIVE")


def test_a_set_and_a_draft_are_made_here(desk: Desk, risk: User) -> None:
    client = _as(risk)
    client.post(reverse("admin:policies_policyset_add"), {"slug": "new", "name": "New", "desk": str(desk.pk)})
    made = PolicySet.objects.get(slug="new")
    client.post(reverse("admin:policies_policyset_draft", args=[made.pk]))
    assert made.versions.get().state == "DRAFT"


def test_halt_is_one_click_for_the_trader_and_none_for_the_auditor(
    desk: Desk, trader: User, auditor: User, now: datetime
) -> None:
    paper: Connection = a_connection(desk, now)
    url = reverse("admin:trading_halt", args=[paper.pk])
    assert _as(auditor).post(url, {"reason": "x"}).status_code == 403
    assert trading_state(paper.pk) == "ACTIVE"
    assert _as(trader).post(url, {"reason": "Odd fills."}).status_code == 303
    assert (trading_state(paper.pk), trading_state(None)) == ("HALTED", "ACTIVE")
    assert _as(trader).post(reverse("admin:trading_halt", args=["nowhere"])).status_code == 404


def test_nothing_is_deleted_here(draft: PolicyVersion, admin_user: User) -> None:
    client = _as(admin_user)
    for name, key in (("policyset", draft.policy_set_id), ("policyversion", draft.pk), ("tradingstate", "global")):
        assert client.post(reverse(f"admin:policies_{name}_delete", args=[key]), {"post": "yes"}).status_code == 403
