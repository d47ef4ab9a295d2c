"""Second factors through the pages: set up, shown at sign-in, asked of whoever must have one."""

import html
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.core.cache import cache
from django.core.checks import run_checks
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.services import second_factors, sessions
from apps.accounts.services.people import actor_of
from apps.audit.models import Alarm, Event
from apps.common.encryption import open_text, seal_text
from apps.common.errors import Misconfigured
from tests.accounts.test_sign_in import INLINE
from tests.factories.accounts import PASSWORD, issue_key
from tests.factories.soft_key import SoftKey, app_for, code_of

pytestmark = pytest.mark.django_db
required = override_settings(SECOND_FACTOR_REQUIRED=True)


@pytest.fixture(autouse=True)
def clock() -> Iterator[time_machine.Traveller]:
    """Time stands still, so that a code is a code of one period; nothing counted before is held against anybody."""
    cache.clear()
    with time_machine.travel(1_800_000_000, tick=False) as coordinates:
        yield coordinates


def password(client: Client, person: User) -> Any:
    return client.post(reverse("account_login"), {"login": person.username, "password": PASSWORD})


def is_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def options_in(page: Any) -> dict[str, Any]:
    found = re.search(r'data-key-options="([^"]+)"', page.content.decode())
    assert found
    options: dict[str, Any] = json.loads(html.unescape(found[1]))
    return options


def entered(person: User) -> Client:
    """In with the password, and lately shown that it is them."""
    client = Client()
    password(client, person)
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    return client


def test_an_app_is_set_up_and_asked_for(approver: User, clock: time_machine.Traveller) -> None:
    client = entered(approver)
    page = client.get(reverse("mfa_activate_totp"))
    secret = page.context["form"].secret
    assert secret not in json.dumps(dict(client.session.items()))
    code = code_of(secret)
    wrong = client.post(reverse("mfa_activate_totp"), {"code": "000000" if code != "000000" else "111111"})
    assert "Incorrect" in wrong.content.decode() and not Authenticator.objects.exists()

    client.post(reverse("mfa_activate_totp"), {"code": code})

    assert set(Authenticator.objects.values_list("type", flat=True)) == {"totp", "recovery_codes"}
    assert Event.objects.filter(kind="user.second_factor_added", subject=f"user:{approver.pk}").count() == 1
    again = Client()
    assert password(again, approver)["Location"] == reverse("mfa_authenticate")
    assert not is_in(again)
    again.post(reverse("mfa_authenticate"), {"code": code})
    assert not is_in(again), "the code that confirmed the app was accepted a second time"
    clock.shift(30)
    again.post(reverse("mfa_authenticate"), {"code": code_of(secret)})
    assert is_in(again)


def test_pages_with_a_seed_or_codes_are_kept_nowhere(approver: User) -> None:
    client = entered(approver)
    page = client.get(reverse("mfa_activate_totp"))
    secret = page.context["form"].secret
    again = client.post(reverse("mfa_activate_totp"), {"code": "nonsense"})
    client.post(reverse("mfa_activate_totp"), {"code": code_of(secret)})
    codes = [client.get(reverse(f"mfa_{what}_recovery_codes")) for what in ("view", "download")]
    assert secret in page.content.decode() and secret in again.content.decode()
    for shown in (page, again, *codes):
        assert shown.status_code == 200 and "no-store" in shown["Cache-Control"]


def links_of(client: Client, address: str) -> set[str]:
    page = client.get(address)
    assert page.status_code == 200, address
    return set(re.findall(r'href="([^"#?]+)', page.content.decode()))


def test_second_factors_are_reached_by_links_where_nobody_must_have_one(trader: User, approver: User) -> None:
    """As in the demo: from every page, by whoever wants one; nobody has to know an address."""
    for person in (trader, approver):
        client = entered(person)
        for begin in (reverse("home"), reverse("admin:index")):
            assert reverse("account_sessions") in links_of(client, begin), begin
        assert reverse("mfa_index") in links_of(client, reverse("account_sessions"))
        offered = links_of(client, reverse("mfa_index"))
        for name in ("mfa_activate_totp", "mfa_add_webauthn"):
            assert reverse(name) in offered and client.get(reverse(name)).status_code == 200, name
    assert reverse("account_sessions") not in links_of(Client(), reverse("account_login"))


