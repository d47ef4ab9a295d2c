"""The pages of hooks: who may set one up, what it shows once, what it never shows, and how it is switched."""

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import ApiKey, SecondPersonRequest, User
from apps.accounts.services import second_person
from apps.audit.models import Event
from apps.connectors.models import ConnectionGrant
from apps.trades.forms import EXAMPLE_BODY, EXAMPLE_TEMPLATE
from apps.trades.models import Hook, HookCall
from tests.factories.accounts import DeskFactory, UserFactory
from tests.factories.connectors import ConnectionFactory
from tests.factories.desk import PaperDesk
from tests.factories.tampering import tamper
from tests.hooks.conftest import Sender, make_sender, payload_for

pytestmark = pytest.mark.django_db
LIST, ADD = "admin:trades_hook_changelist", "admin:trades_hook_add"


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


@pytest.fixture
def operator(paper: PaperDesk) -> User:
    found: User = UserFactory(username="otto", role="operator", desk=paper.desk)
    return found


def typed(paper: PaperDesk, **changes: Any) -> dict[str, Any]:
    return {
        **{"name": "btc-alerts", "owner": str(paper.trader.pk), "connection": paper.connection.slug, "days": "30"},
        **{"mode": "signed", "secret_path": "secret", "template": EXAMPLE_TEMPLATE, "example": EXAMPLE_BODY},
        **changes,
    }


def kinds(hook: Hook) -> list[str]:
    return list(Event.objects.filter(subject=f"hook:{hook.pk}").order_by("seq").values_list("kind", flat=True))


def page_of(hook: Hook) -> str:
    return reverse("admin:trades_hook_change", args=[hook.pk])


def test_an_operator_makes_a_hook_and_sees_its_secret_once(paper: PaperDesk, operator: User) -> None:
    client = signed_in(operator)
    assert client.get(reverse(ADD)).status_code == 200
    answer = client.post(reverse(ADD), typed(paper))
    page = answer.content.decode()
    (secret,) = re.findall(r'id="hook-secret">([0-9a-f]{64})<', page)
    assert "no-store" in answer["Cache-Control"]
    hook = Hook.objects.get(name="btc-alerts")
    assert hook.secret.reveal() == secret
    assert not hook.enabled
    assert (hook.api_key.scopes, hook.api_key.owner) == (["propose"], paper.trader)
    assert ConnectionGrant.objects.filter(api_key=hook.api_key).values_list("connection__slug").get() == (
        paper.connection.slug,
    )
    for url in (page_of(hook), reverse(LIST), reverse("admin:trades_hook_rotate", args=[hook.pk])):
        shown = client.get(url).content.decode()
        assert secret not in shown
        assert "btc-alerts" in shown
    assert hook.secret_fingerprint in client.get(page_of(hook)).content.decode()
    assert kinds(hook) == ["hook.created"]

    sender = Sender(hook=hook, secret=secret, payload=payload_for(paper, action="buy", size="0.01"))
    assert sender.send()[0] == 403
    client.post(reverse("admin:trades_hook_enable", args=[hook.pk]))
    assert sender.send(sender.body(alert="Now"))[0] == 201
    shown = client.get(page_of(hook)).content.decode()
    assert "HOOK_DISABLED" in shown
    assert reverse("decide:story", args=[HookCall.objects.get(outcome="PROPOSED").proposal_id]) in shown


@pytest.mark.parametrize("role", ["trader", "approver", "risk", "auditor"])
def test_others_read_and_change_nothing(paper: PaperDesk, signing: Sender, role: str) -> None:
    client = signed_in(UserFactory(username=f"other-{role}", role=role, desk=paper.desk))
    assert client.get(page_of(signing.hook)).status_code == 200
    assert client.get(reverse(LIST)).status_code == 200
    assert "<textarea" not in client.get(page_of(signing.hook)).content.decode()
    assert client.get(reverse(ADD)).status_code == 403
    assert client.post(reverse(ADD), typed(paper)).status_code == 403
    assert client.post(page_of(signing.hook), typed(paper)).status_code == 403
    for verb in ("enable", "disable", "rotate"):
        assert client.post(reverse(f"admin:trades_hook_{verb}", args=[signing.hook.pk])).status_code == 403
    assert client.post(reverse("admin:trades_hook_delete", args=[signing.hook.pk])).status_code == 403
    signing.hook.refresh_from_db()
    assert signing.hook.enabled


