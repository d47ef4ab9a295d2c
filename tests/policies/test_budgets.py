"""Budgets: taken all or nothing, used by fills, given back only by proof, and a limit may be lowered at any time."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import Desk, User
from apps.audit.selectors import events_of
from apps.common.errors import Conflict
from apps.policies.errors import BudgetExhausted
from apps.policies.models import Budget, Reservation, ReservedAmount
from apps.policies.services.budgets import Holding
from apps.policies.types import RuleRow
from tests.policies.books import E8, Books, as_named
from tests.policies.cases import ALL_KINDS, APPROVALS, COLLAR, NOTIONAL, ask, judged, line, rule

pytestmark = pytest.mark.django_db

DAY = rule("day", "daily_notional", max_notional="1000")
GROSS = rule("gross", "max_gross_exposure", max_notional="900")
POSITION = rule("position", "max_position", max_notional="800")
UNITS = rule("units", "max_position", max_quantity="8")
WHOLE = (NOTIONAL, APPROVALS, COLLAR, DAY, GROSS, POSITION, UNITS)
NOTHING_HELD = Holding(quantity=Decimal(0), cost=Decimal(0))


@pytest.fixture
def books(desk: Desk, risk: User, approver: User, now: datetime) -> Books:
    made = Books(desk, risk, approver, now)
    made.set_rules(WHOLE)
    return made


class TestReserve:
    def test_a_buy_takes_from_every_budget(self, books: Books) -> None:
        made = books.reserve("order-1")
        assert books.use() == {
            "DAILY_NOTIONAL": ("200", "0"),
            "GROSS_EXPOSURE": ("200", "0"),
            "POSITION": ("200", "0"),
            "POSITION_QUANTITY": ("2", "0"),
        }
        assert (made.state, made.source, made.rate) == ("HELD", "order-1", 1)
        day = Budget.objects.get(dimension="DAILY_NOTIONAL")
        assert (day.window, day.unit, day.limit_minor, day.effective_limit_minor) == (
            "2026-03-02",
            "USD",
            1000 * E8,
            1000 * E8,
        )
        assert [event.kind for event in events_of("reservation:order-1")] == ["reservation.held"]

    def test_a_sell_counts_for_the_day_alone(self, books: Books) -> None:
        books.reserve("order-1", side="SELL")
        assert books.use() == {
            "DAILY_NOTIONAL": ("200", "0"),
            "GROSS_EXPOSURE": ("0", "0"),
            "POSITION": ("0", "0"),
            "POSITION_QUANTITY": ("0", "0"),
        }

    @pytest.mark.parametrize(
        ("quantity", "refused"),
        [("8", ""), ("8.00000001", "MAX_POSITION")],
    )
    def test_up_to_the_limit_and_not_a_step_beyond(self, books: Books, quantity: str, refused: str) -> None:
        if not refused:
            books.reserve("order-1", quantity)
            assert Budget.objects.get(dimension="POSITION").in_use_minor == 800 * E8
            return
        with pytest.raises(BudgetExhausted) as caught:
            books.reserve("order-1", quantity)
        assert (caught.value.code, caught.value.http_status) == (refused, 422)

    def test_refused_by_one_nothing_is_taken_of_any(self, books: Books) -> None:
        books.reserve("order-1", "7")
        before = books.use()
        with pytest.raises(BudgetExhausted) as caught:
            books.reserve("order-2", "2")
        assert caught.value.code == "MAX_POSITION"
        assert caught.value.details["limit"] in {"8", "800"}
        assert books.use() == before
        assert Reservation.objects.count() == 1

    @pytest.mark.parametrize(
        ("rules", "code"),
        [((DAY,), "DAILY_NOTIONAL"), ((GROSS,), "MAX_GROSS_EXPOSURE"), ((POSITION,), "MAX_POSITION")],
    )
    def test_the_code_is_that_of_the_rule(self, books: Books, rules: Sequence[RuleRow], code: str) -> None:
        books.set_rules((NOTIONAL, APPROVALS, COLLAR, *rules))
        books.reserve("order-1", "6")
        with pytest.raises(BudgetExhausted) as caught:
            books.reserve("order-2", "6")
        assert caught.value.code == code

    def test_what_no_rule_limits_is_counted_and_limits_later(self, books: Books) -> None:
        books.set_rules((NOTIONAL, APPROVALS, COLLAR))
        books.reserve("order-1", "9")
        assert set(Budget.objects.values_list("limit_minor", "effective_limit_minor")) == {(None, None)}
        books.set_rules(WHOLE)
        with pytest.raises(BudgetExhausted):
            books.reserve("order-2", "0.1")

    def test_another_instrument_has_its_own_position_and_shares_the_rest(self, books: Books) -> None:
        books.reserve("order-1", "8")
        books.reserve("order-2", "1", instrument="ETH-USD", base_currency="ETH")
        assert Budget.objects.get(dimension="POSITION", instrument="ETH-USD").reserved_minor == 100 * E8
        assert Budget.objects.get(dimension="GROSS_EXPOSURE").reserved_minor == 900 * E8

    def test_the_next_day_begins_empty_and_holdings_do_not(self, books: Books) -> None:
        books.reserve("order-1", "8")
        with pytest.raises(BudgetExhausted) as caught:
            books.reserve("order-2", "1", at=books.now + timedelta(days=1))
        assert caught.value.code in {"MAX_POSITION"}
        books.reserve("order-3", "8", side="SELL", at=books.now + timedelta(days=1))
        assert set(Budget.objects.filter(dimension="DAILY_NOTIONAL").values_list("window", "reserved_minor")) == {
            ("2026-03-02", 800 * E8),
            ("2026-03-03", 800 * E8),
        }

    def test_once_per_order(self, books: Books) -> None:
        books.reserve("order-1")
        with pytest.raises(Conflict, match="has reserved before"):
            books.reserve("order-1")
        assert books.use()["DAILY_NOTIONAL"] == ("200", "0")

    def test_a_rule_for_one_proposer_binds_only_them(self, books: Books) -> None:
        tight = rule("tight", "daily_notional", scope={"proposer": str(books.author.pk)}, max_notional="100")
        books.set_rules((*WHOLE, tight))
        with pytest.raises(BudgetExhausted):
            books.reserve("order-1", proposer=str(books.author.pk))
        books.reserve("order-1")
        assert Budget.objects.get(dimension="DAILY_NOTIONAL").limit_minor == 1000 * E8

    def test_a_sum_beyond_what_can_be_counted_is_refused(self, books: Books) -> None:
        books.set_rules((rule("n", "max_order_notional", max_notional="92000000000"), APPROVALS, COLLAR))
        books.reserve("order-1", "900000000")
        with pytest.raises(BudgetExhausted):
            books.reserve("order-2", "900000000")


class TestSettle:
    def test_fills_use_what_was_reserved_at_what_they_cost(self, books: Books) -> None:
        books.reserve("order-1")
        half = {
            "remaining": Decimal(1),
            "traded": Decimal(99),
            "holding": Holding(quantity=Decimal(1), cost=Decimal(99)),
        }
        assert books.settle("order-1", **half)
        expected = {
            "DAILY_NOTIONAL": ("100", "99"),
            "GROSS_EXPOSURE": ("100", "99"),
            "POSITION": ("100", "99"),
            "POSITION_QUANTITY": ("1", "1"),
        }
        assert books.use() == expected
        books.settle("order-1", **half)
        assert books.use() == expected

    def test_the_end_gives_back_the_rest_once(self, books: Books) -> None:
        books.reserve("order-1")
        done = {
            "remaining": Decimal(1),
            "traded": Decimal(99),
            "holding": Holding(quantity=Decimal(1), cost=Decimal(99)),
            "reason": "CANCELED",
        }
        for _ in range(2):
            books.settle("order-1", **done)
        assert books.use()["DAILY_NOTIONAL"] == ("0", "99")
        row = Reservation.objects.get()
        assert (row.state, row.reason) == ("CONSUMED", "CANCELED")
        kinds = [event.kind for event in events_of("reservation:order-1")]
        assert kinds == ["reservation.held", "reservation.consumed"]

    def test_without_a_fill_all_of_it_is_released(self, books: Books) -> None:
        books.reserve("order-1")
        books.settle("order-1", reason="REJECTED")
        assert set(books.use().values()) == {("0", "0")}
        assert Reservation.objects.get().state == "RELEASED"

    def test_alive_and_without_news_all_of_it_stays(self, books: Books) -> None:
        books.reserve("order-1")
        books.now += timedelta(days=365)
        books.settle("order-1")
        assert books.use()["POSITION"] == ("200", "0")

    def test_a_sale_gives_back_what_its_coins_cost(self, books: Books) -> None:
        books.reserve("order-1")
        held = Holding(quantity=Decimal(2), cost=Decimal(200))
        books.settle("order-1", remaining=Decimal(0), traded=Decimal(200), holding=held, reason="FILLED")
        books.reserve("order-2", "2", side="SELL")
        left = Holding(quantity=Decimal("0.5"), cost=Decimal(50))
        books.settle("order-2", remaining=Decimal("0.5"), traded=Decimal(180), holding=left)
        assert books.use() == {
            "DAILY_NOTIONAL": ("50", "380"),
            "GROSS_EXPOSURE": ("0", "50"),
            "POSITION": ("0", "50"),
            "POSITION_QUANTITY": ("0", "0.5"),
        }

    def test_a_fill_taken_back_after_the_end_gives_back(self, books: Books) -> None:
        books.reserve("order-1")
        held = Holding(quantity=Decimal(2), cost=Decimal(200))
        books.settle("order-1", remaining=Decimal(0), traded=Decimal(200), holding=held, reason="FILLED")
        books.settle("order-1", remaining=Decimal(2), traded=Decimal(0), holding=NOTHING_HELD, reason="FILLED")
        assert set(books.use().values()) == {("0", "0")}
        assert Reservation.objects.get().state == "CONSUMED"

    def test_a_fill_that_costs_more_than_was_reserved_is_booked_and_blocks(self, books: Books) -> None:
        """The venue's facts are not refused: the row says that it is over, and nothing more is reserved."""
        books.reserve("order-1", "8")
        held = Holding(quantity=Decimal(8), cost=Decimal(820))
        books.settle("order-1", remaining=Decimal(0), traded=Decimal(820), holding=held, reason="FILLED")
        row = Budget.objects.get(dimension="POSITION")
        assert (row.is_over, row.effective_limit_minor) == (True, 820 * E8)
        with pytest.raises(BudgetExhausted):
            books.reserve("order-2", "0.0001")

    def test_an_unknown_source_is_told(self, books: Books) -> None:
        assert not books.settle("nobody")

    def test_in_the_reporting_currency_at_the_rate_of_the_approval(self, books: Books) -> None:
        made = books.reserve("order-1", reporting_currency="EUR")
        assert made.rate == Decimal("1.25")
        held = Holding(quantity=Decimal(2), cost=Decimal(200))
        books.settle("order-1", remaining=Decimal(0), traded=Decimal(200), holding=held, reason="FILLED")
        assert books.use()["DAILY_NOTIONAL"] == ("0", "250")
        assert books.use()["GROSS_EXPOSURE"] == ("0", "250")


