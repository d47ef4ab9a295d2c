"""The curve walks back what trades did: a property against walking forward, and the naive version that it is not."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from apps.connectors.types import Side
from apps.trades.rules.equity_curve import Move, Point, curve, deepest_fall, moves_of

START = datetime(2026, 3, 2, tzinfo=UTC)
STEP = timedelta(minutes=15)
INSTANTS = [START + STEP * number for number in range(8)]
amounts = st.decimals("0.01", "1000", places=2)
fills = st.lists(
    st.tuples(st.sampled_from(Side), st.integers(0, 7 * 15 * 60), amounts, amounts, st.decimals("0", "5", places=2)),
    max_size=12,
)
closes = st.lists(amounts, min_size=8, max_size=8)


def moves(drawn: list[tuple[Side, int, Decimal, Decimal, Decimal]]) -> list[Move]:
    return [
        move
        for side, second, quantity, price, fee in drawn
        for move in moves_of(
            at=START + timedelta(seconds=second), side=side, base_currency="BTC", quote_currency="USD",
            quantity=quantity, price=price, fee=fee, fee_currency="USD",
        )
    ]  # fmt: skip


def forward(begun: dict[str, Decimal], changes: list[Move], until: datetime) -> dict[str, Decimal]:
    """What was held at an instant, counted from the beginning."""
    held = dict(begun)
    for move in changes:
        if move.at <= until:
            held[move.currency] = held.get(move.currency, Decimal(0)) + move.amount
    return held


@given(drawn=fills, prices=closes)
def test_walking_back_meets_what_walking_forward_left(
    drawn: list[tuple[Side, int, Decimal, Decimal, Decimal]], prices: list[Decimal]
) -> None:
    changes, begun = moves(drawn), {"USD": Decimal(10_000), "BTC": Decimal(3)}
    now = forward(begun, changes, INSTANTS[-1] + STEP)
    known = dict(zip(INSTANTS, prices, strict=True))
    found = curve(totals=now, moves=changes, prices={"BTC": known}, instants=INSTANTS, reporting="USD")
    expected = []
    for instant in INSTANTS:
        held = forward(begun, changes, instant)
        expected.append(Point(at=instant, equity=held["USD"] + held["BTC"] * known[instant]))
    assert list(found) == expected


def test_holding_todays_amounts_all_along_would_be_another_curve() -> None:
    """The naive curve prices what is held now: it shows a rise before anything was bought."""
    bought = moves([(Side.BUY, 4 * 15 * 60 + 1, Decimal(1), Decimal(100), Decimal(0))])
    prices = {instant: Decimal(50 + 10 * number) for number, instant in enumerate(INSTANTS)}
    now = {"USD": Decimal(900), "BTC": Decimal(1)}
    found = curve(totals=now, moves=bought, prices={"BTC": prices}, instants=INSTANTS, reporting="USD")
    naive = curve(totals=now, moves=[], prices={"BTC": prices}, instants=INSTANTS, reporting="USD")
    assert [point.equity for point in found[:5]] == [Decimal(1000)] * 5
    assert [point.equity for point in naive[:5]] != [Decimal(1000)] * 5
    assert found[-1] == naive[-1]


def test_without_a_price_the_worth_is_not_known() -> None:
    found = curve(
        totals={"BTC": Decimal(1)}, moves=[], prices={"BTC": {INSTANTS[0]: Decimal(7)}}, instants=INSTANTS[:2],
        reporting="USD",
    )  # fmt: skip
    assert [point.equity for point in found] == [Decimal(7), None]


def test_the_deepest_fall_is_from_a_height_to_a_later_depth() -> None:
    values = [100, 80, 120, None, 60, 110]
    points = [Point(at=START, equity=None if value is None else Decimal(value)) for value in values]
    assert deepest_fall(points) == Decimal("0.5")
    assert deepest_fall(points[:1]) == 0
