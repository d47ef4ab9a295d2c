"""A connection to a venue where Aika only reads: set up, checked, shown for what it is, and never used to trade."""

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.db import connection as database
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import Desk, User
from apps.accounts.services.people import actor_of
from apps.audit.types import Actor
from apps.common.errors import Misconfigured
from apps.common.guards import missing_guards
from apps.connectors.errors import CredentialsRefused, ReadOnly
from apps.connectors.models import Connection, Instrument
from apps.connectors.selectors import balances_of
from apps.connectors.services import connections, sync, venue
from apps.connectors.types import Venue
from apps.policies.selectors import gate_findings
from apps.quotes.selectors.feed import feed_states
from apps.trades.services import watching
from apps.trades.tasks import refresh_market_facts
from tests.factories.connectors import SECRET, ConnectionFactory
from tests.factories.migrating import migrating
from tests.venues.robinhood.double import API_KEY, Double, robinhood

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system("test")
LIVE = "https://trading.robinhood.com"


@pytest.fixture
def double() -> Iterator[Double]:
    with robinhood() as server:
        yield server
    venue.close_all()


def draft(desk: Desk, double: Double, **changes: Any) -> connections.Draft:
    fields: dict[str, Any] = {
        **{"slug": "hood", "name": "Hood", "desk": desk, "venue": "robinhood", "environment": "paper"},
        **{"api_base": double.url, "key_name": API_KEY, "secret": double.secret},
    }
    return connections.Draft(**(fields | changes))


@pytest.fixture
def hood(desk: Desk, double: Double, now: datetime) -> Connection:
    return connections.create(draft=draft(desk, double), actor=SYSTEM, now=now)


def is_allowed(environment: str, api_base: str) -> bool:
    """Whether a connection of this venue may name that address."""
    try:
        venue.check_address(venue="robinhood", environment=environment, api_base=api_base)
    except Misconfigured:
        return False
    return True


@pytest.mark.parametrize(
    ("environment", "api_base"),
    [("live", LIVE), ("live", "https://TRADING.robinhood.com"), ("paper", "http://127.0.0.1:8100")],
)
def test_the_one_host_is_allowed(environment: str, api_base: str) -> None:
    assert is_allowed(environment, api_base)


@pytest.mark.parametrize(
    ("environment", "api_base"),
    [
        ("live", "https://api.robinhood.com"),
        ("live", "https://robinhood.com"),
        ("live", "https://trading.robinhood.com.evil.example"),
        ("live", "https://api.coinbase.com"),
        ("live", "http://trading.robinhood.com"),
        ("live", f"{LIVE}/api/v1/crypto"),
        ("live", "http://127.0.0.1:8100"),
        ("paper", LIVE),
        ("paper", "https://simulator.example"),
        ("", LIVE),
    ],
)
def test_no_other_host_is_ever_called(environment: str, api_base: str) -> None:
    assert not is_allowed(environment, api_base)


def test_the_hosts_of_the_venues_are_not_mixed_up() -> None:
    with pytest.raises(Misconfigured):
        venue.check_address(venue="coinbase", environment="live", api_base=LIVE)


def test_what_the_venue_says_is_kept(hood: Connection, now: datetime) -> None:
    assert sync.refresh_instruments(hood, now) == 3
    sync.refresh_balances(hood, now)
    sync.refresh_fees(hood, now)
    hood.refresh_from_db()
    assert str(balances_of(hood)["BTC"].held) == "0.023456789012345677"
    assert Instrument.objects.get(connection=hood, code="BTC-USD").tradable
    assert (hood.fee_taker, hood.fees_as_of) == (None, now), "it was asked what it has: none"


def test_a_key_that_may_view_is_enough(hood: Connection, double: Double, now: datetime) -> None:
    connections.verify(connection=hood, actor=SYSTEM, now=now)
    assert hood.verified_at == now
    double.answers["/accounts/"] = [(401, "Unauthorized")]
    with pytest.raises(CredentialsRefused):
        connections.verify(connection=hood, actor=SYSTEM, now=now)


