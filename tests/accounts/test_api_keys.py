from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from apps.accounts import selectors
from apps.accounts.errors import Unauthenticated
from apps.accounts.models import ApiKey, User
from apps.accounts.services import api_keys, people
from apps.audit.models import Event
from apps.common.errors import Conflict, Invalid, NotFound
from tests.factories.accounts import UserFactory, issue_key


def test_an_issued_key_authenticates_its_owner(trader: User, now: datetime) -> None:
    key, header = issue_key(owner=trader, now=now)

    found = api_keys.authenticate(header=header, address="127.0.0.1", now=now)

    assert (found, found.owner) == (key, trader)
    assert header.startswith(f"Bearer aika_{key.prefix}_")


def test_the_secret_is_nowhere_in_the_database(trader: User, now: datetime) -> None:
    key, header = issue_key(owner=trader, now=now)
    secret = header.rsplit("_", 1)[1]

    row = ApiKey.objects.filter(pk=key.pk).values().get()

    assert secret not in str(row)
    assert not any(secret.encode() in bytes(event.body) for event in Event.objects.all())


def test_authenticating_asks_once_and_writes_at_most_once_a_minute(
    trader: User, now: datetime, django_assert_num_queries: object
) -> None:
    key, header = issue_key(owner=trader, now=now)
    asked = 1 if connection.vendor == "postgresql" else 2
    with django_assert_num_queries(asked + 1):  # type: ignore[operator]
        api_keys.authenticate(header=header, address="127.0.0.1", now=now)
    with django_assert_num_queries(asked):  # type: ignore[operator]
        found = api_keys.authenticate(header=header, address="127.0.0.1", now=now + timedelta(seconds=59))
        assert found.owner.username
        assert selectors.holds(found.owner, "propose_trade")
        assert not selectors.holds(found.owner, "decide_proposal")
    key.refresh_from_db()
    assert key.last_used_at == now

    api_keys.authenticate(header=header, address="127.0.0.1", now=now + timedelta(seconds=60))

    key.refresh_from_db()
    assert key.last_used_at == now + timedelta(seconds=60)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer aika",
        "Basic aika_000000000000_" + "0" * 64,
        "Bearer aika_000000000000_" + "0" * 63,
        "Bearer aika_000000000000_" + "0" * 64 + "\n",
        "Bearer aika_00000000000\x00_" + "0" * 64,
        "Bearer aika_000000000000_" + "٠" * 64,
        "Bearer " + "x" * 100_000,
    ],
)
def test_a_header_of_another_form_is_malformed(db: None, now: datetime, header: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        api_keys.authenticate(header=header, address="127.0.0.1", now=now)
    assert refused.value.code == "KEY_MALFORMED"


def test_a_wrong_secret_reads_like_an_unknown_key(trader: User, now: datetime) -> None:
    key, _ = issue_key(owner=trader, now=now)
    messages = set()
    for prefix in (key.prefix, "0" * 12):
        with pytest.raises(Unauthenticated) as refused:
            api_keys.authenticate(header=f"Bearer aika_{prefix}_{'0' * 64}", address="127.0.0.1", now=now)
        messages.add((refused.value.code, refused.value.message, refused.value.fix))
    assert {code for code, _, _ in messages} == {"KEY_UNKNOWN"}
    assert len(messages) == 1


def test_an_ended_key_or_owner_is_refused(trader: User, now: datetime) -> None:
    key, header = issue_key(owner=trader, now=now, days=1)
    assert api_keys.authenticate(header=header, address="127.0.0.1", now=now + timedelta(hours=23))

    assert _code(header, now + timedelta(days=1)) == "KEY_EXPIRED"
    trader.is_active = False
    trader.save()
    assert _code(header, now) == "OWNER_INACTIVE"
    api_keys.revoke(key_id=key.pk, actor=people.actor_of(trader), now=now)
    assert _code(header, now) == "KEY_REVOKED"


def test_a_wrong_secret_of_an_ended_key_learns_nothing(trader: User, now: datetime) -> None:
    key, _ = issue_key(owner=trader, now=now)
    api_keys.revoke(key_id=key.pk, actor=people.actor_of(trader), now=now)
    assert _code(f"Bearer aika_{key.prefix}_{'0' * 64}", now) == "KEY_UNKNOWN"


def test_a_key_is_revoked_once(trader: User, operator: User, now: datetime) -> None:
    key, _ = issue_key(owner=trader, now=now)
    actor = people.actor_of(operator)

    assert api_keys.revoke(key_id=key.pk, actor=actor, now=now, reason="lost laptop").revoked_at == now

    with pytest.raises(Conflict, match="KEY_ALREADY_REVOKED"):
        api_keys.revoke(key_id=key.pk, actor=actor, now=now)
    with pytest.raises(NotFound, match="KEY_NOT_FOUND"):
        api_keys.revoke(key_id=trader.pk, actor=actor, now=now)


def test_the_database_refuses_to_revive_or_widen_a_key(trader: User, now: datetime) -> None:
    key, _ = issue_key(owner=trader, now=now)
    api_keys.revoke(key_id=key.pk, actor=people.actor_of(trader), now=now)
    for change in ({"revoked_at": None}, {"scopes": ["halt"]}, {"secret_hash": "0" * 64}):
        with pytest.raises(IntegrityError), transaction.atomic():
            ApiKey.objects.filter(pk=key.pk).update(**change)
    with pytest.raises(IntegrityError), transaction.atomic():
        ApiKey.objects.filter(pk=key.pk).delete()


def test_issuing_and_revoking_leave_events(trader: User, operator: User, now: datetime) -> None:
    key, _ = api_keys.issue(
        owner=trader,
        name="bot",
        scopes=["read"],
        expires_at=now + timedelta(days=1),
        actor=people.actor_of(operator),
        now=now,
    )
    api_keys.revoke(key_id=key.pk, actor=people.actor_of(operator), now=now)

    events = Event.objects.filter(subject=f"api_key:{key.pk}").order_by("id")

    assert [event.kind for event in events] == ["api_key.issued", "api_key.revoked"]
    assert {event.actor_id for event in events} == {str(operator.pk)}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"scopes": []}, "SCOPE_MISSING"),
        ({"scopes": ["read", "approve"]}, "SCOPE_UNKNOWN"),
        ({"name": "  "}, "KEY_NAME_MISSING"),
        ({"name": "n" * 81}, "KEY_NAME_TOO_LONG"),
        ({"expires_in": timedelta(0)}, "EXPIRY_OUT_OF_RANGE"),
        ({"expires_in": timedelta(days=366, seconds=1)}, "EXPIRY_OUT_OF_RANGE"),
    ],
)
def test_a_key_out_of_bounds_is_not_issued(trader: User, now: datetime, change: dict[str, object], code: str) -> None:
    wanted = {"scopes": ["read"], "name": "bot", "expires_in": timedelta(days=366), **change}
    with pytest.raises(Invalid) as refused:
        api_keys.issue(
            owner=trader,
            name=str(wanted["name"]),
            scopes=wanted["scopes"],  # type: ignore[arg-type]
            expires_at=now + wanted["expires_in"],  # type: ignore[operator]
            actor=people.actor_of(trader),
            now=now,
        )
    assert refused.value.code == code
    assert not ApiKey.objects.exists()