class TestLimits:
    def test_lowered_below_what_is_in_use_it_works_and_tightens(self, books: Books) -> None:
        books.reserve("order-1", "6")
        books.set_rules((*WHOLE[:-2], rule("position", "max_position", max_notional="100")))
        row = Budget.objects.get(dimension="POSITION")
        assert (row.limit_minor, row.effective_limit_minor, row.is_over) == (100 * E8, 600 * E8, True)
        with pytest.raises(BudgetExhausted):
            books.reserve("order-2", "0.0001")
        books.settle("order-1", remaining=Decimal("0.5"), whole=Decimal(6))
        row.refresh_from_db()
        assert (row.reserved_minor, row.effective_limit_minor, row.is_over) == (50 * E8, 100 * E8, False)
        books.reserve("order-2", "0.5")

    def test_widened_and_taken_away(self, books: Books) -> None:
        books.reserve("order-1", "8")
        books.set_rules((NOTIONAL, APPROVALS, COLLAR, DAY))
        row = Budget.objects.get(dimension="POSITION")
        assert (row.limit_minor, row.effective_limit_minor) == (None, None)
        books.reserve("order-2", "2")

    def test_a_day_that_is_over_keeps_its_limit(self, books: Books) -> None:
        books.reserve("order-1")
        books.now += timedelta(days=1)
        books.set_rules((*WHOLE[:3], rule("day", "daily_notional", max_notional="5")))
        assert Budget.objects.get(dimension="DAILY_NOTIONAL").limit_minor == 1000 * E8


