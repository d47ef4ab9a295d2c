"""Terms keep what was asked, byte for byte, and refuse what no venue could take."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.common import canonical
from apps.common.errors import Invalid, Misconfigured
from apps.connectors.types import Environment, OrderType, Side, TimeInForce
from apps.trades.rules import terms as rules
from apps.trades.types import Intent, Terms

NOW = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)

LIMIT = Intent(
    connection="coinbase-paper",
    instrument="BTC-USD",
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    time_in_force=TimeInForce.GTC,
    quantity=Decimal("0.05"),
    limit_price=Decimal("64292"),
)


def terms(**changes: object) -> Terms:
    values: dict[str, object] = {
        "connection_id": UUID(int=7),
        "connection": "coinbase-paper",
        "venue": "coinbase",
        "environment": Environment.PAPER,
        "instrument": "BTC-USD",
        "base_currency": "BTC",
        "quote_currency": "USD",
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "quantity": Decimal("0.05"),
        "quote_quantity": None,
        "limit_price": Decimal("64292"),
        "stop_price": None,
        "post_only": False,
        "not_after": NOW + timedelta(hours=1),
    }
    return Terms(**(values | changes))  # type: ignore[arg-type]


def refusal(intent: Terms) -> Invalid | None:
    """Why it is no intent; None where it is one."""
    try:
        rules.check_intent(intent, now=NOW)
    except Invalid as error:
        return error
    return None


def test_a_sound_intent_passes() -> None:
    assert refusal(LIMIT) is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"quantity": None}, "ONE_SIZE_NEEDED"),
        ({"quote_quantity": Decimal(5)}, "ONE_SIZE_NEEDED"),
        ({"quantity": None, "quote_quantity": Decimal(5)}, "QUOTE_QUANTITY_NOT_POSSIBLE"),
        ({"quantity": Decimal(0)}, "NOT_POSITIVE"),
        ({"quantity": Decimal("-0.1")}, "NOT_POSITIVE"),
        ({"limit_price": None}, "PRICE_NEEDED"),
        ({"limit_price": Decimal(0)}, "NOT_POSITIVE"),
        ({"stop_price": Decimal(1)}, "PRICE_NOT_POSSIBLE"),
        ({"order_type": OrderType.STOP_LIMIT}, "PRICE_NEEDED"),
        ({"order_type": OrderType.MARKET, "time_in_force": TimeInForce.IOC}, "PRICE_NOT_POSSIBLE"),
        ({"order_type": OrderType.MARKET, "limit_price": None}, "TIME_IN_FORCE_NOT_POSSIBLE"),
        ({"time_in_force": TimeInForce.GTD}, "NOT_AFTER_NEEDED"),
        ({"not_after": NOW}, "NOT_AFTER_TOO_SOON"),
        ({"not_after": NOW + timedelta(days=31)}, "NOT_AFTER_TOO_LATE"),
        ({"valid_for_s": 1}, "VALID_FOR_OUT_OF_RANGE"),
        ({"valid_for_s": 10**6}, "VALID_FOR_OUT_OF_RANGE"),
        ({"time_in_force": TimeInForce.IOC, "post_only": True}, "POST_ONLY_NOT_POSSIBLE"),
    ],
)
def test_an_intent_no_venue_could_take_is_refused(changes: dict[str, object], code: str) -> None:
    refused = refusal(replace(LIMIT, **changes))  # type: ignore[arg-type]
    assert refused is not None and refused.code == code
    assert refused.field
    assert refused.fix


def test_market_buys_may_be_sized_in_money() -> None:
    market = replace(
        LIMIT,
        order_type=OrderType.MARKET,
        time_in_force=TimeInForce.IOC,
        limit_price=None,
        quantity=None,
        quote_quantity=Decimal(100),
    )
    assert refusal(market) is None


amounts = st.decimals(min_value=Decimal("1e-18"), max_value=Decimal("1e19"), allow_nan=False, places=18)


@given(
    quantity=amounts,
    price=amounts,
    side=st.sampled_from(Side),
    tif=st.sampled_from([TimeInForce.GTC, TimeInForce.GTD, TimeInForce.IOC, TimeInForce.FOK]),
    seconds=st.integers(min_value=0, max_value=10**8),
    micros=st.integers(min_value=0, max_value=999_999),
)
def test_terms_survive_their_bytes(
    quantity: Decimal, price: Decimal, side: Side, tif: TimeInForce, seconds: int, micros: int
) -> None:
    one = terms(
        quantity=quantity,
        limit_price=price,
        side=side,
        time_in_force=tif,
        not_after=NOW + timedelta(seconds=seconds, microseconds=micros),
    )
    raw = rules.terms_bytes(one)
    assert rules.read_terms(raw) == one
    assert rules.terms_bytes(rules.read_terms(raw)) == raw


def test_every_field_is_in_the_digest() -> None:
    changes: dict[str, object] = {
        "connection_id": UUID(int=8),
        "connection": "other",
        "venue": "elsewhere",
        "environment": Environment.LIVE,
        "instrument": "ETH-USD",
        "base_currency": "ETH",
        "quote_currency": "EUR",
        "side": Side.SELL,
        "order_type": OrderType.STOP_LIMIT,
        "time_in_force": TimeInForce.IOC,
        "quantity": Decimal("0.06"),
        "quote_quantity": Decimal(1),
        "limit_price": Decimal("64293"),
        "stop_price": Decimal(1),
        "post_only": True,
        "not_after": NOW,
    }
    assert set(changes) == set(Terms.__slots__)
    before = canonical.digest(rules.terms_bytes(terms()))
    for name, value in changes.items():
        assert canonical.digest(rules.terms_bytes(terms(**{name: value}))) != before, name


def test_foreign_bytes_are_not_terms() -> None:
    with pytest.raises(Misconfigured):
        rules.read_terms(canonical.encode("aika.terms/99", {"side": "BUY"}))


def test_the_order_id_is_a_function_of_environment_proposal_and_attempt() -> None:
    proposal = uuid4()
    first = rules.client_order_id(environment="paper", proposal_id=proposal, attempt=1)
    assert first == rules.client_order_id(environment="paper", proposal_id=proposal, attempt=1)
    others = {
        rules.client_order_id(environment="live", proposal_id=proposal, attempt=1),
        rules.client_order_id(environment="paper", proposal_id=proposal, attempt=2),
        rules.client_order_id(environment="paper", proposal_id=uuid4(), attempt=1),
    }
    assert first not in others
    assert len(others) == 3


def test_waiting_ends_at_the_latest_when_the_order_may_no_longer_be_sent() -> None:
    soon = replace(LIMIT, not_after=NOW + timedelta(minutes=5))
    assert rules.approval_deadline(soon, not_after=rules.last_instant(soon, now=NOW), now=NOW) == soon.not_after
    quick = replace(LIMIT, time_in_force=TimeInForce.IOC)
    assert rules.approval_deadline(quick, not_after=NOW + timedelta(days=1), now=NOW) == NOW + timedelta(minutes=15)
