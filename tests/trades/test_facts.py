"""What policy is told: money not counted twice and never too much of it, and silence where something is not known."""

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

import pytest
from django.core.cache import cache
from django.utils import timezone

from apps.connectors.models import Connection
from apps.connectors.services import sync
from apps.connectors.types import QUOTE_AGE_S_MAX, Side
from apps.policies.models import Latch
from apps.policies.types import Fact, FactKind, FactSpec, LatchKind
from apps.quotes.services import quotes
from apps.trades.models import Outcome, Proposal
from apps.trades.rules.terms import read_terms
from apps.trades.services import facts, marks
from apps.trades.services.gathering import Gathering
from apps.trades.types import OrderState, ProposalState
from tests.factories.desk import BTC, PaperDesk
from tests.factories.latches import connected, prices_of_everything, reset, trip
from tests.factories.tampering import sql_update
from tests.factories.trading import change_policy, move, rules_with

pytestmark = pytest.mark.django_db

MID = "64000"


def fact(paper: PaperDesk, kind: FactKind, scope: str = "", *, now: datetime | None = None) -> Fact | None:
    """One fact as a new ask for bitcoin would get it."""
    now = now or timezone.now()
    proposal = Proposal.objects.order_by("created_at").first() or paper.propose(quantity=Decimal("0.003"))
    ask = facts.ask_of(
        read_terms(bytes(proposal.terms)), proposer_id=paper.trader.pk, reporting_currency=paper.desk.reporting_currency
    )
    connection = Connection.objects.select_related("desk").get(pk=paper.connection.pk)
    gathering = Gathering(connection=connection, ask=ask, now=now, asked_at=now)
    spec = FactSpec(kind, scope or str(paper.connection.pk))
    return facts.gather([spec], gathering).get(spec.key)


def value(paper: PaperDesk, kind: FactKind, name: str, scope: str = "") -> Decimal:
    found = fact(paper, kind, scope)
    assert found is not None, kind
    return Decimal(found.values[name])


def approved(paper: PaperDesk, **changes: object) -> Proposal:
    proposal = paper.propose(**changes)
    assert proposal.state == ProposalState.AWAITING_APPROVAL, proposal.end_code
    paper.approve(proposal)
    return proposal


class TestFunds:
    def test_an_approval_binds_money_with_its_fee(self, paper: PaperDesk) -> None:
        move(paper, MID)
        free = value(paper, FactKind.BALANCES, "USD")
        proposal = approved(paper)
        order = paper.order_of(proposal)
        assert order.reserved_amount == Decimal("0.01") * order.worst_price * Decimal("1.006")
        assert value(paper, FactKind.BALANCES, "USD") == free - order.reserved_amount

    def test_it_is_counted_once_at_every_step(self, paper: PaperDesk) -> None:
        """Approved, resting at the venue before and after the balances were read again: never more than is free, and in
        the end exactly what the venue says."""
        move(paper, MID)
        free = value(paper, FactKind.BALANCES, "USD")
        proposal = approved(paper, limit_price=Decimal("60000"))
        bound = paper.order_of(proposal).reserved_amount
        assert paper.execute(proposal) == OrderState.ACCEPTED
        assert value(paper, FactKind.BALANCES, "USD") == free - bound
        later = timezone.now() + timedelta(seconds=3)
        connection = Connection.objects.get(pk=paper.connection.pk)
        sync.refresh_balances(connection, now=later)
        assert (
            value(paper, FactKind.BALANCES, "USD") == connection.balances.get(currency="USD").available == free - bound
        )

    def test_a_fill_the_balances_do_not_show_yet(self, paper: PaperDesk) -> None:
        move(paper, MID)
        free = value(paper, FactKind.BALANCES, "USD")
        proposal = approved(paper)
        paper.execute(proposal)
        paper.poll(proposal)
        order = paper.order_of(proposal)
        assert order.average_fill_price is not None
        spent = order.filled_quantity * order.average_fill_price + order.fees
        assert value(paper, FactKind.BALANCES, "USD") == free - spent

    def test_a_sale_binds_coins(self, paper: PaperDesk) -> None:
        move(paper, MID)
        free = value(paper, FactKind.BALANCES, "BTC")
        approved(paper, side=Side.SELL)
        assert value(paper, FactKind.BALANCES, "BTC") == free - Decimal("0.01")

    def test_balances_never_read(self, paper: PaperDesk) -> None:
        paper.propose()
        Connection.objects.filter(pk=paper.connection.pk).update(balances_as_of=None)
        assert fact(paper, FactKind.BALANCES) is None
        assert fact(paper, FactKind.POSITION, BTC) is None
        assert fact(paper, FactKind.GROSS) is None