def test_a_code_works_once_and_in_its_own_period(approver: User, clock: time_machine.Traveller) -> None:
    secret = app_for(approver)
    clock.shift(-30)
    before = code_of(secret)
    clock.shift(30)
    for code, enters in ((before, False), (code_of(secret, at=time.time() + 30), False), (code_of(secret), True)):
        client = Client()
        password(client, approver)
        client.post(reverse("mfa_authenticate"), {"code": code})
        assert is_in(client) is enters, code
    replayed = Client()
    password(replayed, approver)
    replayed.post(reverse("mfa_authenticate"), {"code": code_of(secret)})
    assert not is_in(replayed)


def test_guessing_codes_is_slowed_down(approver: User, clock: time_machine.Traveller) -> None:
    secret = app_for(approver)
    client = Client()
    password(client, approver)
    wrong = "000000" if code_of(secret) != "000000" else "111111"
    for _ in range(5):
        client.post(reverse("mfa_authenticate"), {"code": wrong})
    client.post(reverse("mfa_authenticate"), {"code": code_of(secret)})
    assert not is_in(client)


def test_a_recovery_code_stands_in_once(approver: User) -> None:
    client = entered(approver)
    page = client.get(reverse("mfa_activate_totp"))
    client.post(reverse("mfa_activate_totp"), {"code": code_of(page.context["form"].secret)})
    codes = client.get(reverse("mfa_view_recovery_codes")).context["unused_codes"]
    assert len(codes) == 10
    for enters in (True, False):
        other = Client()
        password(other, approver)
        other.post(reverse("mfa_authenticate"), {"code": codes[0]})
        assert is_in(other) is enters
    client.post(reverse("mfa_generate_recovery_codes"))
    other = Client()
    password(other, approver)
    other.post(reverse("mfa_authenticate"), {"code": codes[1]})
    assert not is_in(other)
    assert Event.objects.filter(kind="user.second_factor_renewed").count() == 1


def test_a_key_is_added_and_asked_for(approver: User) -> None:
    client, key = entered(approver), SoftKey()
    options = options_in(client.get(reverse("mfa_add_webauthn"), secure=True))
    assert options["publicKey"]["authenticatorSelection"]["userVerification"] == "required"
    client.post(reverse("mfa_add_webauthn"), {"name": "blue", "credential": key.create(options)}, secure=True)
    assert Authenticator.objects.get(type="webauthn").wrap().name == "blue"
    assert Event.objects.filter(kind="user.second_factor_added").count() == 1

    other = Client()
    password(other, approver)
    asked = options_in(other.get(reverse("mfa_authenticate"), secure=True))
    answer = key.get(asked)
    other.post(reverse("mfa_authenticate"), {"credential": SoftKey().get(asked)}, secure=True)
    assert not is_in(other), "a stranger's key"
    asked = options_in(other.get(reverse("mfa_authenticate"), secure=True))
    other.post(reverse("mfa_authenticate"), {"credential": answer}, secure=True)
    assert not is_in(other), "the answer to an earlier question"
    asked = options_in(other.get(reverse("mfa_authenticate"), secure=True))
    key.flags = 0x01
    other.post(reverse("mfa_authenticate"), {"credential": key.get(asked)}, secure=True)
    assert not is_in(other), "without a PIN, a finger or a face"
    asked = options_in(other.get(reverse("mfa_authenticate"), secure=True))
    key.flags, key.origin = 0x05, "https://evil.example"
    other.post(reverse("mfa_authenticate"), {"credential": key.get(asked)}, secure=True)
    assert not is_in(other), "shown to another site"
    asked = options_in(other.get(reverse("mfa_authenticate"), secure=True))
    key.origin = "https://testserver"
    other.post(reverse("mfa_authenticate"), {"credential": key.get(asked)}, secure=True)
    assert is_in(other)


