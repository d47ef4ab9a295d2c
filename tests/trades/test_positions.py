"""Average cost: what is held, what it cost, what closing it brought; unknown cost stays unknown."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from apps.connectors.types import Side
from apps.trades.rules import positions
from apps.trades.types import Execution

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def execution(
    side: Side, quantity: str | Decimal, price: str | Decimal, fee: str | Decimal = "0", order: int = 1
) -> Execution:
    return Execution(
        order_id=UUID(int=order),
        side=side,
        quantity=Decimal(quantity),
        price=Decimal(price),
        fee=Decimal(fee),
        occurred_at=NOW + timedelta(seconds=order),
    )


def test_two_buys_average_and_a_sale_takes_its_share_of_the_fees() -> None:
    lot, closings = positions.fold(
        [
            execution(Side.BUY, "1", "100", "1", order=1),
            execution(Side.BUY, "3", "200", "3", order=2),
            execution(Side.SELL, "2", "300", "2", order=3),
        ]
    )
    assert (lot.quantity, lot.average_price, lot.fees) == (Decimal(2), Decimal(175), Decimal(2))
    closing = closings[UUID(int=3)]
    assert closing.pnl == (300 - 175) * 2 - 2 - 2
    assert closing.fees == 4


def test_selling_more_than_is_known_has_no_result() -> None:
    lot, closings = positions.fold(
        [execution(Side.BUY, "1", "100", order=1), execution(Side.SELL, "1.5", "300", order=2)]
    )
    assert lot.quantity == 0
    assert lot.average_price is None
    assert closings[UUID(int=2)].pnl is None
    assert closings[UUID(int=2)].entry_price is None


def test_an_order_filled_in_parts_is_one_closing() -> None:
    _, closings = positions.fold(
        [
            execution(Side.BUY, "2", "100", order=1),
            execution(Side.SELL, "0.5", "110", "0.1", order=2),
            execution(Side.SELL, "1.5", "120", "0.3", order=2),
        ]
    )
    assert list(closings) == [UUID(int=2)]
    closing = closings[UUID(int=2)]
    assert closing.quantity == 2
    assert closing.exit_price == Decimal("117.5")
    assert closing.pnl == Decimal("34.6")


def test_a_position_is_as_old_as_its_first_fill_since_nothing_was_held() -> None:
    lot, closings = positions.fold(
        [
            execution(Side.BUY, "1", "100", order=1),
            execution(Side.BUY, "1", "110", order=2),
            execution(Side.SELL, "0.5", "120", order=3),
            execution(Side.SELL, "1.5", "120", order=4),
            execution(Side.BUY, "1", "100", order=5),
            execution(Side.SELL, "0.4", "120", order=6),
        ]
    )
    opened = {order.int: closing.opened_at for order, closing in closings.items()}
    first, again = NOW + timedelta(seconds=1), NOW + timedelta(seconds=5)
    assert opened == {3: first, 4: first, 6: again}
    assert lot.opened_at == again


def test_what_was_never_bought_was_never_opened() -> None:
    lot, closings = positions.fold(
        [
            execution(Side.SELL, "1", "100", order=1),
            execution(Side.BUY, "1", "100", order=2),
            execution(Side.SELL, "3", "100", order=3),
            execution(Side.SELL, "1", "100", order=3),
        ]
    )
    assert closings[UUID(int=1)].opened_at is None
    # More than was held, in two fills: what was held is the position it closed.
    assert closings[UUID(int=3)].opened_at == NOW + timedelta(seconds=2)
    assert lot.opened_at is None


steps = st.lists(
    st.tuples(
        st.sampled_from(Side),
        st.decimals(min_value=Decimal("0.00000001"), max_value=Decimal(1000), places=8),
        st.decimals(min_value=Decimal("0.01"), max_value=Decimal(100000), places=2),
        st.decimals(min_value=0, max_value=Decimal(10), places=4),
    ),
    max_size=30,
)


@given(steps)
def test_money_is_conserved(steps: list[tuple[Side, Decimal, Decimal, Decimal]]) -> None:
    """While nothing of unknown cost is sold, cash and what is held at cost add up to the P&L."""
    held = cash = Decimal(0)
    done = []
    for number, (side, quantity, price, fee) in enumerate(steps):
        amount = min(quantity, held) if side is Side.SELL else quantity
        if not amount:
            continue
        held += amount if side is Side.BUY else -amount
        cash += (-amount if side is Side.BUY else amount) * price - fee
        done.append(execution(side, amount, price, fee, order=number))
    lot, closings = positions.fold(done)
    assert lot.quantity == held
    at_cost = lot.quantity * (lot.average_price or 0) + lot.fees
    realized = sum((closing.pnl for closing in closings.values() if closing.pnl is not None), Decimal(0))
    assert all(closing.pnl is not None for closing in closings.values())
    assert abs(cash + at_cost - realized) < Decimal("0.000001")