class TestTheRules:
    """What is bound counts where it is more than what is held is worth; without the budgets' word nothing changes."""

    @pytest.mark.parametrize(
        ("key", "kind", "name", "below", "above"),
        [
            # Held and being bought: 12 at 100; this order: 2, worth 200.
            ("position", "POSITION", "bound_quantity", "12", "16.1"),
            ("position-worth", "POSITION", "bound_notional", "1200", "1800.00000001"),
            ("gross", "GROSS", "bound", "4200", "4800.00000001"),
        ],
    )
    def test_the_larger_counts(self, key: str, kind: str, name: str, below: str, above: str) -> None:
        (row,) = [row for row in ALL_KINDS if row.key == key]
        plain = {"bound_quantity": "0", "bound_notional": "0"} if kind == "POSITION" else {}
        said = line(judged(row), key).observed
        assert line(judged(row, changes={kind: plain | {name: below}}), key).observed == said
        over = line(judged(row, changes={kind: plain | {name: above}}), key)
        assert (over.verdict, Decimal(over.observed)) == ("FAIL", Decimal(above) + (2 if key == "position" else 200))

    @pytest.mark.parametrize("junk", ["NaN", "-1", "many"])
    def test_junk_denies(self, junk: str) -> None:
        bound = {"bound_quantity": junk, "bound_notional": "0"}
        assert judged(rule("p", "max_position", max_notional="2000"), changes={"POSITION": bound}).outcome == "DENY"

    def test_a_sell_passes_whatever_is_bound(self) -> None:
        full = {"bound_quantity": "99", "bound_notional": "9999"}
        found = judged(rule("p", "max_position", max_notional="2000"), of=ask(side="SELL"), changes={"POSITION": full})
        assert line(found, "p").verdict == "PASS"


