"""The desk: its bar, its index, halting, searching, signing in and out, and ledgers that nobody writes."""

import html
import re
from decimal import Decimal
from typing import Any

import pytest
from django.contrib import admin
from django.core.cache import cache
from django.core.management import get_commands
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.policies.models import TradingState
from apps.trades.models import Fill, Order, Outcome, Position, Proposal
from tests.factories.accounts import UserFactory
from tests.factories.desk import PaperDesk
from tests.factories.trading import move
from tests.policies.rows import a_connection

pytestmark = pytest.mark.django_db


def enter(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture(autouse=True)
def fresh_cache() -> None:
    cache.clear()


def test_the_bar_says_environment_and_state_in_words(paper: PaperDesk) -> None:
    paper.propose()
    text = enter(paper.approver).get(reverse("admin:index")).content.decode()
    assert "<title>PAPER ·" in text
    assert 'class="env-paper' in text
    assert "Simulated venue" in text and "no real money" in text
    assert "Trading ACTIVE" in text
    assert "One proposal waits. It needs you." in text
    assert "style=" not in text and "<style" not in text and "onclick" not in text


def test_one_live_connection_makes_the_desk_live(paper: PaperDesk) -> None:
    from django.utils import timezone

    from apps.connectors.models import Connection

    now = timezone.now()
    Connection.objects.create(
        slug="real", name="Coinbase", desk=paper.desk, environment="live", api_base="https://api.coinbase.com",
        is_active=True, verified_at=now, created_at=now,
    )  # fmt: skip
    text = enter(paper.approver).get(reverse("admin:index")).content.decode()
    assert "<title>LIVE ·" in text and "Real money" in text
    proposal = paper.propose()
    page = enter(paper.approver).get(reverse("decide:page", args=[proposal.pk])).content.decode()
    assert "<title>PAPER ·" in page, "a page about a paper proposal says paper"


def test_the_queue_has_no_verb_and_no_checkbox(paper: PaperDesk) -> None:
    paper.propose()
    text = enter(paper.approver).get(reverse("admin:index")).content.decode()
    queue = text[text.index('class="grid queue') : text.index("</table>")]
    assert "<form" not in queue and "checkbox" not in queue and "<button" not in queue
    assert "Review" in queue


def test_the_asker_is_told_that_others_decide(paper: PaperDesk) -> None:
    paper.propose()
    text = enter(paper.trader).get(reverse("admin:index")).content.decode()
    assert "You asked, so others decide" in text
    assert "None needs you." in text


def test_halt_stops_everything_and_says_so(paper: PaperDesk) -> None:
    client = enter(paper.trader)
    answer = client.post(reverse("admin:halt"), {"next": reverse("admin:watch")}, follow=True)
    assert TradingState.objects.get(scope="global").state == "HALTED"
    text = answer.content.decode()
    assert "Trading is <b>HALTED</b>" in text and f"by {paper.trader.shown_name}" in text
    assert f'href="{reverse("admin:watch")}">Back to where you were' in text
    text = client.get(reverse("admin:watch")).content.decode()
    assert "Trading HALTED" in text
    assert "Halt trading" not in text, "what is halted is not offered to be halted"


def test_halt_leads_nowhere_else(paper: PaperDesk) -> None:
    answer = enter(paper.trader).post(reverse("admin:halt"), {"next": "https://elsewhere.example/"}, follow=True)
    assert (answer.status_code, "elsewhere" in answer.content.decode()) == (200, False)


def test_a_halt_of_one_connection_is_said_and_the_button_stays(paper: PaperDesk) -> None:
    """The only connection is halted by itself: everything is not, and somebody may still want to."""
    client = enter(paper.trader)
    client.post(reverse("admin:trading_halt", args=[paper.connection.pk]))
    text = client.get(reverse("admin:watch")).content.decode()
    assert "Trading HALTED" in text and "Halt trading" in text


@pytest.mark.parametrize("state", ["REDUCING", "HALTED"])
def test_a_worse_state_of_one_connection_is_in_the_first_words_of_the_bar(paper: PaperDesk, state: str) -> None:
    a_connection(paper.desk, timezone.now(), slug="other")
    client = enter(paper.trader)
    client.post(reverse(f"admin:trading_{'reduce' if state == 'REDUCING' else 'halt'}", args=[paper.connection.pk]))
    assert f"<b>Trading ACTIVE, 1 {state}</b>" in client.get(reverse("admin:watch")).content.decode()
    assert client.get(reverse("admin:status")).json()["state_words"] == f"ACTIVE, 1 {state}"
    page = client.get(reverse("admin:trading_state")).content.decode()
    assert page.count(f"</svg>{state}</span>") == 1


def test_halting_needs_the_permission(paper: PaperDesk, auditor: User) -> None:
    client = enter(auditor)
    assert b"Halt trading" not in client.get(reverse("admin:index")).content
    assert client.post(reverse("admin:halt")).status_code == 403
    assert TradingState.objects.get(scope="global").state == "ACTIVE"


def test_status_is_for_staff(paper: PaperDesk) -> None:
    assert enter(paper.approver).get(reverse("admin:status")).json()["state"] == "ACTIVE"
    assert Client().get(reverse("admin:status")).status_code == 302


def test_there_is_one_door(paper: PaperDesk) -> None:
    answer = Client().get(reverse("admin:index"), follow=True)
    assert answer.redirect_chain[-1][0].startswith(reverse("account_login"))
    plain = UserFactory(is_staff=False)
    assert enter(plain).get(reverse("admin:login")).status_code == 403
    client = enter(paper.approver)
    assert client.get(reverse("admin:logout")).status_code == 405
    assert client.post(reverse("admin:logout"))["Location"] == reverse("account_login")
    assert client.get(reverse("admin:index")).status_code == 302


def test_search_finds_by_the_head_of_an_id(paper: PaperDesk) -> None:
    proposal = paper.propose()
    client = enter(paper.approver)
    answer = client.get(reverse("admin:search"), {"q": proposal.label})
    assert answer["Location"] == reverse("decide:story", args=[proposal.pk])
    assert b"1 proposal for" in client.get(reverse("admin:search"), {"q": "btc"}).content
    for text in ("", "x", "%", "\x00", "ff" * 60, "<script>"):
        assert client.get(reverse("admin:search"), {"q": text}).status_code == 200
    stranger = enter(UserFactory(role="approver"))
    assert b"Nothing found" in stranger.get(reverse("admin:search"), {"q": proposal.label}).content


LEDGERS = (Proposal, Order, Fill, Position, Outcome)


@pytest.mark.parametrize("model", LEDGERS, ids=lambda model: model.__name__)
def test_ledgers_are_read_only_for_everyone(paper: PaperDesk, admin_user: User, model: type) -> None:
    proposal = paper.propose()
    paper.approve(proposal)
    paper.execute(proposal)
    paper.poll(proposal)
    base = f"admin:trades_{model.__name__.lower()}"
    client = enter(admin_user)
    assert client.get(reverse(f"{base}_changelist")).status_code == 200
    assert client.get(reverse(f"{base}_add")).status_code == 403
    row = model.objects.first()  # type: ignore[attr-defined]
    if row is None:
        return
    assert client.get(reverse(f"{base}_change", args=[row.pk])).status_code == 200
    assert client.post(reverse(f"{base}_change", args=[row.pk]), {"state": "FILLED"}).status_code == 403
    assert client.post(reverse(f"{base}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
    assert model.objects.filter(pk=row.pk).exists()  # type: ignore[attr-defined]


def test_ledgers_show_only_ones_own_desks(paper: PaperDesk) -> None:
    proposal = paper.propose()
    stranger = enter(UserFactory(role="approver"))
    assert b"No proposals yet" in stranger.get(reverse("admin:trades_proposal_changelist")).content
    assert stranger.get(reverse("admin:trades_proposal_change", args=[proposal.pk])).status_code == 302
    assert enter(UserFactory()).get(reverse("admin:trades_proposal_changelist")).status_code == 403


# The address of a person is made with the person.
FILLED_OF_ITSELF = {"account.EmailAddress"}


def said_of_nothing(model_admin: "admin.ModelAdmin[Any]") -> str:
    return getattr(model_admin, "filled_by", "")


def test_every_empty_list_says_what_would_fill_it(admin_user: User) -> None:
    client = enter(admin_user)
    empty = 0
    for model, model_admin in admin.site._registry.items():
        if model._meta.label in FILLED_OF_ITSELF:
            continue
        said = said_of_nothing(model_admin)
        assert said, f"{model._meta.label} says nothing of what would fill its list."
        if model._default_manager.exists():
            continue
        page = client.get(reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"))
        text = html.unescape(page.content.decode())
        assert said.replace("`", "") in text.replace("<code>", "").replace("</code>", ""), model._meta.label
        empty += 1
    assert empty > 30


def test_an_empty_search_does_not_say_that_nothing_was_ever_there(paper: PaperDesk, admin_user: User) -> None:
    paper.propose()
    text = enter(admin_user).get("/admin/trades/proposal/", {"q": "no-such-instrument"}).content.decode()
    assert "No proposals match." in text and "Show all" in text
    assert "/api/v1/docs" not in text


def test_the_commands_that_empty_lists_name_are_there() -> None:
    said = " ".join(said_of_nothing(each) for each in admin.site._registry.values())
    named = set(re.findall(r"`manage\.py (\w+)", said))
    assert named and named <= set(get_commands())


def test_nothing_is_deleted_in_bulk() -> None:
    assert "delete_selected" not in dict(admin.site.actions)


def test_a_missing_page_says_so_in_our_words(paper: PaperDesk) -> None:
    answer = enter(paper.approver).get("/admin/nowhere/")
    assert answer.status_code == 404
    assert b"There is nothing here." in answer.content


def test_numbers_on_the_queue_are_rounded_against_us(paper: PaperDesk) -> None:
    move(paper, "65900")
    paper.propose(quantity=Decimal("0.01000001"), limit_price=Decimal("66000.01"))
    text = enter(paper.approver).get(reverse("admin:index")).content.decode()
    assert "660.01" in text  # 660.0007601: never less than it can cost