@pytest.mark.parametrize(
    ("counts", "enters"),
    [
        ([1, 2, 9], [True, True, True]),
        ([5, 5], [True, False]),
        ([5, 4, 6], [True, False, True]),
        ([5, 0, 6], [True, False, True]),
        ([0, 0], [True, True]),
        ([0, 3, 2], [True, True, False]),
    ],
)
def test_a_key_whose_counter_does_not_go_up_is_a_copy(
    approver: User, risk: User, counts: list[int], enters: list[bool]
) -> None:
    key = SoftKey().belongs_to(approver)
    seen = []
    for count in counts:
        client = Client()
        password(client, approver)
        asked = options_in(client.get(reverse("mfa_authenticate"), secure=True))
        key.count = count - 1 if count else None
        client.post(reverse("mfa_authenticate"), {"credential": key.get(asked)}, secure=True)
        seen.append(is_in(client))
    assert seen == enters
    row = Authenticator.objects.get(type="webauthn")
    assert row.data["sign_count"] == max(counts) and row.wrap().name == "soft"
    raised = Alarm.objects.filter(code="SECURITY_KEY_COPIED", subject=f"security_key:{row.pk}", cleared_at=None)
    assert raised.exists() is (False in enters)
    second_factors.remove_all(person=approver, actor=actor_of(risk), now=timezone.now())
    assert not raised.exists()


def test_a_copied_key_confirms_nothing_and_its_owner_takes_it_away(approver: User) -> None:
    client, key = entered(approver), SoftKey().belongs_to(approver)
    row, answers = Authenticator.objects.get(type="webauthn"), []
    app_for(approver)
    for count in (7, 7):
        asked = options_in(client.get(reverse("mfa_reauthenticate_webauthn"), secure=True))
        key.count = count - 1
        answers.append(client.post(reverse("mfa_reauthenticate_webauthn"), {"credential": key.get(asked)}, secure=True))
    assert [answer["Location"] == reverse("account_login") for answer in answers] == [False, True], "once"
    raised = Alarm.objects.get(code="SECURITY_KEY_COPIED")
    assert "count 7, after 7" in raised.message and raised.cleared_at is None
    client.post(reverse("mfa_remove_webauthn", args=[row.pk]), secure=True)
    raised.refresh_from_db()
    assert raised.cleared_at is not None


def test_a_password_is_no_proof_where_there_is_a_second_factor(approver: User) -> None:
    secret, client = app_for(approver), Client()
    password(client, approver)
    client.post(reverse("mfa_authenticate"), {"code": code_of(secret)})
    assert is_in(client)

    led = client.get(reverse("mfa_deactivate_totp"))
    assert led["Location"].startswith(reverse("mfa_reauthenticate"))
    refused = client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    assert refused["Location"].startswith(reverse("mfa_reauthenticate"))
    client.post(reverse("mfa_deactivate_totp"))
    assert Authenticator.objects.filter(type="totp").exists()


@pytest.mark.parametrize("who", ["approver", "risk", "operator", "admin_user"])
@required
def test_who_decides_does_nothing_before_a_second_factor(request: pytest.FixtureRequest, who: str) -> None:
    person: User = request.getfixturevalue(who)
    client = Client()
    password(client, person)
    for path in ("/", "/admin/", reverse("account_login")):
        assert client.get(path)["Location"] == reverse("mfa_index"), path
    refused = client.get("/api/v1/approvals")
    assert (refused.status_code, refused.json()["code"]) == (403, "SECOND_FACTOR_MISSING")
    assert client.get("/admin/", headers={"Authorization": "Bearer junk"}).status_code == 303
    assert client.post("/admin/halt/").status_code == 303
    assert sessions.person_of_session(client.session.session_key or "") is None
    assert client.get(reverse("mfa_index")).status_code == 200

    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    page = client.get(reverse("mfa_activate_totp"))
    client.post(reverse("mfa_activate_totp"), {"code": code_of(page.context["form"].secret)})

    assert client.get("/admin/").status_code == 200
    assert sessions.person_of_session(client.session.session_key or "") == person


@pytest.mark.parametrize("who", ["trader", "auditor"])
@required
def test_who_only_proposes_or_reads_may_go_without(request: pytest.FixtureRequest, who: str) -> None:
    client = Client()
    password(client, request.getfixturevalue(who))
    assert client.get("/").status_code == 200


