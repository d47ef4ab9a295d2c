"""A successor beside the old key, from which networks a key is heard, how fast, and whose a found key is."""

import io
import json
import sys
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone

from apps.accounts.errors import Unauthenticated
from apps.accounts.models import ApiKey, User
from apps.accounts.services import api_keys, people
from apps.audit.models import Event
from apps.common.client_address import client_address
from apps.common.errors import AikaError, Conflict, Forbidden, Invalid, NotFound
from apps.connectors.models import ConnectionGrant
from apps.connectors.services import connections
from apps.connectors.services.key_rotation import rotate_key
from tests.factories.accounts import issue_key
from tests.factories.connectors import ConnectionFactory

HOME = "127.0.0.1"
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def fresh_cache() -> None:
    cache.clear()


def rotated(key: ApiKey, by: User, now: datetime, overlap: timedelta = HOUR) -> tuple[ApiKey, str]:
    return rotate_key(
        key_id=key.pk, expires_at=now + timedelta(days=30), overlap=overlap, actor=people.actor_of(by), now=now
    )


def heard(header: str, now: datetime, address: str = HOME) -> str:
    """The prefix of the key that was heard, or the code of the refusal."""
    try:
        return api_keys.authenticate(header=header, address=address, now=now).prefix
    except (Unauthenticated, Forbidden) as error:
        return error.code


def test_both_keys_work_until_the_old_one_ends(trader: User, operator: User, now: datetime) -> None:
    old, header = issue_key(owner=trader, now=now, scopes=["read", "propose"])
    successor, secret = rotated(old, operator, now)

    assert heard(header, now + HOUR - timedelta(microseconds=1)) == old.prefix
    assert heard(header, now + HOUR) == "KEY_EXPIRED"
    for later in (timedelta(0), HOUR, timedelta(days=29)):
        assert heard(f"Bearer {secret}", now + later) == successor.prefix
    assert (successor.scopes, successor.owner, successor.rotated_from) == (["propose", "read"], trader, old)


def test_a_successor_has_the_connections_networks_and_rate_of_the_old_key(
    trader: User, operator: User, now: datetime
) -> None:
    old, _ = api_keys.issue(
        owner=trader,
        name="bot",
        scopes=["propose"],
        networks=["203.0.113.0/24"],
        requests_per_minute=7,
        expires_at=now + timedelta(days=1),
        actor=people.actor_of(operator),
        now=now,
    )
    granted = ConnectionFactory()
    ConnectionFactory()
    connections.grant(connection=granted, api_key=old, actor=people.actor_of(operator), now=now)

    successor, _ = rotated(old, operator, now)

    assert (successor.networks, successor.requests_per_minute) == (["203.0.113.0/24"], 7)
    assert [row.connection for row in ConnectionGrant.objects.filter(api_key=successor)] == [granted]


def test_rotation_leaves_events_on_both_keys(trader: User, operator: User, now: datetime) -> None:
    old, _ = issue_key(owner=trader, now=now)
    successor, _ = rotated(old, operator, now)
    kinds = [
        list(Event.objects.filter(subject=f"api_key:{key.pk}").order_by("id").values_list("kind", flat=True))
        for key in (old, successor)
    ]
    assert kinds == [["api_key.issued", "api_key.rotated"], ["api_key.issued"]]


def test_a_key_is_rotated_once_and_only_while_it_lives(trader: User, operator: User, now: datetime) -> None:
    old, _ = issue_key(owner=trader, now=now, days=1)
    successor, _ = rotated(old, operator, now)
    revoked, _ = issue_key(owner=trader, now=now)
    api_keys.revoke(key_id=revoked.pk, actor=people.actor_of(operator), now=now)
    refused: list[tuple[type[AikaError], str, ApiKey, datetime]] = [
        (Conflict, "KEY_ALREADY_ROTATED", old, now),
        (Conflict, "KEY_ALREADY_REVOKED", revoked, now),
        (Conflict, "KEY_ENDED", successor, now + timedelta(days=30)),
    ]
    for kind, code, key, when in refused:
        with pytest.raises(kind) as caught:
            rotated(key, operator, when)
        assert caught.value.code == code
    with pytest.raises(NotFound):
        rotate_key(key_id=uuid4(), expires_at=now + HOUR, overlap=HOUR, actor=people.actor_of(operator), now=now)
    for overlap in (timedelta(seconds=-1), api_keys.OVERLAP_MAX + timedelta(seconds=1)):
        with pytest.raises(Invalid, match="OVERLAP_OUT_OF_RANGE"):
            rotated(successor, operator, now, overlap)
    assert rotated(successor, operator, now)


def test_an_overlap_never_outlives_the_old_key(trader: User, operator: User, now: datetime) -> None:
    old, header = issue_key(owner=trader, now=now, days=1)
    rotated(old, operator, now, timedelta(days=30))
    assert heard(header, now + timedelta(hours=23)) == old.prefix
    assert heard(header, now + timedelta(days=1)) == "KEY_EXPIRED"