def test_people_of_another_desk_do_not_see_it(signing: Sender, paper: PaperDesk) -> None:
    client = signed_in(UserFactory(username="otto-elsewhere", role="operator", desk=DeskFactory(slug="elsewhere")))
    assert client.get(page_of(signing.hook)).status_code == 404
    assert signing.hook.name not in client.get(reverse(LIST)).content.decode()
    for verb in ("enable", "disable", "rotate"):
        assert client.post(reverse(f"admin:trades_hook_{verb}", args=[signing.hook.pk])).status_code == 404
    assert "valid choice" in client.post(reverse(ADD), typed(paper)).content.decode()


def test_nobody_without_a_role_looks_at_hooks(signing: Sender, outsider: User) -> None:
    client = signed_in(outsider)
    for url in (reverse(LIST), page_of(signing.hook), reverse("admin:trades_hookcall_changelist")):
        assert client.get(url).status_code == 403


def test_verbs_are_posted(signing: Sender, operator: User) -> None:
    client = signed_in(operator)
    for verb in ("enable", "disable"):
        assert client.get(reverse(f"admin:trades_hook_{verb}", args=[signing.hook.pk])).status_code == 405
    before = signing.hook.secret_fingerprint
    client.get(reverse("admin:trades_hook_rotate", args=[signing.hook.pk]))
    signing.hook.refresh_from_db()
    assert (signing.hook.enabled, signing.hook.secret_fingerprint) == (True, before)


def test_the_example_is_previewed_and_nothing_saved(paper: PaperDesk, operator: User) -> None:
    client = signed_in(operator)
    shown = client.post(reverse(ADD), typed(paper, _preview="1")).content.decode()
    assert "What the example becomes" in shown
    assert "<dt>instrument</dt><dd>BTC-USD</dd>" in shown
    for example, why in (
        ('{"ticker": "BTCUSD"}', "the body has nothing there"),
        ('{"ticker": "X"}', "does not know what stands there"),
        (EXAMPLE_BODY.replace('"buy"', '"hold"'), "side would be"),
        (EXAMPLE_BODY.replace('"0.01"', '"1,0"'), "quantity"),
        ("{", "not JSON"),
    ):
        shown = client.post(reverse(ADD), typed(paper, example=example, _preview="1")).content.decode()
        assert why in shown, example
    assert not Hook.objects.exists()
    assert not ApiKey.objects.filter(name__startswith="hook").exists()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"template": "{"}, "This is no JSON"),
        ({"template": '{"connection": "x"}'}, "no field &#x27;connection&#x27;"),
        ({"template": "[]"}, "is a JSON object"),
        ({"template": EXAMPLE_TEMPLATE.replace("| upper", "| exec")}, "no transform"),
        (
            {"mode": "body_secret", "template": EXAMPLE_TEMPLATE.replace("{{ alert", "{{ secret")},
            "refers to the secret",
        ),
        ({"mode": "none"}, "valid choice"),
        ({"name": "no blanks"}, "slug"),
        ({"connection": "nope"}, "valid choice"),
        ({"days": "9999"}, "less than or equal"),
        ({"networks": "everywhere"}, "everywhere"),
    ],
)
def test_a_hook_that_cannot_be_is_refused_with_words(
    paper: PaperDesk, operator: User, changes: dict[str, str], why: str
) -> None:
    shown = signed_in(operator).post(reverse(ADD), typed(paper, **changes)).content.decode()
    assert why in shown
    assert not Hook.objects.exists()


def test_what_the_service_refuses_is_said_in_the_form(paper: PaperDesk, operator: User) -> None:
    client = signed_in(operator)
    stranger = UserFactory(username="stranger", role="trader")
    assert (
        "does not sit at the desk" in client.post(reverse(ADD), typed(paper, owner=str(stranger.pk))).content.decode()
    )
    assert "may not propose" in client.post(reverse(ADD), typed(paper, owner=str(operator.pk))).content.decode()
    client.post(reverse(ADD), typed(paper))
    assert "already a hook" in client.post(reverse(ADD), typed(paper)).content.decode()
    assert ApiKey.objects.filter(name="hook btc-alerts").count() == 1, "a refused hook leaves no key"


def test_a_change_is_audited_and_names_what_changed(signing: Sender, operator: User, paper: PaperDesk) -> None:
    client = signed_in(operator)
    changes = typed(paper, template=EXAMPLE_TEMPLATE.replace("GTC", "IOC"))
    client.post(page_of(signing.hook), changes)
    signing.hook.refresh_from_db()
    assert signing.hook.template["time_in_force"] == "IOC"
    assert signing.hook.enabled, "on paper it stays on"
    assert kinds(signing.hook)[-1] == "hook.changed"
    count = len(kinds(signing.hook))
    client.post(page_of(signing.hook), changes)
    assert len(kinds(signing.hook)) == count, "nothing changed"