class TestExposure:
    def test_a_position_counts_what_may_still_come(self, paper: PaperDesk) -> None:
        move(paper, MID)
        approved(paper)
        proposal = approved(paper, quantity=Decimal("0.02"))
        paper.simulator.add_fault("create", "timeout-before", seconds="0")
        assert paper.execute(proposal) == OrderState.UNKNOWN
        assert value(paper, FactKind.POSITION, "working_buy", BTC) == Decimal("0.03")
        assert value(paper, FactKind.POSITION, "quantity", BTC) == Decimal("0.5")

    def test_what_was_just_sold_cannot_be_sold_again(self, paper: PaperDesk) -> None:
        """The balances were read before it filled, and its order has ended: the coins look as if they were there."""
        move(paper, MID)
        sold = approved(
            paper, side=Side.SELL, quantity=Decimal("0.02"), limit_price=paper.crossing_price(BTC, Side.SELL)
        )
        paper.execute(sold)
        assert paper.poll(sold) == OrderState.FILLED
        assert value(paper, FactKind.POSITION, "quantity", BTC) == Decimal("0.5")
        assert value(paper, FactKind.POSITION, "working_sell", BTC) == Decimal("0.02")

    def test_gross_exposure_counts_everything_else(self, paper: PaperDesk) -> None:
        move(paper, MID)
        before = value(paper, FactKind.GROSS, "others")
        eth = approved(
            paper, instrument="ETH-USD", quantity=Decimal("0.5"), limit_price=paper.crossing_price("ETH-USD", Side.BUY)
        )
        order = paper.order_of(eth)
        rise = value(paper, FactKind.GROSS, "others") - before
        assert abs(rise - order.quantity * order.worst_price) < Decimal("0.02") * rise

    def test_what_was_just_bought_counts_before_the_balances_show_it(self, paper: PaperDesk) -> None:
        move(paper, MID)
        paper.connection.balances.filter(currency="ETH").delete()
        paper.propose()
        before = value(paper, FactKind.GROSS, "others")
        eth = approved(
            paper, instrument="ETH-USD", quantity=Decimal("0.5"), limit_price=paper.crossing_price("ETH-USD", Side.BUY)
        )
        paper.execute(eth)
        paper.poll(eth)
        paper.connection.balances.filter(currency="ETH").delete()
        Connection.objects.filter(pk=paper.connection.pk).update(balances_as_of=eth.created_at)
        assert value(paper, FactKind.GROSS, "others") - before > 1000

    def test_one_price_missing_and_nothing_is_known(self, paper: PaperDesk) -> None:
        paper.propose()
        assert fact(paper, FactKind.GROSS) is not None
        cache.delete(f"quote:{paper.connection.pk}:ADA-USD")
        assert quotes.latest(paper.connection.pk, "ADA-USD") is None
        assert fact(paper, FactKind.GROSS) is None

    def test_a_stale_price_is_none(self, paper: PaperDesk) -> None:
        paper.propose()
        heard = quotes.latest(paper.connection.pk, BTC)
        assert heard is not None
        bound = heard.received_at + timedelta(seconds=QUOTE_AGE_S_MAX)
        assert fact(paper, FactKind.QUOTE, BTC, now=bound) is not None
        assert fact(paper, FactKind.QUOTE, BTC, now=bound + timedelta(microseconds=1)) is None

    def test_and_that_denies(self, paper: PaperDesk, monkeypatch: pytest.MonkeyPatch) -> None:
        kept = Gathering.quote
        monkeypatch.setattr(Gathering, "quote", lambda self, code: None if code == "ADA-USD" else kept(self, code))
        proposal = paper.propose()
        assert (proposal.state, proposal.end_code) == (ProposalState.DENIED, "FACT_MISSING")
        monkeypatch.undo()
        assert paper.propose(quantity=Decimal("0.011")).state == ProposalState.AWAITING_APPROVAL


