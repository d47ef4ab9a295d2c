"""The page of those who watch: who may open it, what stands on it, whose it is."""

from decimal import Decimal

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.connectors.models import Connection
from apps.connectors.types import Side
from apps.policies.models import TradingState
from tests.factories.accounts import UserFactory
from tests.factories.desk import PaperDesk
from tests.policies.rows import a_connection

pytestmark = pytest.mark.django_db
PAGES = ("home", "watch_parts")


def enter(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture(autouse=True)
def fresh_cache() -> None:
    cache.clear()


def filled(desk: PaperDesk) -> None:
    proposal = desk.propose()
    desk.approve(proposal)
    desk.execute(proposal)
    desk.poll(proposal)


@pytest.mark.parametrize("name", PAGES)
def test_a_stranger_is_asked_to_sign_in(client: Client, name: str) -> None:
    answer = client.get(reverse(name))
    assert (answer.status_code, answer["Location"].split("?")[0]) == (302, reverse("account_login"))


@pytest.mark.parametrize("name", PAGES)
def test_who_may_not_see_the_ledger_is_told_so(paper: PaperDesk, name: str) -> None:
    assert enter(UserFactory()).get(reverse(name)).status_code == 403


@pytest.mark.parametrize("name", PAGES)
def test_a_trader_who_is_no_staff_watches_and_finds_no_way_into_the_console(paper: PaperDesk, name: str) -> None:
    filled(paper)
    paper.propose(quantity=Decimal("0.02"))
    trader = paper.trader
    trader.is_staff = False
    trader.save()
    text = enter(trader).get(reverse(name)).content.decode()
    assert "0.01 BTC-USD" in text and "Coinbase (paper)" in text and "PAPER" in text
    assert "/admin/" not in text.replace("/static/admin/", "")
    assert "style=" not in text and "<style" not in text and "onclick" not in text


def test_who_is_no_staff_halts_from_the_watching_page(paper: PaperDesk) -> None:
    trader = paper.trader
    trader.is_staff = False
    trader.save()
    client = enter(trader)
    assert f'action="{reverse("halt")}"' in client.get(reverse("home")).content.decode()
    answer = client.post(reverse("halt"), follow=True)
    assert TradingState.objects.get(scope="global").state == "HALTED"
    text = answer.content.decode()
    assert answer.redirect_chain == [(reverse("home"), 303)]
    assert "Everything is halted" in text and f'action="{reverse("halt")}"' not in text


def test_who_may_not_halt_finds_no_button_and_no_door(paper: PaperDesk) -> None:
    auditor = UserFactory(role="auditor", is_staff=False)
    client = enter(auditor)
    assert f'action="{reverse("halt")}"' not in client.get(reverse("home")).content.decode()
    assert client.post(reverse("halt")).status_code == 403
    assert Client().post(reverse("halt")).status_code == 403
    assert TradingState.objects.get(scope="global").state == "ACTIVE"


@pytest.mark.parametrize("name", PAGES)
def test_an_approver_finds_the_way_to_the_decision(paper: PaperDesk, name: str) -> None:
    waiting = paper.propose()
    text = enter(paper.approver).get(reverse(name)).content.decode()
    assert reverse("decide:page", args=[waiting.pk]) in text
    assert "needs you" in text and "0 of 1 approved" in text


@pytest.mark.parametrize("name", PAGES)
def test_another_desk_is_not_there(paper: PaperDesk, name: str) -> None:
    filled(paper)
    waiting = paper.propose(quantity=Decimal("0.02"))
    text = enter(UserFactory(role="approver")).get(reverse(name)).content.decode()
    for own in (paper.connection.slug, paper.connection.name, str(waiting.pk), "BTC-USD"):
        assert own not in text
    assert "You sit at no desk yet" in text and "Nothing waits." in text and "No order yet." in text


def test_what_was_filled_and_what_waits_stand_with_their_numbers(paper: PaperDesk) -> None:
    filled(paper)
    waiting = paper.propose(quantity=Decimal("0.02"))
    client = enter(paper.approver)
    text = client.get(reverse("home"), {"chart": f"{paper.connection.slug}|BTC-USD"}).content.decode()
    assert 'data-position data-key="' in text and 'data-quantity="0.01"' in text
    assert 'data-mark="fill" data-side="BUY"' in text
    assert f'data-waiting="{waiting.pk}"' in text and 'data-mark="waiting"' in text
    assert 'data-state="FILLED"' in text
    assert f'data-price="{paper.connection.slug}|BTC-USD"' in text
    mid = (waiting.reference_bid + waiting.reference_ask) / 2
    assert f'data-reference="{mid.normalize():f}"' in text


def test_an_order_that_works_is_a_line_and_stays_in_sight(paper: PaperDesk) -> None:
    price = paper.crossing_price("BTC-USD", Side.BUY) * Decimal("0.99")
    resting = paper.propose(limit_price=price.quantize(Decimal("0.01")))
    paper.approve(resting)
    paper.execute(resting)
    text = enter(paper.approver).get(reverse("watch_parts")).content.decode()
    assert 'data-mark="order" data-side="BUY"' in text
    assert 'data-state="ACCEPTED"' in text and "works at the venue" in text


def test_real_money_is_named_where_it_stands_beside_paper(paper: PaperDesk) -> None:
    now = timezone.now()
    paper.propose()
    Connection.objects.create(
        slug="real", name="Coinbase", desk=paper.desk, environment="live", api_base="https://api.coinbase.com",
        is_active=True, verified_at=now, created_at=now,
    )  # fmt: skip
    text = enter(paper.approver).get(reverse("home")).content.decode()
    assert "<title>LIVE ·" in text and "LIVE, real money" in text and ">PAPER<" in text.replace("</span>", "<")
    waiting = text[text.index('id="part-waiting"') :]
    assert '<span class="quiet">paper</span>' in waiting[: waiting.index("</section>")]


def test_what_is_halted_or_reducing_is_said_first(paper: PaperDesk) -> None:
    client = enter(paper.approver)
    assert "Trading is" not in client.get(reverse("watch_parts")).content.decode()
    a_connection(paper.desk, timezone.now(), slug="other")
    client.post(reverse("admin:trading_halt", args=[paper.connection.pk]))
    lead = client.get(reverse("watch_parts")).content.decode().partition("Prices")[0]
    assert f"{paper.connection.name} is HALTED." in lead and "Trading is" not in lead
    client.post(reverse("admin:halt"))
    assert "Trading is HALTED." in client.get(reverse("watch_parts")).content.decode().partition("Prices")[0]


def test_a_key_that_names_no_row_draws_the_first(paper: PaperDesk) -> None:
    paper.propose()
    for chosen in ("", "nothing|AT-ALL", "x" * 5000, "\x00"):
        answer = enter(paper.approver).get(reverse("home"), {"chart": chosen})
        assert answer.status_code == 200 and "data-chart-name>BTC-USD<" in answer.content.decode()


@pytest.mark.parametrize("name", PAGES)
def test_each_part_that_is_empty_says_what_would_fill_it(name: str) -> None:
    """Somebody in a role, at a desk without any connection."""
    text = enter(UserFactory(role="trader")).get(reverse(name)).content.decode()
    for lead, fills in (
        ("No connection of your desk.", "An operator sets one up"),
        ("No account of your desk.", "An active connection of your desk brings one"),
        ("No instrument to watch.", "Instruments come with a connection"),
        ("Nothing waits.", "Proposals that policy lets through"),
        ("Nothing is held.", "What Aika bought and still holds"),
        ("Nothing was closed yet.", "What selling brings"),
        ("No order yet.", "An order leaves when people have approved"),
    ):
        after = text.partition(f"<b>{lead}</b></p>")[2]
        assert after.lstrip().startswith('<p class="note">') and fills in after.partition("</p>")[0], lead


def test_what_is_there_is_not_called_empty(paper: PaperDesk) -> None:
    text = enter(paper.trader).get(reverse("home")).content.decode()
    assert "No connection of your desk." not in text and "No account of your desk." not in text