def test_another_connection_moves_the_grant(signing: Sender, operator: User, paper: PaperDesk) -> None:
    other = ConnectionFactory(slug="elsewhere", desk=paper.desk)
    signed_in(operator).post(page_of(signing.hook), typed(paper, connection="elsewhere"))
    granted = ConnectionGrant.objects.filter(api_key=signing.hook.api_key).values_list("connection", flat=True)
    assert list(granted) == [other.pk]


def test_on_a_live_connection_it_takes_two_people_and_exactly_this_content(
    signing: Sender, operator: User, paper: PaperDesk
) -> None:
    live = ConnectionFactory(slug="real", desk=paper.desk, is_active=True)
    tamper(live, environment="live", verified_at=timezone.now(), api_base="https://api.coinbase.com")
    client, enable = signed_in(operator), reverse("admin:trades_hook_enable", args=[signing.hook.pk])
    client.post(page_of(signing.hook), typed(paper, connection="real"))
    hook = Hook.objects.get(pk=signing.hook.pk)
    assert not hook.enabled, "another connection, and a live one: off"
    assert "A second person has been asked" in client.post(enable, follow=True).content.decode()
    asked = SecondPersonRequest.objects.get(kind="hook.enable_live")
    assert "real money" in asked.summary
    client.post(page_of(hook), typed(paper, connection="real", template=EXAMPLE_TEMPLATE.replace("GTC", "IOC")))
    second_person.second(request_id=asked.pk, seconder=paper.risk, now=timezone.now())
    client.post(enable)
    hook.refresh_from_db()
    assert not hook.enabled, "what was seconded is not what it is now"
    second_person.second(
        request_id=SecondPersonRequest.objects.get(kind="hook.enable_live", state="OPEN").pk,
        seconder=paper.risk,
        now=timezone.now(),
    )
    client.post(enable)
    hook.refresh_from_db()
    assert hook.enabled
    client.post(page_of(hook), typed(paper, connection="real", mode="body_secret"))
    hook.refresh_from_db()
    assert not hook.enabled, "a weaker proof takes two people again"
    assert kinds(hook).count("hook.enabled") == 2


def test_another_secret_ends_the_old_key(signing: Sender, operator: User) -> None:
    old = signing.hook.api_key
    page = (
        signed_in(operator)
        .post(reverse("admin:trades_hook_rotate", args=[signing.hook.pk]), {"days": "7"})
        .content.decode()
    )
    (secret,) = re.findall(r'id="hook-secret">([0-9a-f]{64})<', page)
    old.refresh_from_db()
    assert old.revoked_at is not None
    assert signing.send()[0] == 401
    fresh = replace(signing, secret=secret)
    assert fresh.send()[0] == 201
    hook = Hook.objects.get(pk=signing.hook.pk)
    assert hook.api_key.expires_at < timezone.now() + timedelta(days=8)
    assert kinds(hook)[-1] == "hook.secret_replaced"


def test_calls_are_read_and_lead_to_their_story(signing: Sender, paper: PaperDesk) -> None:
    _, said = signing.send()
    signing.send(signature="nonsense")
    client = signed_in(paper.approver)
    shown = client.get(reverse("admin:trades_hookcall_changelist")).content.decode()
    assert reverse("decide:story", args=[said["id"]]) in shown
    assert "HOOK_NOT_AUTHENTIC" in shown
    for call in HookCall.objects.all():
        url = reverse("admin:trades_hookcall_change", args=[call.pk])
        assert call.code in client.get(url).content.decode()
        assert client.post(url, {"code": "X"}).status_code == 403
    stranger = signed_in(UserFactory(username="far", role="auditor"))
    assert said["id"] not in stranger.get(reverse("admin:trades_hookcall_changelist")).content.decode()


def test_a_revoked_key_is_said_on_the_page(paper: PaperDesk, operator: User) -> None:
    sender = make_sender(paper)
    client = signed_in(operator)
    client.post(reverse("admin:accounts_apikey_revoke", args=[sender.hook.api_key_id]))
    assert "off: its key was revoked" in client.get(page_of(sender.hook)).content.decode()


def test_an_id_that_is_none_is_not_found(operator: User, paper: PaperDesk) -> None:
    client = signed_in(operator)
    for wrong in ("nonsense", "00000000-0000-4000-8000-000000000000"):
        assert client.get(f"/admin/trades/hook/{wrong}/change/").status_code == 404
