"""Ticks survive their way between processes exactly, and connections know which market they share."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.connectors.selectors import market_of
from apps.quotes.rules.messages import message_of, ticks_in
from apps.quotes.types import QUOTE_AGE_S_MAX, Tick
from tests.factories.connectors import ConnectionFactory

PRICES = st.decimals(min_value=0, max_value=Decimal("1e12"), places=12, allow_nan=False)
INSTANTS = st.datetimes(
    min_value=datetime(2020, 1, 1),  # noqa: DTZ001  the zone is the strategy's
    max_value=datetime(2040, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=2))]),
)
TICKS = st.builds(
    Tick,
    market=st.sampled_from(["coinbase|https://api.coinbase.com", "coinbase|http://localhost:9"]),
    instrument=st.sampled_from(["BTC-USD", "ETH-EUR"]),
    bid=PRICES,
    ask=PRICES,
    bid_quantity=PRICES,
    ask_quantity=PRICES,
    last=st.none() | PRICES,
    change_24h=st.none() | st.decimals(min_value=-100, max_value=10_000, places=6),
    occurred_at=INSTANTS,
    received_at=INSTANTS,
)


@given(ticks=st.lists(TICKS, max_size=5))
def test_what_the_layer_carries_is_what_was_sent(ticks: list[Tick]) -> None:
    carried = msgpack.unpackb(msgpack.packb(message_of(ticks)))

    assert ticks_in(carried) == ticks


def test_a_tick_is_stale_past_the_bound_and_not_before() -> None:
    heard = datetime(2026, 11, 29, 12, tzinfo=UTC)
    one = Decimal(1)
    tick = Tick(
        market="m", instrument="i", bid=one, ask=one, bid_quantity=one, ask_quantity=one,
        occurred_at=heard, received_at=heard,
    )  # fmt: skip

    assert not tick.is_stale(heard + timedelta(seconds=QUOTE_AGE_S_MAX))
    assert tick.is_stale(heard + timedelta(seconds=QUOTE_AGE_S_MAX, microseconds=1))


@pytest.mark.django_db
def test_connections_of_one_address_share_a_market() -> None:
    one, same = (
        ConnectionFactory(api_base=address) for address in ("https://API.coinbase.com", "https://api.coinbase.com/")
    )
    other = ConnectionFactory(api_base="http://localhost:9")

    assert market_of(one) == market_of(same) == "coinbase|https://api.coinbase.com"
    assert market_of(other) == "coinbase|http://localhost:9"
