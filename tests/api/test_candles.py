"""GET candles: whose they are, how many come, and how one goes on."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest
from django.utils import timezone

from apps.accounts.models import User
from apps.common.decimals import instant_text
from apps.connectors.selectors import market_of
from apps.connectors.types import Candle
from apps.quotes.rules.candles import Source, derive
from apps.quotes.services.candles import keep_candles
from tests.api.conftest import Caller, with_header
from tests.factories.accounts import issue_key
from tests.factories.desk import PaperDesk, paper_desk

pytestmark = pytest.mark.django_db

START = datetime(2026, 1, 5, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def minutes(paper: PaperDesk) -> list[Candle]:
    """A day of minutes with a gap, as the venue told them."""
    values = [
        Candle(START + n * MINUTE, *(Decimal(n + extra) / 4 for extra in (4, 9, 1, 6)), volume=Decimal("0.10"))
        for n in range(1_440)
        if not 100 <= n < 130
    ]
    keep_candles(market_of(paper.connection), {"BTC-USD": values}, source=Source.VENUE)
    return values


def asked(bot: Caller, paper: PaperDesk, **changes: object) -> tuple[int, Any]:
    parameters = {"connection": paper.connection.slug, "instrument": "BTC-USD"} | changes
    return bot.get(f"/candles?{urlencode({name: value for name, value in parameters.items() if value is not None})}")


def test_the_newest_come_oldest_first_and_numbers_are_texts(
    bot: Caller, paper: PaperDesk, minutes: list[Candle]
) -> None:
    status, page = asked(bot, paper, limit=2)

    assert (status, page["granularity"], page["next_cursor"]) == (200, "1m", None)
    assert page["items"][-1] == {
        "start": "2026-01-05T23:59:00.000000Z",
        "open": "360.75",
        "high": "362",
        "low": "360",
        "close": "361.25",
        "volume": "0.1",
        "final": True,
    }
    assert page["items"][0]["start"] == "2026-01-05T23:58:00.000000Z"
    assert len(asked(bot, paper)[1]["items"]) == 300


@pytest.mark.parametrize(("name", "seconds"), [("1m", 60), ("5m", 300), ("15m", 900), ("1h", 3_600), ("4h", 14_400)])
def test_pages_from_an_instant_on_follow_each_other(
    bot: Caller, paper: PaperDesk, minutes: list[Candle], name: str, seconds: int
) -> None:
    found: list[Any] = []
    until = instant_text(START + timedelta(hours=20))
    page: dict[str, Any] = {}
    while not found or page["next_cursor"]:
        place = {"cursor": page["next_cursor"]} if page else {"since": instant_text(START)}
        status, page = asked(bot, paper, granularity=name, limit=7 if seconds > 60 else 500, until=until, **place)
        assert status == 200
        found += page["items"]

    expected = [one for one in derive(minutes, seconds) if one.start < START + timedelta(hours=20)]
    assert [(one["start"], Decimal(one["open"]), Decimal(one["volume"])) for one in found] == [
        (instant_text(one.start), one.open, one.volume) for one in expected
    ]


def test_others_see_nothing_of_a_connection(
    bot: Caller, paper: PaperDesk, minutes: list[Candle], signed_in: Callable[[User], Caller], outsider: User
) -> None:
    other = paper_desk(paper.simulator)
    assert asked(signed_in(paper.trader), paper)[0] == 200
    _, proposes = issue_key(owner=paper.trader, now=timezone.now(), scopes=("propose",))
    _, reads = issue_key(owner=paper.trader, now=timezone.now(), scopes=("read",))
    refused = {
        signed_in(other.trader): (404, "CONNECTION_UNKNOWN"),
        with_header(reads): (404, "CONNECTION_UNKNOWN"),
        with_header(proposes): (403, "SCOPE_MISSING"),
        signed_in(outsider): (403, "NOT_PERMITTED"),
    }
    for caller, expected in refused.items():
        status, said = asked(caller, paper)
        assert (status, said["code"]) == expected


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"connection": None}, "PARAMETER_MISSING"),
        ({"instrument": None}, "PARAMETER_MISSING"),
        ({"instrument": "NO-SUCH"}, "INSTRUMENT_UNKNOWN"),
        ({"granularity": "7m"}, "CHOICE_UNKNOWN"),
        ({"since": "yesterday"}, "INSTANT_MALFORMED"),
        ({"until": "2026-01-05T00:00:00"}, "INSTANT_MALFORMED"),
        ({"limit": "1001"}, "LIMIT_OUT_OF_RANGE"),
        ({"limit": "0"}, "LIMIT_OUT_OF_RANGE"),
        ({"cursor": "bm8"}, "INSTANT_MALFORMED"),
        ({"cursor": "="}, "CURSOR_MALFORMED"),
        ({"start": "1"}, "UNKNOWN_PARAMETER"),
    ],
)
def test_what_makes_no_sense_is_refused(bot: Caller, paper: PaperDesk, changes: dict[str, Any], code: str) -> None:
    status, said = asked(bot, paper, **changes)
    assert (status, said["code"]) == (400, code)
    assert said["fix"]


def test_where_nothing_is_kept_the_page_is_empty(bot: Caller, paper: PaperDesk) -> None:
    assert asked(bot, paper, granularity="1d")[1]["items"] == []
