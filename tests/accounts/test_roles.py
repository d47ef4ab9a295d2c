from datetime import datetime
from io import StringIO

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command

from apps.accounts import selectors
from apps.accounts.models import User
from apps.accounts.services import roles
from apps.accounts.types import Role
from apps.audit.models import Event
from apps.common.errors import Misconfigured

VERBS = {
    "propose_trade": {"trader"},
    "decide_proposal": {"approver", "risk"},
    "halt_trading": {"trader", "approver", "risk", "operator"},
    "cancel_order": {"approver", "risk", "operator"},
    "activate_policy": {"risk"},
    "manage_connections": {"operator"},
    "view_ledger": {"trader", "approver", "risk", "operator", "auditor"},
    "second_request": {"approver", "risk", "operator"},
}


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_each_verb_belongs_to_exactly_its_roles(db: None, verb: str) -> None:
    holders = Group.objects.filter(permissions__codename=verb, permissions__content_type__app_label="accounts")
    assert set(holders.values_list("name", flat=True)) == VERBS[verb]


def test_every_named_verb_of_people_is_in_the_table_above() -> None:
    assert {codename for codename, _ in User._meta.permissions} == set(VERBS)


def test_no_role_may_edit_people_or_single_permissions(db: None) -> None:
    risky = Permission.objects.filter(group__name__in=[role.value for role in Role]).filter(
        codename__in=["add_user", "change_user", "change_group", "add_group", "change_permission"]
    )
    assert not risky.exists()


def test_syncing_again_changes_nothing(db: None, now: datetime) -> None:
    roles.sync_roles(now=now)
    before = Event.objects.filter(stream="roles").count()
    assert roles.sync_roles(now=now) == {}
    assert Event.objects.filter(stream="roles").count() == before


def test_syncing_takes_away_what_the_table_does_not_name(db: None) -> None:
    auditor = Group.objects.get(name="auditor")
    auditor.permissions.add(Permission.objects.get(codename="decide_proposal"))
    out = StringIO()

    call_command("sync_roles", stdout=out)

    assert out.getvalue().strip() == "auditor: -accounts.decide_proposal"
    assert not auditor.permissions.filter(codename="decide_proposal").exists()
    assert Event.objects.filter(kind="roles.synced").exists()


def test_a_permission_that_does_not_exist_is_named(db: None, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(roles.ROLE_PERMISSIONS, Role.TRADER, frozenset({"accounts.fly", "accounts.propose_trade"}))
    with pytest.raises(Misconfigured) as refused:
        roles.sync_roles(now=now)
    assert refused.value.code == "PERMISSION_MISSING"
    assert "accounts.fly" in refused.value.message


def test_roles_and_permissions_of_trader_approver_and_outsider(trader: User, approver: User, outsider: User) -> None:
    assert [selectors.roles_of(one) for one in (trader, approver, outsider)] == [{"trader"}, {"approver"}, set()]
    assert [selectors.holds(one, "propose_trade") for one in (trader, approver, outsider)] == [True, False, False]
    assert [selectors.holds(one, "decide_proposal") for one in (trader, approver, outsider)] == [False, True, False]
    assert [selectors.desks_of(one.pk).count() for one in (trader, approver, outsider)] == [1, 1, 0]


def test_holding_agrees_with_djangos_own_answer(trader: User, auditor: User, admin_user: User) -> None:
    for person in (trader, auditor, admin_user):
        for verb in VERBS:
            assert selectors.holds(person, verb) == person.has_perm(f"accounts.{verb}")


def test_a_role_counts_only_while_the_person_is_active(approver: User) -> None:
    assert selectors.is_active_in_roles(approver.pk, ["approver", "risk"])
    assert not selectors.is_active_in_roles(approver.pk, ["risk"])
    assert not selectors.is_active_in_roles(approver.pk, [])

    User.objects.filter(pk=approver.pk).update(is_active=False)

    assert not selectors.is_active_in_roles(approver.pk, ["approver"])
    assert not selectors.holds(User.objects.get(pk=approver.pk), "decide_proposal")
