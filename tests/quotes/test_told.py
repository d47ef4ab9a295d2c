"""The last message of each instrument, where the feed's state is told: bounded, and the one of longest ago first."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import Desk, User
from apps.connectors.models import Connection, Instrument
from apps.connectors.selectors import market_of
from apps.connectors.types import Venue
from apps.quotes.rules.feed import FeedSigns
from apps.quotes.selectors.feed import SIGNS_KEPT_S, TOLD_MAX, signs_key
from tests.factories.connectors import ConnectionFactory, InstrumentFactory

pytestmark = pytest.mark.django_db

MANY = 1_200
SILENT = 3
PAGE_QUERIES = 21


def codes_of(count: int) -> list[str]:
    return [f"X{number:04}-USD" for number in range(count)]


def say(connection: Connection, told: dict[str, datetime], now: datetime) -> None:
    """The market's holder says how its feed does."""
    market = market_of(connection)
    signs = FeedSigns(
        **{"holder": "me", "said_at": now, "since": now, "whole_at": now, "heard_at": now, "priced_at": now},
        **{"sockets": 1, "live": 1, "instruments": told},
    )
    cache.set(signs_key(market), signs, timeout=SIGNS_KEPT_S)


@pytest.fixture
def connection(desk: Desk) -> Connection:
    made: Connection = ConnectionFactory(slug="coin", desk=desk)
    rows = [InstrumentFactory.build(connection=made, code=code) for code in codes_of(MANY)]
    Instrument.objects.bulk_create(rows)
    InstrumentFactory(connection=made, code="OFF-USD", tradable=False)
    return made


@pytest.fixture
def told(connection: Connection) -> dict[str, datetime]:
    """All but three were told, the last code longest ago, 20 minutes; another connection's instrument too."""
    now = timezone.now()
    heard = {code: now - timedelta(seconds=number) for number, code in enumerate(codes_of(MANY - SILENT))}
    say(connection, {**heard, "ELSEWHERE-USD": now - timedelta(hours=1)}, now)
    return heard


def ask(person: User, **query: Any) -> tuple[int, Any]:
    client = Client()
    client.force_login(person)
    said = client.get("/api/v1/feed", query)
    return said.status_code, said.json()


def test_the_one_told_longest_ago_is_first(connection: Connection, told: dict[str, datetime], trader: User) -> None:
    status, said = ask(trader, connection="coin", limit=3)
    oldest = codes_of(MANY - SILENT)[::-1]
    assert (status, [item["instrument"] for item in said["items"]]) == (200, oldest[:3])
    assert said["left_out"] == MANY - 3
    assert said["items"][0]["age_ms"] >= (MANY - SILENT - 1) * 1000
    assert said["items"][0]["heard_at"] < said["items"][1]["heard_at"] < said["items"][2]["heard_at"]
    assert (said["feed"]["state"], said["feed"]["gaps"], said["feed"]["reconnects"]) == ("LIVE", 0, 0)


def test_all_of_them_stay_bounded(connection: Connection, told: dict[str, datetime], trader: User) -> None:
    _, said = ask(trader, connection="coin", limit=TOLD_MAX)
    assert (len(said["items"]), said["left_out"]) == (TOLD_MAX, MANY - TOLD_MAX)
    assert len(ask(trader, connection="coin")[1]["items"]) == 100
    for refused in (0, TOLD_MAX + 1, "many"):
        assert ask(trader, connection="coin", limit=refused)[0] == 400


def test_what_was_never_told_is_last_and_has_no_age(connection: Connection, trader: User) -> None:
    now = timezone.now()
    Instrument.objects.exclude(code__in=codes_of(3)).delete()
    say(connection, {"X0001-USD": now}, now)
    _, said = ask(trader, connection="coin")
    assert [(item["instrument"], item["heard_at"] is None) for item in said["items"]] == [
        ("X0001-USD", False),
        ("X0000-USD", True),
        ("X0002-USD", True),
    ]
    cache.delete(signs_key(market_of(connection)))
    _, said = ask(trader, connection="coin")
    assert said["feed"]["state"] == "DOWN"
    assert {item["age_ms"] for item in said["items"]} == {None}, "nobody follows it: nothing is known"


def test_nothing_of_another_connection_or_desk_is_told(
    connection: Connection, told: dict[str, datetime], trader: User, outsider: User
) -> None:
    _, said = ask(trader, connection="coin", limit=TOLD_MAX)
    assert {"ELSEWHERE-USD", "OFF-USD"}.isdisjoint(item["instrument"] for item in said["items"])
    ConnectionFactory(slug="theirs")
    assert ask(trader, connection="theirs")[0] == 404
    assert ask(outsider, connection="coin")[0] == 403
    assert ask(trader)[0] == 400


def test_a_venue_without_a_socket_has_no_feed(desk: Desk, trader: User) -> None:
    hood = ConnectionFactory(slug="hood", desk=desk, venue=Venue.ROBINHOOD)
    InstrumentFactory(connection=hood)
    assert ask(trader, connection="hood") == (200, {"connection": "hood", "feed": None, "items": [], "left_out": 0})


def test_the_page_of_a_connection_shows_them(
    connection: Connection, told: dict[str, datetime], operator: User, django_assert_max_num_queries: Any
) -> None:
    client = Client()
    client.force_login(operator)
    url = reverse("admin:connectors_connection_change", args=[connection.pk])
    client.get(url)  # what a process learns once is not what a page costs
    cache.delete("desk:status")
    with django_assert_max_num_queries(PAGE_QUERIES):
        shown = client.get(url).content.decode()
    assert f"Last message of each of {TOLD_MAX} instruments, {SILENT} not told yet" in shown
    rows = shown[shown.index('class="more told"') :].split("<tr>")[2:]
    assert len(rows) == TOLD_MAX
    assert codes_of(MANY - SILENT)[-1] in rows[0] and "19 min" in rows[0]
    assert f"{MANY - TOLD_MAX} more are left out" in shown