def test_who_lost_a_role_gets_no_successor(trader: User, operator: User, now: datetime) -> None:
    old, header = issue_key(owner=trader, now=now, scopes=["propose"])
    trader.groups.clear()
    with pytest.raises(Invalid, match="SCOPE_EXCEEDS_OWNER"):
        rotated(old, operator, now)
    assert heard(header, now + timedelta(days=2)) == old.prefix


def test_the_database_lets_a_key_end_sooner_and_never_later(trader: User, operator: User, now: datetime) -> None:
    old, _ = issue_key(owner=trader, now=now)
    rotated(old, operator, now)
    rows = ApiKey.objects.filter(pk=old.pk)
    for change in (
        {"ends_at": None},
        {"ends_at": now + 2 * HOUR},
        {"networks": ["0.0.0.0/0"]},
        {"requests_per_minute": 10_000},
        {"rotated_from": old.pk},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            rows.update(**change)
    rows.update(ends_at=now)
    with pytest.raises(IntegrityError), transaction.atomic():
        ApiKey.objects.filter(rotated_from=old).update(ends_at=now + timedelta(days=400))


@pytest.mark.parametrize(
    ("networks", "address", "is_heard"),
    [
        ([], "198.51.100.7", True),
        ([], "", True),
        (["203.0.113.0/24"], "203.0.113.0", True),
        (["203.0.113.0/24"], "203.0.113.255", True),
        (["203.0.113.0/24"], "203.0.114.0", False),
        (["203.0.113.7"], "203.0.113.7", True),
        (["203.0.113.7"], "203.0.113.8", False),
        (["203.0.113.0/24"], "::ffff:203.0.113.9", True),
        (["2001:db8::/32"], "2001:db8:ffff::1", True),
        (["2001:db8::/32"], "2001:db9::1", False),
        (["203.0.113.0/24", "2001:db8::/32"], "2001:db8::1", True),
        (["203.0.113.0/24"], "", False),
        (["0.0.0.0/0"], "unix:", False),
        (["0.0.0.0/0"], "203.0.113.9, 10.0.0.1", False),
    ],
)
def test_a_key_is_heard_from_its_networks_only(
    trader: User, now: datetime, networks: list[str], address: str, is_heard: bool
) -> None:
    key, secret = api_keys.issue(
        owner=trader,
        name="bot",
        scopes=["read"],
        networks=networks,
        expires_at=now + HOUR,
        actor=people.actor_of(trader),
        now=now,
    )
    assert heard(f"Bearer {secret}", now, address) == (key.prefix if is_heard else "KEY_ADDRESS_REFUSED")
    assert heard(f"Bearer aika_{key.prefix}_{'0' * 64}", now, address) == "KEY_UNKNOWN"


@pytest.mark.parametrize("networks", [["203.0.113.7/24"], ["home"], ["10.0.0.0/33"], ["10.0.0.1"] * 21])
def test_what_is_no_network_is_refused(trader: User, now: datetime, networks: list[str]) -> None:
    with pytest.raises(Invalid, match="NETWORK_MALFORMED"):
        api_keys.issue(
            owner=trader,
            name="bot",
            scopes=["read"],
            networks=networks,
            expires_at=now + HOUR,
            actor=people.actor_of(trader),
            now=now,
        )


def test_a_whole_key_from_elsewhere_is_written_down_once_in_a_while(trader: User, now: datetime) -> None:
    key, secret = api_keys.issue(
        owner=trader,
        name="bot",
        scopes=["read"],
        networks=["10.0.0.0/8"],
        expires_at=now + HOUR,
        actor=people.actor_of(trader),
        now=now,
    )
    for _ in range(3):
        assert heard(f"Bearer {secret}", now, "198.51.100.7") == "KEY_ADDRESS_REFUSED"
    written = Event.objects.get(kind="api_key.address_refused")
    assert b"198.51.100.7" in bytes(written.body)
    assert heard(f"Bearer {secret}", now, "10.1.2.3") == key.prefix


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "203.0.113.9", "10.0.0.5"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "127.0.0.1, 203.0.113.9", "203.0.113.9"),
        (1, "", ""),
        (2, "127.0.0.1, 203.0.113.9, 10.0.0.6", "203.0.113.9"),
        (2, "203.0.113.9", ""),
    ],
)
def test_a_visitor_cannot_invent_an_address(proxies: int, forwarded: str, address: str) -> None:
    with override_settings(TRUSTED_PROXY_COUNT=proxies):
        assert client_address({"REMOTE_ADDR": "10.0.0.5", "HTTP_X_FORWARDED_FOR": forwarded}) == address
    if proxies:
        with override_settings(TRUSTED_PROXY_COUNT=proxies):
            assert client_address({"REMOTE_ADDR": "10.0.0.5"}) == ""