class TestDay:
    def test_approved_counts_and_a_refused_one_does_not(self, paper: PaperDesk) -> None:
        move(paper, MID)
        assert value(paper, FactKind.DAY_NOTIONAL, "notional") == 0
        first, second = approved(paper), approved(paper, quantity=Decimal("0.02"))
        worth = [Decimal(paper.order_of(p).notional_minor).scaleb(-8) for p in (first, second)]
        assert value(paper, FactKind.DAY_NOTIONAL, "notional") == sum(worth)
        paper.simulator.reset(USD="5")
        move(paper, MID)
        assert paper.execute(second) == OrderState.REJECTED
        assert value(paper, FactKind.DAY_NOTIONAL, "notional") == worth[0]

    def test_yesterday_is_over(self, paper: PaperDesk) -> None:
        approved(paper)
        tomorrow = datetime.combine(timezone.now().date() + timedelta(days=1), time(), tzinfo=UTC)
        before, after = (fact(paper, FactKind.DAY_NOTIONAL, now=tomorrow - timedelta(microseconds=n)) for n in (1, 0))
        assert before is not None and after is not None
        assert Decimal(before.values["notional"]) > 0
        assert after.values["notional"] == "0"

    def test_a_loss_under_water_and_one_taken(self, paper: PaperDesk) -> None:
        change_policy(paper, rules_with(collar={"aggressive_bps": "1000"}))
        move(paper, MID)
        bought = approved(paper, quantity=Decimal("0.02"))
        paper.execute(bought)
        paper.poll(bought)
        entry = paper.order_of(bought).average_fill_price
        assert entry is not None
        move(paper, "63000")
        assert value(paper, FactKind.DAY_LOSS, "loss") == (entry - 63000) * Decimal("0.02")
        sold = approved(paper, side=Side.SELL)
        paper.execute(sold)
        paper.poll(sold)
        outcome = Outcome.objects.get(order__proposal=sold)
        assert outcome.pnl is not None
        taken = -outcome.pnl
        assert abs(value(paper, FactKind.DAY_LOSS, "loss") - taken - (entry - 63000) * Decimal("0.01")) < Decimal(
            "1e-7"
        )
        # A gain that is not taken hides no loss that was.
        move(paper, "90000")
        assert abs(value(paper, FactKind.DAY_LOSS, "loss") - taken) < Decimal("1e-7")

    def test_a_loss_in_another_currency_needs_its_rate(self, paper: PaperDesk) -> None:
        change_policy(paper, rules_with(collar={"aggressive_bps": "1000"}))
        move(paper, MID)
        for changes in ({"quantity": Decimal("0.02")}, {"side": Side.SELL}):
            proposal = approved(paper, **changes)
            paper.execute(proposal)
            paper.poll(proposal)
        sql_update(Outcome.objects.get(), quote_currency="EUR")
        assert fact(paper, FactKind.DAY_LOSS) is None

    def test_the_limit_latches_over_a_recovery(self, paper: PaperDesk) -> None:
        wide = {"collar": {"aggressive_bps": "1000"}, "approvals": {"drift_bps": "2000"}}
        change_policy(paper, rules_with(daily_loss={"max_loss": "10"}, **wide))
        move(paper, MID)
        bought = approved(paper, quantity=Decimal("0.02"))
        paper.execute(bought)
        paper.poll(bought)
        assert paper.propose(quantity=Decimal("0.011")).state == ProposalState.AWAITING_APPROVAL
        move(paper, "63000")
        assert paper.propose(quantity=Decimal("0.012")).end_code == "DAILY_LOSS"
        assert Latch.objects.get().kind == "DAILY_LOSS"
        move(paper, "66000")
        assert paper.propose(quantity=Decimal("0.013")).end_code == "ONLY_REDUCING"
        found = fact(paper, FactKind.DAY_LOSS)
        assert found is not None
        assert (found.values["latched"], Decimal(found.values["loss"]) <= 10) == ("true", True)

    def test_no_midnight_resets_it_and_two_people_do(self, paper: PaperDesk) -> None:
        now = timezone.now()
        trip(paper, LatchKind.DAILY_LOSS, now=now)
        later = now + timedelta(days=3)
        found = fact(paper, FactKind.DAY_LOSS, now=later)
        assert found is not None and found.values["latched"] == "true"
        reset(paper, later)
        found = fact(paper, FactKind.DAY_LOSS, now=later)
        assert found is not None and found.values["latched"] == "false"

    def test_equity_needs_a_mark_and_a_price_of_everything_held(self, paper: PaperDesk) -> None:
        prices_of_everything(paper)
        assert fact(paper, FactKind.EQUITY) is None
        mark = marks.measure(connected(paper), now=timezone.now())
        assert mark is not None and mark.peak >= mark.equity > 0
        found = fact(paper, FactKind.EQUITY)
        assert found is not None
        assert (Decimal(found.values["peak"]), found.values["latched"]) == (mark.peak, "false")
        move(paper, "32000")
        fallen = fact(paper, FactKind.EQUITY)
        assert fallen is not None and Decimal(fallen.values["equity"]) < Decimal(found.values["equity"])
        assert fallen.values["peak"] == found.values["peak"]
        cache.clear()
        assert fact(paper, FactKind.EQUITY) is None
        assert marks.measure(connected(paper), now=timezone.now()) is None


class TestCounts:
    def test_a_proposal_is_not_held_against_itself(self, paper: PaperDesk) -> None:
        """At its approval the rate and the duplicates are those before it: else nothing could ever be approved."""
        change_policy(paper, rules_with(rate_proposer={"max_count": "1"}))
        proposal = paper.propose()
        second = paper.propose(quantity=Decimal("0.02"))
        assert second.end_code == "ORDER_RATE"
        assert paper.approve(proposal).order_id

    def test_the_same_again_is_a_duplicate_and_something_else_is_not(self, paper: PaperDesk) -> None:
        move(paper, MID)
        paper.propose()
        assert paper.propose().end_code == "DUPLICATE"
        assert paper.propose(quantity=Decimal("0.010001")).state == ProposalState.AWAITING_APPROVAL
