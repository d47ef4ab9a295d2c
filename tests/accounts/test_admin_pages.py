import re
from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.errors import Unauthenticated
from apps.accounts.models import ApiKey, Desk, SecondPersonRequest, User
from apps.accounts.services import api_keys, second_person
from apps.audit.models import Event
from tests.factories.accounts import DeskFactory, SecondPersonRequestFactory, UserFactory, issue_key

SECRET = re.compile(r"aika_[0-9a-f]{12}_[0-9a-f]{64}")


def client_of(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def issue_page(client: Client, owner: User, **changes: object) -> str:
    form = {"owner": owner.pk, "name": "signal bot", "scopes": ["propose", "read"], "days": 30, **changes}
    response = client.post(reverse("admin:accounts_apikey_add"), form)
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    return response.content.decode()


def test_a_key_is_shown_once_and_works(operator: User, trader: User) -> None:
    client = client_of(operator)
    assert client.get(reverse("admin:accounts_apikey_add")).status_code == 200

    found = SECRET.search(issue_page(client, trader))

    assert found
    key = api_keys.authenticate(header=f"Bearer {found[0]}", address="127.0.0.1", now=timezone.now())
    assert (key.owner, key.scopes) == (trader, ["propose", "read"])
    pages = (
        reverse("admin:accounts_apikey_changelist"),
        reverse("admin:accounts_apikey_change", args=[key.pk]),
        reverse("admin:accounts_apikey_revoke", args=[key.pk]),
    )
    for page in pages:
        text = client.get(page).content.decode()
        assert key.prefix in text
        assert not SECRET.search(text)
        assert key.secret_hash not in text
    assert Event.objects.get(kind="api_key.issued").actor_id == str(operator.pk)


def test_a_refused_key_says_why_beside_the_field(operator: User, auditor: User) -> None:
    page = issue_page(client_of(operator), auditor, scopes=["propose"])
    assert "Aude Roux may not propose" in page
    assert not ApiKey.objects.exists()


def test_only_operators_issue_and_revoke(
    trader: User, approver: User, outsider: User, operator: User, now: datetime
) -> None:
    key, _ = issue_key(owner=trader, now=now)
    add, revoke = reverse("admin:accounts_apikey_add"), reverse("admin:accounts_apikey_revoke", args=[key.pk])
    for person in (trader, approver, outsider):
        client = client_of(person)
        assert [client.get(add).status_code, client.post(add).status_code] == [403, 403]
        assert [client.get(revoke).status_code, client.post(revoke).status_code] == [403, 403]
    key.refresh_from_db()
    assert key.revoked_at is None

    client = client_of(operator)
    assert client.get(revoke).status_code == 200
    key.refresh_from_db()
    assert key.revoked_at is None
    client.post(revoke)
    key.refresh_from_db()
    assert key.revoked_at is not None
    assert "revoked before" in client.post(revoke, follow=True).content.decode()


def test_nobody_edits_or_deletes_a_key(admin_user: User, trader: User, now: datetime) -> None:
    key, _ = issue_key(owner=trader, now=now)
    client = client_of(admin_user)
    assert client.post(reverse("admin:accounts_apikey_change", args=[key.pk]), {"name": "x"}).status_code == 403
    assert client.post(reverse("admin:accounts_apikey_delete", args=[key.pk]), {"post": "yes"}).status_code == 403
    key.refresh_from_db()
    assert key.name == "bot"


@pytest.fixture
def asked(risk: User) -> SecondPersonRequest:
    return second_person.request(
        kind="policy.activate",
        subject="policy_version:7",
        digest="c" * 64,
        summary="At most 1,000 USD an order becomes <b>2,000 USD</b>.",
        requester=risk,
        now=timezone.now(),
        ttl=timedelta(hours=1),
    )


def test_a_colleague_reads_and_seconds(approver: User, asked: SecondPersonRequest) -> None:
    client, page = client_of(approver), reverse("admin:accounts_secondpersonrequest_second", args=[asked.pk])

    text = client.get(page).content.decode()

    assert "c" * 64 in text
    assert "&lt;b&gt;2,000 USD" in text
    asked.refresh_from_db()
    assert asked.state == "OPEN"
    client.post(page)
    asked.refresh_from_db()
    assert (asked.state, asked.seconder) == ("SECONDED", approver)
    assert "no longer open" in client.post(page, follow=True).content.decode()


def test_the_requester_and_the_stranger_do_not_second(
    risk: User, trader: User, outsider: User, asked: SecondPersonRequest
) -> None:
    page = reverse("admin:accounts_secondpersonrequest_second", args=[asked.pk])
    for person in (trader, outsider):
        client = client_of(person)
        assert [client.get(page).status_code, client.post(page).status_code] == [403, 403]
    own = client_of(risk)
    assert "somebody else must second it" in own.get(page).content.decode()
    assert "must be somebody else" in own.post(page, follow=True).content.decode()
    asked.refresh_from_db()
    assert asked.state == "OPEN"


def test_withdrawing_is_a_post_of_who_asked(risk: User, trader: User, asked: SecondPersonRequest) -> None:
    verb = reverse("admin:accounts_secondpersonrequest_withdraw", args=[asked.pk])
    client = client_of(risk)
    assert (
        "Withdraw the request"
        in client.get(reverse("admin:accounts_secondpersonrequest_change", args=[asked.pk])).content.decode()
    )
    assert client.get(verb).status_code == 405
    assert client_of(trader).post(verb).status_code == 403
    client.post(verb)
    asked.refresh_from_db()
    assert asked.state == "WITHDRAWN"


def test_a_person_is_added_given_a_role_and_deactivated_with_events(admin_user: User) -> None:
    client = client_of(admin_user)
    password = "a good long password 9"
    form = {"username": "nina", "email": "nina@example.com", "display_name": "Nina", "usable_password": "true"}
    client.post(reverse("admin:accounts_user_add"), {**form, "password1": password, "password2": password})
    nina = User.objects.get(username="nina")
    change = reverse("admin:accounts_user_change", args=[nina.pk])
    approver_group = _group("approver")

    base = {"username": "nina", "email": "nina@example.com", "display_name": "Nina", "groups": [approver_group]}
    client.post(change, {**base, "is_active": "on", "is_staff": "on"})
    client.post(change, base)
    client.post(change, base)

    nina.refresh_from_db()
    assert not nina.is_active
    assert nina.groups.get().name == "approver"
    events = Event.objects.filter(subject=f"user:{nina.pk}").order_by("id")
    assert [event.kind for event in events] == ["user.added", "user.changed", "user.changed"]
    assert b'"roles":{"after":["approver"],"before":[]}' in bytes(events[1].body)
    assert b'"is_active":{"after":false,"before":true}' in bytes(events[2].body)
    assert not any(password.encode() in bytes(event.body) for event in events)


def test_one_address_in_two_spellings_is_one_address(admin_user: User, trader: User) -> None:
    password = "a good long password 9"
    form = {"username": "tara2", "email": "TARA@example.com", "display_name": "T", "usable_password": "true"}
    response = client_of(admin_user).post(
        reverse("admin:accounts_user_add"), {**form, "password1": password, "password2": password}
    )
    assert "This e-mail address is taken." in response.content.decode()
    assert not User.objects.filter(username="tara2").exists()


def test_a_password_set_by_an_administrator_leaves_an_event(admin_user: User, trader: User) -> None:
    password = "a good long password 9"
    client, page = client_of(admin_user), reverse("admin:auth_user_password_change", args=[trader.pk])
    bad = {"password1": password, "password2": "other", "usable_password": "true"}
    assert client.post(page, bad).status_code == 200
    assert not Event.objects.filter(kind="user.password_set").exists()
    client.post(page, {**bad, "password2": password})
    trader.refresh_from_db()
    assert trader.check_password(password)
    event = Event.objects.get(kind="user.password_set")
    assert (event.subject, event.actor_id) == (f"user:{trader.pk}", str(admin_user.pk))


def test_people_are_edited_by_administrators_only_and_deleted_by_nobody(
    admin_user: User, operator: User, trader: User, outsider: User
) -> None:
    change = reverse("admin:accounts_user_change", args=[trader.pk])
    page = client_of(operator).get(change)
    assert page.status_code == 200
    assert "Raw passwords" not in page.content.decode()
    assert "salt" not in page.content.decode()
    for person in (operator, trader, outsider):
        assert client_of(person).post(change, {"username": "x", "is_superuser": "on"}).status_code == 403
    assert (
        client_of(admin_user).post(reverse("admin:accounts_user_delete", args=[trader.pk]), {"post": "yes"}).status_code
        == 403
    )
    trader.refresh_from_db()
    assert not trader.is_superuser


def test_a_desk_keeps_its_currency_and_its_changes_are_recorded(admin_user: User, desk: Desk, trader: User) -> None:
    change = reverse("admin:accounts_desk_change", args=[desk.pk])
    client_of(admin_user).post(
        change, {"name": "Night desk", "reporting_currency": "EUR", "slug": "x", "members": [trader.pk]}
    )
    desk.refresh_from_db()
    assert (desk.name, desk.reporting_currency, desk.slug) == ("Night desk", "USD", "main")
    assert list(desk.members.all()) == [trader]
    assert Event.objects.get(subject=f"desk:{desk.pk}").kind == "desk.changed"
    assert client_of(trader).get(change).status_code == 403


@pytest.mark.parametrize("model", ["user", "desk", "apikey", "secondpersonrequest"])
def test_a_list_costs_the_same_with_ten_times_the_rows(
    admin_user: User, model: str, now: datetime, django_assert_max_num_queries: object
) -> None:
    client, url = client_of(admin_user), reverse(f"admin:accounts_{model}_changelist")
    _rows(1, now)
    with django_assert_max_num_queries(20) as few:  # type: ignore[operator]
        client.get(url)
    _rows(10, now)
    with django_assert_max_num_queries(len(few)):  # type: ignore[operator]
        assert client.get(url).status_code == 200


def test_a_stolen_prefix_opens_nothing(operator: User, trader: User) -> None:
    found = SECRET.search(issue_page(client_of(operator), trader))
    assert found
    with pytest.raises(Unauthenticated):
        api_keys.authenticate(header=f"Bearer {found[0][:18]}_{'0' * 64}", address="127.0.0.1", now=timezone.now())


def _group(name: str) -> int:
    return Group.objects.get(name=name).pk


def _rows(count: int, now: datetime) -> None:
    for _ in range(count):
        person = UserFactory(role="trader", desk=DeskFactory())
        issue_key(owner=person, now=now)
        SecondPersonRequestFactory(requester=person)