def test_the_api_hears_a_key_by_the_address_the_proxy_gives(trader: User, now: datetime) -> None:
    _, secret = api_keys.issue(
        owner=trader,
        name="bot",
        scopes=["read"],
        networks=["203.0.113.0/24"],
        expires_at=timezone.now() + HOUR,
        actor=people.actor_of(trader),
        now=timezone.now(),
    )
    client = Client(headers={"Authorization": f"Bearer {secret}"})
    with override_settings(TRUSTED_PROXY_COUNT=1):
        for forwarded, status in (("203.0.113.9", 200), ("203.0.113.9, 198.51.100.7", 403)):
            answer = client.get("/api/v1/connectors", headers={"X-Forwarded-For": forwarded})
            assert answer.status_code == status, answer.content
    assert answer.json()["code"] == "KEY_ADDRESS_REFUSED"
    assert client.get("/api/v1/connectors", headers={"X-Forwarded-For": "203.0.113.9"}).status_code == 403


def test_a_key_may_be_slower_than_the_installation(trader: User) -> None:
    def statuses(**rate: int) -> list[int]:
        _, secret = api_keys.issue(
            owner=trader,
            name="bot",
            scopes=["read"],
            expires_at=timezone.now() + HOUR,
            actor=people.actor_of(trader),
            now=timezone.now(),
            **rate,
        )
        client = Client(headers={"Authorization": f"Bearer {secret}"})
        return [client.get("/api/v1/connectors").status_code for _ in range(4)]

    assert statuses(requests_per_minute=2) == [200, 200, 429, 429]
    assert statuses() == [200] * 4
    with pytest.raises(Invalid, match="RATE_OUT_OF_RANGE"):
        statuses(requests_per_minute=0)


def found(*args: str) -> str:
    out = io.StringIO()
    call_command("find_key", *args, stdout=out)
    return out.getvalue()


def test_whose_a_found_key_is(trader: User, monkeypatch: pytest.MonkeyPatch) -> None:
    key, header = issue_key(owner=trader, now=timezone.now(), name="signal bot")
    whole = header.removeprefix("Bearer ")
    by_prefix, by_key, by_wrong = found(key.prefix), found(whole), found(f"aika_{key.prefix}_{'0' * 64}")
    monkeypatch.setattr(sys, "stdin", io.StringIO(f'2026-03-02 "{uuid4()}" KEY={whole} # leaked\n'))
    by_text = found("-")

    for told in (by_prefix, by_key, by_wrong, by_text):
        assert f"signal bot ({key.prefix}), in use" in told
        assert "Tara Osei <tara@example.com>" in told
        assert whole[-64:] not in told
    assert "only a prefix" in by_prefix
    assert "the whole key: it works" in by_key
    assert "the whole key: it works" in by_text
    assert "with a wrong secret" in by_wrong
    record = json.loads(found(whole, "--json"))
    assert (record["prefix"], record["owner"], record["found"]) == (key.prefix, "tara", "the whole key: it works")
    assert whole[-64:] not in str(record)
    key.refresh_from_db()
    assert key.revoked_at is None


def test_a_found_key_is_revoked_when_asked(trader: User) -> None:
    key, header = issue_key(owner=trader, now=timezone.now())

    told = found(header.removeprefix("Bearer "), "--revoke", "--reason", "In a public repository.")

    assert "Revoked." in told
    assert heard(header, timezone.now()) == "KEY_REVOKED"
    assert b"In a public repository." in bytes(Event.objects.get(kind="api_key.revoked").body)
    assert "was revoked before" in found(key.prefix, "--revoke")
    assert "the whole key, which has ended" in found(header.removeprefix("Bearer "))


def test_a_key_of_nobody_is_not_found(trader: User) -> None:
    for text in ("aika_000000000000_" + "0" * 64, "nothing", ""):
        with pytest.raises(CommandError, match="No key of this installation"):
            found(text)


def test_the_pages_rotate_and_find(trader: User, operator: User, approver: User) -> None:
    key, header = issue_key(owner=trader, now=timezone.now())
    page, listing = reverse("rotate_key", args=[key.pk]), reverse("admin:accounts_apikey_changelist")
    for person in (trader, approver):
        client = Client()
        client.force_login(person)
        assert [client.get(page).status_code, client.post(page).status_code] == [403, 403]
    client = Client()
    client.force_login(operator)
    assert key.prefix in client.get(page).content.decode()
    assert client.post(page, {"overlap_hours": 721, "days": 30}).status_code == 200
    assert not ApiKey.objects.filter(rotated_from=key).exists()

    shown = client.post(page, {"overlap_hours": 24, "days": 30})

    successor = ApiKey.objects.get(rotated_from=key)
    assert f"aika_{successor.prefix}_" in shown.content.decode()
    assert "no-store" in shown["Cache-Control"]
    assert "has a successor" in client.post(page, {"overlap_hours": 24, "days": 30}).content.decode()
    assert key.prefix in client.get(listing, {"q": f"aika_{key.prefix}"}).content.decode()
    detail = client.get(reverse("admin:accounts_apikey_change", args=[key.pk])).content.decode()
    assert "in use, successor made" in detail
    assert header.rsplit("_", 1)[1] not in detail
