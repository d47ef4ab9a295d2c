"""Looking: lists in pages, each in a bounded number of queries; connections, policies, quotes, the trading state."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.db import connection as database
from django.test.utils import CaptureQueriesContext
from django.urls import resolve
from django.utils import timezone

from apps.accounts.models import User
from apps.connectors.selectors import market_of
from apps.connectors.services import connections
from apps.connectors.types import Candle
from apps.policies.models import TradingState
from apps.quotes.rules import spans
from apps.quotes.rules.candles import Source
from apps.quotes.services import quotes
from apps.quotes.services.candles import keep_candles
from apps.quotes.types import QUOTE_AGE_S_MAX
from apps.trades.models import Position, Proposal
from tests.api.conftest import Caller
from tests.factories.desk import PaperDesk, connect_paper

pytestmark = pytest.mark.django_db

Make = Callable[..., dict[str, Any]]
SignIn = Callable[[User], Caller]

# PostgreSQL is asked in one statement what SQLite is asked in several.
BASELINE = json.loads((Path(__file__).parent / "query_counts.json").read_text())[database.vendor]


def counted(ask: Callable[[], tuple[int, Any]]) -> tuple[int, Any]:
    with CaptureQueriesContext(database) as queries:
        status, said = ask()
    assert status in {200, 201}, said
    return len(queries), said


def keep_minutes(paper: PaperDesk, count: int) -> None:
    """So many minutes of candles, until a moment ago."""
    one, end = Decimal(100), spans.floor(timezone.now(), 60)
    values = [Candle(end - timedelta(minutes=n), one, one + n, one, one, one) for n in range(1, count + 1)]
    keep_candles(market_of(paper.connection), {"BTC-USD": values}, source=Source.VENUE)


def copies(of: str, count: int) -> None:
    """More of the same proposal, as rows: what is measured is reading."""
    row = Proposal.objects.get(pk=of)
    for _ in range(count):
        row.pk, row.client_order_id, row.idempotency_key = uuid4(), uuid4(), str(uuid4())
        row.created_at += timedelta(microseconds=1)
        row.save(force_insert=True)


def test_reading_takes_as_many_queries_for_ten_times_the_rows(
    bot: Caller, body: Make, paper: PaperDesk, signed_in: SignIn
) -> None:
    mara = signed_in(paper.approver)
    _, first = bot.propose(body())
    Position.objects.create(connection=paper.connection, instrument="A-USD", updated_at=timezone.now())
    of_btc = f"connection={paper.connection.slug}&instrument=BTC-USD"
    asks: dict[str, Callable[[], tuple[int, Any]]] = {
        "GET trades/proposals": lambda: bot.get("/trades/proposals?limit=200"),
        "GET trades/proposals/{id}": lambda: bot.get(f"/trades/proposals/{first['id']}"),
        "GET approvals": lambda: mara.get("/approvals"),
        "GET positions": lambda: bot.get("/positions"),
        "GET quotes": lambda: bot.get(f"/quotes?connection={paper.connection.slug}"),
        "GET candles": lambda: bot.get(f"/candles?{of_btc}&granularity=4h"),
        "GET feed": lambda: bot.get(f"/feed?connection={paper.connection.slug}"),
        "GET connectors": lambda: bot.get("/connectors"),
        "GET policies": lambda: bot.get("/policies"),
    }
    for ask in asks.values():
        ask()
    keep_minutes(paper, 300)
    few = {name: counted(ask)[0] for name, ask in asks.items()}
    keep_minutes(paper, 3_000)

    copies(first["id"], 9)
    for number in range(9):
        Position.objects.create(connection=paper.connection, instrument=f"B{number}-USD", updated_at=timezone.now())
    for _ in range(9):
        more = connect_paper(paper.desk, paper.simulator, f"more-{uuid4().hex[:6]}", timezone.now())
        connections.grant(connection=more, api_key=paper.key, actor=paper.principal.actor(), now=timezone.now())
    many = {name: counted(ask) for name, ask in asks.items()}

    assert {name: count for name, (count, _) in many.items()} == few == {name: BASELINE[name] for name in asks}
    assert len(many["GET trades/proposals"][1]["items"]) == 10
    assert len(many["GET approvals"][1]["items"]) == 10
    assert len(many["GET positions"][1]["items"]) == 10
    assert len(many["GET connectors"][1]["items"]) == 10
    assert len(many["GET candles"][1]["items"]) >= 12


def test_writing_takes_no_more_queries_than_it_did(bot: Caller, body: Make) -> None:
    bot.propose(body())
    asked = {"propose": body(quantity="0.011"), "preview": body(quantity="0.012", rationale=...)}
    proposing, _ = counted(lambda: bot.propose(asked["propose"]))
    previewing, _ = counted(lambda: bot.post("/trades/preview", asked["preview"]))
    assert proposing <= BASELINE["POST trades/proposals"]
    assert previewing <= BASELINE["POST trades/preview"]


def test_pages_follow_each_other_without_a_gap(bot: Caller, body: Make) -> None:
    _, first = bot.propose(body())
    copies(first["id"], 6)
    seen, cursor, pages = [], "", 0
    while True:
        status, page = bot.get(f"/trades/proposals?limit=3{cursor}")
        assert status == 200
        seen += [item["id"] for item in page["items"]]
        pages += 1
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert pages == 3
    assert seen == [str(pk) for pk in Proposal.objects.order_by("-created_at", "-pk").values_list("pk", flat=True)]


def test_a_list_is_narrowed_by_state_as_it_is_by_the_clock(bot: Caller, body: Make) -> None:
    _, waiting = bot.propose(body(valid_for_s=60))
    _, denied = bot.propose(body(quantity="0.4"))

    def ids(query: str) -> list[str]:
        return [item["id"] for item in bot.get(f"/trades/proposals?{query}")[1]["items"]]

    assert ids("state=AWAITING_APPROVAL") == [waiting["id"]]
    assert ids("state=DENIED&instrument=BTC-USD") == [denied["id"]]
    assert ids("instrument=ETH-USD") == ids("connection=nowhere") == ids("state=EXPIRED") == []


def test_what_ran_out_is_expired_before_a_sweep_writes_it_down(
    bot: Caller, body: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, waiting = bot.propose(body(valid_for_s=60))
    later = timezone.now() + timedelta(seconds=61)
    monkeypatch.setattr("apps.trades.api.views.timezone.now", lambda: later)
    (item,) = bot.get("/trades/proposals?state=EXPIRED")[1]["items"]
    assert (item["id"], item["state"]) == (waiting["id"], "EXPIRED")
    assert bot.get("/trades/proposals?state=AWAITING_APPROVAL")[1]["items"] == []
    status, said = bot.post(f"/trades/proposals/{waiting['id']}/withdraw")
    assert (status, said["code"]) == (409, "PROPOSAL_EXPIRED")


def test_connections_say_paper_or_live_in_words_and_no_secret(bot: Caller, paper: PaperDesk) -> None:
    status, said = bot.get("/connectors")
    (item,) = said["items"]
    assert (item["environment"], item["environment_words"]) == ("paper", "paper: no money moves")
    assert not {name for name in item if "secret" in name or "key" in name or "api_base" in name}
    assert paper.simulator.key_name not in bot.last.content.decode()


def test_policies_are_the_rules_in_force(bot: Caller, paper: PaperDesk) -> None:
    (policy,) = bot.get("/policies")[1]["items"]
    assert (policy["id"], policy["digest"]) == (str(paper.version.pk), paper.version.digest)
    rules = {rule["key"]: rule for rule in policy["rules"]}
    assert rules["max-order"]["params"] == {"max_notional": "5000"}


def test_quotes_list_the_instruments_and_ask_for_named_ones_anew(bot: Caller, paper: PaperDesk) -> None:
    cache.clear()
    slug = paper.connection.slug
    status, page = bot.get(f"/quotes?connection={slug}&limit=2")
    assert (status, len(page["items"])) == (200, 2)
    assert page["items"][0]["quote"] is None
    following = bot.get(f"/quotes?connection={slug}&limit=2&cursor={page['next_cursor']}")[1]
    assert following["items"][0]["instrument"] > page["items"][1]["instrument"]

    status, named = bot.get(f"/quotes?connection={slug}&instrument=BTC-USD&instrument=ETH-USD")
    assert [item["instrument"] for item in named["items"]] == ["BTC-USD", "ETH-USD"]
    assert all(item["quote"]["age_ms"] < 5_000 for item in named["items"])

    heard = quotes.latest(paper.connection.pk, "BTC-USD")
    assert heard is not None
    for older, stale in ((QUOTE_AGE_S_MAX - 5, False), (QUOTE_AGE_S_MAX + 1, True)):
        at = timezone.now() - timedelta(seconds=older)
        cache.clear()
        quotes.keep(paper.connection.pk, [replace(heard, occurred_at=at, received_at=at)])
        (kept,) = [
            item["quote"] for item in bot.get(f"/quotes?connection={slug}&limit=200")[1]["items"] if item["quote"]
        ]
        assert (kept["stale"], kept["age_ms"] >= older * 1_000) == (stale, True)

    refused = {
        "/quotes": (400, "PARAMETER_MISSING"),
        f"/quotes?connection={slug}&instrument=NO-SUCH": (400, "INSTRUMENT_UNKNOWN"),
        "/quotes?connection=elsewhere": (404, "CONNECTION_UNKNOWN"),
    }
    for path, expected in refused.items():
        status, said = bot.get(path)
        assert (status, said["code"]) == expected


def test_no_result_follows_from_a_stale_price(bot: Caller, paper: PaperDesk) -> None:
    Position.objects.create(
        connection=paper.connection, instrument="BTC-USD", base_currency="BTC", quote_currency="USD",
        quantity=Decimal("0.5"), average_entry_price=Decimal(60_000), updated_at=timezone.now(),
    )  # fmt: skip
    heard = quotes.refresh(paper.connection, ["BTC-USD"])["BTC-USD"]
    for older, unrealized in ((0, "2000"), (QUOTE_AGE_S_MAX + 1, None)):
        at = timezone.now() - timedelta(seconds=older)
        cache.clear()
        told = replace(heard, bid=Decimal(63_999), ask=Decimal(64_001), occurred_at=at, received_at=at)
        quotes.keep(paper.connection.pk, [told])
        (position,) = bot.get("/positions")[1]["items"]
        assert (position["unrealized_pnl"], position["mark"]["mid"]) == (unrealized, "64000")
        assert position["mark"]["stale"] is (unrealized is None)
    cache.clear()
    (position,) = bot.get("/positions")[1]["items"]
    assert (position["unrealized_pnl"], position["mark"]) == (None, None)


def test_a_halt_is_at_once_and_the_trading_state_says_why(bot: Caller, body: Make, paper: PaperDesk) -> None:
    slug = paper.connection.slug
    (before,) = bot.get("/trading-state")[1]["items"]
    assert (before["connection"], before["state"]) == (slug, "ACTIVE")
    assert "TRADING_HALTED" not in {finding["code"] for finding in before["would_deny"]}

    status, said = bot.post("/trading-state/halt", {"connection": slug, "reason": "Strange fills."})
    assert (status, said["state"], said["reason"], said["connection"]) == (200, "HALTED", "Strange fills.", slug)
    again = bot.post("/trading-state/halt", {"connection": slug, "reason": "Again."})[1]
    assert (again["reason"], again["changed_at"]) == (said["reason"], said["changed_at"])

    (after,) = bot.get("/trading-state")[1]["items"]
    assert after["state"] == "HALTED"
    (finding,) = [finding for finding in after["would_deny"] if finding["code"] == "TRADING_HALTED"]
    assert "Strange fills." in finding["message"]
    _, denied = bot.propose(body())
    assert denied["state"] == "DENIED"
    assert "TRADING_HALTED" in denied["decision"]["codes"]


def test_only_a_known_connection_is_halted_alone(bot: Caller) -> None:
    status, said = bot.post("/trading-state/halt", {"connection": "elsewhere"})
    assert (status, said["code"], said["field"]) == (404, "CONNECTION_UNKNOWN", "connection")
    assert TradingState.objects.get(scope="global").state == "ACTIVE"


def test_the_links_of_a_proposal_lead_somewhere(bot: Caller, body: Make) -> None:
    _, said = bot.propose(body())
    assert {name: resolve(path).url_name for name, path in said["links"].items()} == {
        "self": "api-proposal",
        "withdraw": "api-withdraw",
        "page": "page",
    }