def test_a_key_of_the_other_venue_is_refused(desk: Desk, double: Double, now: datetime) -> None:
    with pytest.raises(Misconfigured, match="VENUE_KEY_UNUSABLE"):
        connections.create(draft=draft(desk, double, secret="no key"), actor=SYSTEM, now=now)


def test_the_services_refuse_every_order(hood: Connection, double: Double) -> None:
    connector = venue.connect(hood)
    for refused in (lambda: connector.place_order(b"{}"), lambda: connector.cancel_orders(["1"])):
        with pytest.raises(ReadOnly, match="VENUE_READ_ONLY"):
            refused()
    assert double.requests == []
    assert not venue.capabilities_of("robinhood").places_orders
    assert venue.capabilities_of("coinbase").places_orders


def test_model_and_connector_agree_on_who_trades() -> None:
    for item in Venue:
        assert venue.capabilities_of(item).places_orders == item.places_orders
        assert ConnectionFactory.build(venue=item).places_orders == item.places_orders
    assert not ConnectionFactory.build(venue="another").places_orders


def test_a_venue_nobody_knows_is_refused_by_the_database() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        ConnectionFactory(venue="another")


def test_pages_say_that_nothing_is_traded(hood: Connection, operator: User) -> None:
    client = Client()
    client.force_login(operator)
    for page in (
        reverse("admin:connectors_connection_add"),
        reverse("admin:connectors_connection_changelist"),
        reverse("admin:connectors_connection_change", args=[hood.pk]),
        reverse("admin:policies_tradingstate_changelist"),
    ):
        shown = client.get(page, follow=True).content.decode()
        assert "Trading there is not supported" in shown, page
    shown = client.get(reverse("admin:connectors_connection_change", args=[hood.pk])).content.decode()
    assert "is read; places no orders" in shown
    assert "Nobody follows it" not in shown


def test_an_operator_connects_it_and_has_its_key_checked(desk: Desk, operator: User, double: Double) -> None:
    client = Client()
    client.force_login(operator)
    typed = {
        **{"slug": "hood", "name": "Hood", "desk": str(desk.pk), "venue": "robinhood", "environment": "paper"},
        **{"api_base": double.url, "key_name": API_KEY, "new_secret": double.secret},
    }
    refused = client.post(reverse("admin:connectors_connection_add"), typed | {"new_secret": "nonsense"})
    assert "cannot be used" in refused.content.decode()
    refused = client.post(reverse("admin:connectors_connection_add"), typed | {"api_base": "https://api.coinbase.com"})
    assert "must not call" in refused.content.decode()
    client.post(reverse("admin:connectors_connection_add"), typed)
    made = Connection.objects.get(slug="hood")
    said = client.post(reverse("admin:connectors_connection_verify", args=[made.pk]), follow=True).content.decode()
    assert "the key may view" in said
    assert "and trade" not in said
    assert double.secret not in said
    assert {item["method"] for item in double.requests} == {"GET"}


def test_the_api_says_what_can_be_done_there(hood: Connection, trader: User) -> None:
    client = Client()
    client.force_login(trader)
    ConnectionFactory(slug="coin", desk=hood.desk)
    coin, found = client.get("/api/v1/connectors").json()["items"]
    assert (found["connection"], found["venue"], found["trading"]) == ("hood", "robinhood", False)
    assert "Trading there is not supported" in found["trading_words"]
    assert found["capabilities"] == {
        "places_orders": False,
        "previews": False,
        "candles": False,
        "fee_rates": False,
        "market_by_quote_quantity": False,
        "order_terms": [],
    }
    assert coin["trading"]
    assert "LIMIT GTC" in coin["capabilities"]["order_terms"]


def test_the_gate_says_it_before_anybody_asks(hood: Connection) -> None:
    assert gate_findings(hood)[0].code == "VENUE_READ_ONLY"
    assert "VENUE_READ_ONLY" not in {finding.code for finding in gate_findings(ConnectionFactory())}


