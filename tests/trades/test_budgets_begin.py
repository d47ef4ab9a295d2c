"""An installation that traded before there were budgets: they begin with what is alive and what is held."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from apps.audit.models import Event
from apps.connectors.types import OrderType, Side, TimeInForce
from apps.policies.models import GLOBAL_SCOPE, Budget, Reservation, ReservedAmount, TradingState
from apps.trades.types import OrderState
from tests.factories.desk import PaperDesk
from tests.factories.migrating import Migrate, migrating, newest
from tests.factories.tampering import guards_lifted
from tests.factories.trading import change_policy, move, rules_with

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

BEFORE, AFTER = "0009_run_lease", "0010_begin_budgets"
WIDE: dict[str, dict[str, Any]] = {
    "daily_loss": {"max_loss": "100000"},
    "collar": {"aggressive_bps": "1000"},
}


@pytest.fixture
def migrate(transactional_db: None) -> Iterator[Migrate]:
    """Goes to a migration and comes back to all of them; on a desk that trades."""
    # The flush of an earlier test takes the row a migration made; without it everything is halted.
    active = {"state": "ACTIVE", "changed_by": "tests", "changed_at": timezone.now()}
    TradingState.objects.get_or_create(scope=GLOBAL_SCOPE, defaults=active)
    with migrating() as to:
        yield to


def rows() -> set[tuple[object, ...]]:
    """Every budget and every amount that orders hold of them, without ids."""
    budgets = Budget.objects.values_list("dimension", "instrument", "window", "unit", "reserved_minor", "used_minor")
    amounts = ReservedAmount.objects.values_list(
        "reservation__source", "reservation__state", "reservation__reason", "budget__dimension", "amount_minor",
        "held_minor", "used_minor",
    )  # fmt: skip
    return {*budgets, *amounts}


def forget_budgets() -> None:
    """As if they had never been kept."""
    tables = ("policies_reservedamount", "policies_reservation", "policies_budget")
    with guards_lifted(*tables), connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"DELETE FROM {table}")  # noqa: S608  a table's name


def approved(paper: PaperDesk, **changes: object) -> Any:
    proposal = paper.propose(**changes)
    assert proposal.state == "AWAITING_APPROVAL", proposal.end_code
    paper.approve(proposal)
    return proposal


def units_of(paper: PaperDesk, proposal: Any) -> int:
    """What its order reserved of the position in units."""
    source = str(paper.order_of(proposal).pk)
    return ReservedAmount.objects.get(reservation__source=source, budget__dimension="POSITION_QUANTITY").amount_minor


def test_budgets_begin_with_what_is_alive_and_held(migrate: Migrate, paper: PaperDesk) -> None:
    move(paper, "64000")
    change_policy(paper, rules_with(**WIDE))
    bought = approved(paper, quantity=Decimal("0.02"))
    paper.execute(bought)
    assert paper.poll(bought) == OrderState.FILLED
    sold = approved(paper, side=Side.SELL, quantity=Decimal("0.005"))
    paper.execute(sold)
    assert paper.poll(sold) == OrderState.FILLED
    resting = approved(paper, quantity=Decimal("0.003"), limit_price=Decimal("60000"))
    assert paper.execute(resting) == OrderState.ACCEPTED
    waiting = approved(
        paper, order_type=OrderType.MARKET, time_in_force=TimeInForce.IOC, quantity=None, quote_quantity=Decimal(300)
    )
    lost = approved(paper, quantity=Decimal("0.004"))
    paper.simulator.add_fault("create", "timeout-before", seconds="0")
    assert paper.execute(lost) == OrderState.UNKNOWN
    kept = rows()

    migrate("trades", BEFORE)
    assert rows() == kept, "the way back takes nothing"
    migrate("trades", AFTER)
    assert rows() == kept, "what has a reservation gets no second one"

    units = units_of(paper, waiting)
    migrate("trades", BEFORE)
    forget_budgets()
    with pytest.raises(SystemExit):
        call_command("check_reservations")
    migrate("trades", AFTER)
    assert {row for row in rows() ^ kept if "POSITION_QUANTITY" not in row} == set()
    # How many units an order by worth can buy at most was not kept: a little more is reserved, never less.
    assert units <= units_of(paper, waiting) < units * 101 // 100
    call_command("check_reservations")
    assert Event.objects.filter(kind="budgets.begun").count() == 2

    # And they go on from there.
    migrate("trades", newest("trades"))
    paper.simulator.clear_faults()
    assert paper.execute(waiting) == OrderState.ACCEPTED
    assert paper.poll(waiting) == OrderState.FILLED
    move(paper, "59900")
    assert paper.poll(resting) == OrderState.FILLED
    assert Reservation.objects.get(source=str(paper.order_of(resting).pk)).state == "CONSUMED"
    call_command("check_reservations")


def test_nothing_begins_where_nothing_was_traded(migrate: Migrate, paper: PaperDesk) -> None:
    migrate("trades", BEFORE)
    migrate("trades", AFTER)
    assert not Budget.objects.exists()
    assert not Event.objects.filter(kind="budgets.begun").exists()