@required
def test_a_session_that_came_another_way_shows_its_factor_first(approver: User) -> None:
    secret, client = app_for(approver), Client()
    client.force_login(approver)
    led = client.get("/admin/?a=1")
    assert led["Location"] == reverse("mfa_reauthenticate") + "?next=%2Fadmin%2F%3Fa%3D1"
    back = client.post(led["Location"], {"code": code_of(secret), "next": "/admin/?a=1"})
    assert back["Location"] == "/admin/?a=1"
    assert client.get("/admin/").status_code == 200


@required
def test_the_last_factor_stays_with_who_must_have_one(approver: User, trader: User) -> None:
    secret, key = app_for(approver), SoftKey().belongs_to(approver)
    client = Client()
    client.force_login(approver)
    client.post(reverse("mfa_reauthenticate"), {"code": code_of(secret)})
    client.post(reverse("mfa_deactivate_totp"))
    assert not Authenticator.objects.filter(user=approver, type="totp").exists()
    last = Authenticator.objects.get(user=approver, type="webauthn")
    client.post(reverse("mfa_remove_webauthn", args=[last.pk]))
    assert Authenticator.objects.filter(pk=last.pk).exists()
    assert key

    SoftKey().belongs_to(trader)
    assert second_factors.may_go_without(Authenticator.objects.get(user=trader))


def test_keys_of_programs_are_not_asked_and_cost_nothing_more(trader: User) -> None:
    _, authorization = issue_key(owner=trader, now=timezone.now())
    counts = []
    for needed in (False, True):
        with override_settings(SECOND_FACTOR_REQUIRED=needed):
            client = Client(headers={"Authorization": authorization})
            client.get("/api/v1/positions")
            with CaptureQueriesContext(connection) as seen:
                assert client.get("/api/v1/positions").status_code == 200
            counts.append(len(seen.captured_queries))
    assert counts[0] == counts[1]


def test_secrets_are_sealed_at_rest(approver: User) -> None:
    secret = app_for(approver)
    with connection.cursor() as cursor:
        cursor.execute("SELECT data FROM mfa_authenticator")
        assert secret not in str(cursor.fetchall())
    sealed = seal_text("x", purpose="a")
    assert open_text(sealed, purpose="a") == "x"
    with pytest.raises(Misconfigured, match="not one of b"):
        open_text(sealed, purpose="b")
    with pytest.raises(Misconfigured, match="No key opens"):
        open_text("sealed:junk", purpose="a")


def test_only_what_is_offered_has_an_address(db: None) -> None:
    for name in ("mfa_login_webauthn", "mfa_signup_webauthn", "mfa_trust"):
        with pytest.raises(NoReverseMatch):
            reverse(name)


def test_pages_have_nothing_the_content_policy_forbids(approver: User) -> None:
    client = entered(approver)
    names = ["mfa_index", "mfa_activate_totp", "mfa_add_webauthn", "mfa_list_webauthn"]
    for name in names:
        page = client.get(reverse(name))
        assert page.status_code == 200, name
        assert not INLINE.search(page.content), name
    client.post(
        reverse("mfa_activate_totp"), {"code": code_of(client.get(reverse("mfa_activate_totp")).context["form"].secret)}
    )
    SoftKey().belongs_to(approver)
    key = Authenticator.objects.get(type="webauthn")
    for path in (
        reverse("mfa_reauthenticate"),
        reverse("mfa_reauthenticate_webauthn"),
        reverse("mfa_view_recovery_codes"),
        reverse("mfa_generate_recovery_codes"),
        reverse("mfa_deactivate_totp"),
        reverse("mfa_remove_webauthn", args=[key.pk]),
    ):
        page = client.get(path)
        assert page.status_code == 200, path
        assert not INLINE.search(page.content), path
    other = Client()
    password(other, approver)
    page = other.get(reverse("mfa_authenticate"))
    assert page.status_code == 200
    assert not INLINE.search(page.content)


def test_an_installation_without_it_is_warned_of() -> None:
    for needed, found in ((True, []), (False, ["accounts.W001"])):
        with override_settings(SECOND_FACTOR_REQUIRED=needed):
            ids = [one.id for one in run_checks(tags=["accounts"], include_deployment_checks=True)]
        assert [one for one in ids if one == "accounts.W001"] == found