def test_a_key_never_may_more_than_its_owner(trader: User, auditor: User, outsider: User, now: datetime) -> None:
    assert issue_key(owner=trader, now=now, scopes=["propose", "read", "halt"])
    assert issue_key(owner=auditor, now=now, scopes=["read"])
    for owner, scope in ((auditor, "propose"), (auditor, "halt"), (outsider, "read")):
        with pytest.raises(Invalid) as refused:
            issue_key(owner=owner, now=now, scopes=[scope])
        assert refused.value.code == "SCOPE_EXCEEDS_OWNER"


def test_a_person_has_a_bounded_number_of_live_keys(trader: User, now: datetime) -> None:
    first, _ = issue_key(owner=trader, now=now)
    for _ in range(api_keys.KEYS_PER_OWNER_MAX - 1):
        issue_key(owner=trader, now=now)
    with pytest.raises(Invalid) as refused:
        issue_key(owner=trader, now=now)
    assert refused.value.code == "KEY_LIMIT_REACHED"
    api_keys.revoke(key_id=first.pk, actor=people.actor_of(trader), now=now)
    assert issue_key(owner=trader, now=now)


def test_an_inactive_person_gets_no_key(trader: User, now: datetime) -> None:
    gone = UserFactory(is_active=False, is_superuser=True)
    with pytest.raises(Invalid) as refused:
        issue_key(owner=gone, now=now)
    assert refused.value.code == "OWNER_INACTIVE"


def _code(header: str, now: datetime) -> str:
    with pytest.raises(Unauthenticated) as refused:
        api_keys.authenticate(header=header, address="127.0.0.1", now=now)
    return refused.value.code