class TestTheDatabaseRefuses:
    """Whoever asks."""

    def assert_refused(self, act: Any) -> None:
        with pytest.raises(IntegrityError), transaction.atomic():
            act()

    def test_more_than_the_effective_limit(self, books: Books) -> None:
        books.reserve("order-1", "8")
        rows = Budget.objects.filter(dimension="POSITION")
        self.assert_refused(lambda: rows.update(reserved_minor=800 * E8 + 1))
        self.assert_refused(lambda: rows.update(effective_limit_minor=799 * E8))
        self.assert_refused(lambda: rows.update(effective_limit_minor=None))
        rows.update(reserved_minor=800 * E8)

    def test_less_than_nothing(self, books: Books) -> None:
        books.reserve("order-1")
        self.assert_refused(lambda: Budget.objects.update(reserved_minor=-1))
        self.assert_refused(lambda: Budget.objects.update(used_minor=-1))
        self.assert_refused(lambda: ReservedAmount.objects.update(held_minor=-1))
        self.assert_refused(lambda: ReservedAmount.objects.update(held_minor=1000 * E8))

    def test_a_second_end_another_amount_a_deletion(self, books: Books) -> None:
        made = books.reserve("order-1")
        rows = Reservation.objects.filter(pk=made.pk)
        self.assert_refused(lambda: rows.update(source="other"))
        self.assert_refused(lambda: rows.update(state="RELEASED"))
        self.assert_refused(lambda: ReservedAmount.objects.update(amount_minor=10**12))
        self.assert_refused(lambda: ReservedAmount.objects.all()._raw_delete(ReservedAmount.objects.db))
        self.assert_refused(lambda: rows._raw_delete(rows.db))
        self.assert_refused(lambda: Budget.objects.all()._raw_delete(Budget.objects.db))
        books.settle("order-1", reason="CANCELED")
        self.assert_refused(lambda: rows.update(state="HELD", ended_at=None))
        self.assert_refused(lambda: rows.update(state="CONSUMED"))
        self.assert_refused(lambda: rows.update(reason="FILLED"))


class TestInOrder:
    """Two who need the same budgets take them in one order, or each waits for the other: tests/races."""

    def test_budgets_are_taken_in_the_order_of_their_ids(self, books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
        books.make_backwards()
        taken, _ = written(lambda: books.reserve("order-1"))
        assert len(taken) == 4
        assert taken == sorted(taken)
        as_named(monkeypatch)
        taken, _ = written(lambda: books.reserve("order-2"))
        assert taken == sorted(taken, reverse=True), "the mutant is seen"

    def test_so_are_they_when_an_order_moves_and_ends(self, books: Books) -> None:
        books.make_backwards()
        books.reserve("order-1")
        taken, locked = written(lambda: books.settle("order-1", remaining=Decimal(0), reason="CANCELED"))
        assert len(taken) == 4
        assert taken == sorted(taken)
        assert len(locked) == 1
        assert "ORDER BY" in locked[0]
        assert '"policies_budget"."id" ASC' in locked[0]


def written(work: Callable[[], object]) -> tuple[list[int], list[str]]:
    """The ids of the budgets that this changes, in the order of its statements; and how it reads them before."""
    with CaptureQueriesContext(connection) as asked:
        work()
    said = [query["sql"] for query in asked.captured_queries]
    changed = [re.search(r'"policies_budget"\."id" = (\d+)', sql) for sql in said if sql.startswith("UPDATE")]
    read = [sql for sql in said if re.match(r'SELECT .* FROM "policies_budget" WHERE "policies_budget"\."id" IN', sql)]
    return [int(found[1]) for found in changed if found is not None], read