def test_nobody_waits_for_a_channel_it_has_not(hood: Connection) -> None:
    coin = ConnectionFactory(slug="coin")
    found = {row.subject for row in watching._connections(timezone.now()) if row.code == "USER_CHANNEL_SILENT"}
    assert found == {f"connection:{coin.pk}"}


def test_a_check_asks_what_can_be_asked_and_says_what_cannot(hood: Connection, double: Double) -> None:
    out = StringIO()
    call_command("connector_check", connection="hood", json=True, stdout=out)
    told = json.loads(out.getvalue())
    assert told["warnings"] == []
    assert set(told["answers"]["reads"]) == {
        *("accounts", "holdings", "trading_pairs", "best_bid_ask", "estimated_price", "orders"),
    }
    assert told["answers"]["cost"] == {
        **{"instrument": "BTC-USD", "quantity": "0.01", "buy_price": "60025.51", "sell_price": "59974.49"},
        "there_and_back_bps": "8.5",
    }
    assert {row["status"] for row in told["answers"]["reads"].values()} == {200}
    assert told["answers"]["clock"]["within_5_s"]
    assert "5000.01" not in out.getvalue()
    assert {item["method"] for item in double.requests} == {"GET"}

    double.answers["/orders/"] = [(401, "Unauthorized")]
    double.answers["/holdings/"] = [(200, '{"results": [{"asset_code": "BTC"}], "next": null}')]
    out = StringIO()
    call_command("connector_check", connection="hood", stdout=out)
    assert "look: orders: status 401 Unauthorized" in out.getvalue()
    assert "look: holdings: keys that are read are missing: account_number" in out.getvalue()
    assert "Read only" in out.getvalue()


def test_a_new_key_needs_to_be_one_of_this_venue(hood: Connection, double: Double, operator: User) -> None:
    now = timezone.now()
    with pytest.raises(Misconfigured):
        connections.replace_secret(
            connection=hood, key_name="not a header", secret=SECRET, actor=actor_of(operator), now=now
        )
    connections.replace_secret(connection=hood, key_name=API_KEY, secret=SECRET, actor=actor_of(operator), now=now)
    with pytest.raises(CredentialsRefused):
        venue.connect(hood).balances()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_the_database_takes_the_venue_and_goes_back_guarded(desk: Desk, now: datetime) -> None:
    coin = ConnectionFactory(slug="coin", desk=desk)
    with migrating() as migrate:
        old = migrate("connectors", "0003_lease").get_model("connectors", "Connection").objects
        with pytest.raises(IntegrityError), transaction.atomic():
            old.create(slug="hood", name="Hood", venue="robinhood", desk_id=desk.pk, created_at=now)
        new = migrate("connectors", "0004_robinhood").get_model("connectors", "Connection").objects
        for change in ({"api_base": LIVE}, {"venue": "robinhood"}):
            with pytest.raises(IntegrityError, match="guard identity"), transaction.atomic():
                new.filter(pk=coin.pk).update(**change)
    assert [str(problem) for problem in missing_guards(database)] == []
    assert Connection.objects.get().api_base == coin.api_base


def test_commands_and_sweeps_take_it_as_it_is(hood: Connection, double: Double) -> None:
    """What goes over every active connection reads this one, or says that there is nothing to read."""
    out = StringIO()
    with suppress(SystemExit):
        call_command("doctor", "--json", stdout=out)
    checks = {row["check"]: row["verdict"] for row in json.loads(out.getvalue())["checks"]}
    assert checks["guards"] == "ok"
    assert checks["encryption key"] == "ok", "the key of either venue opens"
    assert refresh_market_facts() == 1
    assert feed_states(now=timezone.now()) == []
    with pytest.raises(CommandError, match="no candles"):
        call_command("backfill_candles", connection="hood", instrument="BTC-USD", since="2026-11-20", stdout=out)
    assert {item["method"] for item in double.requests} == {"GET"}
