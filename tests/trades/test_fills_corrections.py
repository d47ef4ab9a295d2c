"""Positions, realised P&L and outcomes out of fills, also when the venue takes a fill back."""

import importlib
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.apps import apps
from django.db import IntegrityError, transaction
from django.db.models import F
from django.test import Client
from django.urls import reverse

from apps.connectors.types import Side
from apps.trades.models import Fill, Outcome, Position, Proposal
from apps.trades.types import OrderState
from tests.factories.desk import PaperDesk
from tests.factories.trading import change_policy, kinds, move, rules_with

pytestmark = pytest.mark.django_db

BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def free(paper: PaperDesk) -> PaperDesk:
    """Limits wide enough for a few trades of a hundredth."""
    wide = rules_with(daily_loss={"max_loss": "100000"}, collar={"aggressive_bps": "1000"}, duplicate=None)
    change_policy(paper, wide)
    return paper


def trade(paper: PaperDesk, side: Side, quantity: str, mid: str) -> Proposal:
    """One filled order at a market that stands at `mid`."""
    move(paper, mid)
    proposal = paper.propose(side=side, quantity=Decimal(quantity))
    assert proposal.state == "AWAITING_APPROVAL", proposal.end_code
    paper.approve(proposal)
    assert paper.execute(proposal) == OrderState.ACCEPTED
    assert paper.poll(proposal) == OrderState.FILLED
    return proposal


def paid(proposal: Proposal) -> tuple[Decimal, Decimal]:
    """Average price and fees of an order, added up here once more."""
    rows = list(Fill.objects.filter(order__proposal=proposal))
    quantity = sum(row.quantity for row in rows)
    return sum((row.quantity * row.price for row in rows), Decimal(0)) / quantity, sum(
        (row.fee for row in rows), Decimal(0)
    )


def position(paper: PaperDesk) -> Position:
    return Position.objects.get(connection=paper.connection)


def correct(paper: PaperDesk, proposal: Proposal) -> None:
    """The venue reverses every fill of the order, and Aika asks again."""
    for row in Fill.objects.filter(order__proposal=proposal, trade_type="FILL"):
        paper.simulator.correct_fill(row.venue_fill_id)
    paper.poll(proposal)


def test_average_cost_and_profit(free: PaperDesk) -> None:
    first, second = trade(free, BUY, "0.01", "64000"), trade(free, BUY, "0.03", "66000")
    (p1, f1), (p2, f2) = paid(first), paid(second)
    held = position(free)
    average = (p1 + 3 * p2) / 4
    assert held.quantity == Decimal("0.04")
    assert abs((held.average_entry_price or 0) - average) < Decimal("1e-12")
    assert held.open_fees == f1 + f2

    sale = trade(free, SELL, "0.01", "68000")
    p3, f3 = paid(sale)
    outcome = Outcome.objects.get(order__proposal=sale)
    pnl = (p3 - average) * Decimal("0.01") - (f1 + f2) / 4 - f3
    assert outcome.pnl is not None
    assert abs(outcome.pnl - pnl) < Decimal("1e-12")
    assert outcome.loss_minor < 0
    held = position(free)
    assert held.quantity == Decimal("0.03")
    assert held.realized_pnl == outcome.pnl


def test_coins_of_unknown_cost(free: PaperDesk) -> None:
    """The account held half a bitcoin before Aika: selling that has no P&L, and says so."""
    sale = trade(free, SELL, "0.01", "64000")
    outcome = Outcome.objects.get(order__proposal=sale)
    assert (outcome.pnl, outcome.entry_price) == (None, None)
    assert outcome.exit_price > 0
    # Its fees count as lost; nothing else is invented.
    assert 0 < outcome.loss_minor <= outcome.fees * 10**8 + 1
    assert position(free).quantity == 0


def test_more_sold_than_was_bought_here(free: PaperDesk) -> None:
    trade(free, BUY, "0.01", "64000")
    sale = trade(free, SELL, "0.02", "66000")
    assert Outcome.objects.get(order__proposal=sale).pnl is None
    held = position(free)
    assert (held.quantity, held.realized_pnl, held.average_entry_price) == (0, 0, None)


class TestReversal:
    def test_of_a_purchase(self, free: PaperDesk) -> None:
        kept, taken_back = trade(free, BUY, "0.01", "64000"), trade(free, BUY, "0.03", "66000")
        correct(free, taken_back)
        price, fees = paid(kept)
        held = position(free)
        assert (held.quantity, held.average_entry_price, held.open_fees) == (Decimal("0.01"), price, fees)
        order = free.order_of(taken_back)
        assert (order.state, order.filled_quantity, order.average_fill_price, order.fees) == ("FILLED", 0, None, 0)
        assert kinds(taken_back)[-1] == "order.fill"

    def test_of_a_sale_at_a_loss(self, free: PaperDesk) -> None:
        bought = trade(free, BUY, "0.02", "64000")
        sale = trade(free, SELL, "0.01", "63000")
        assert Outcome.objects.get(order__proposal=sale).loss_minor > 0
        correct(free, sale)
        outcome, held = Outcome.objects.get(order__proposal=sale), position(free)
        assert (outcome.quantity, outcome.pnl, outcome.loss_minor) == (0, 0, 0)
        assert (held.quantity, held.realized_pnl) == (Decimal("0.02"), 0)
        assert held.average_entry_price == paid(bought)[0]

    def test_of_what_was_sold_since(self, free: PaperDesk) -> None:
        """The purchase under a sale is taken back: the sale's cost is not known any more, so neither is its P&L."""
        bought, sale = trade(free, BUY, "0.01", "64000"), trade(free, SELL, "0.01", "66000")
        assert Outcome.objects.get(order__proposal=sale).pnl is not None
        correct(free, bought)
        assert Outcome.objects.get(order__proposal=sale).pnl is None
        held = position(free)
        assert (held.quantity, held.realized_pnl) == (0, 0)

    def test_books_once(self, free: PaperDesk) -> None:
        bought = trade(free, BUY, "0.01", "64000")
        correct(free, bought)
        rows, history = Fill.objects.count(), kinds(bought)
        assert free.poll(bought) == OrderState.FILLED
        assert (Fill.objects.count(), kinds(bought)) == (rows, history)
        assert position(free).quantity == 0

    def test_trading_goes_on_after_it(self, free: PaperDesk) -> None:
        correct(free, trade(free, BUY, "0.01", "64000"))
        again = trade(free, BUY, "0.02", "65000")
        price, fees = paid(again)
        held = position(free)
        assert (held.quantity, held.average_entry_price, held.open_fees) == (Decimal("0.02"), price, fees)


def bought_at(proposal: Proposal) -> datetime:
    return Fill.objects.filter(order__proposal=proposal, trade_type="FILL").earliest("occurred_at").occurred_at


class TestOpened:
    """What closing brought says since when the position was held, not when this part was bought or sold."""

    def outcome(self, proposal: Proposal) -> Outcome:
        return Outcome.objects.get(order__proposal=proposal)

    def test_since_the_first_fill_of_the_run(self, free: PaperDesk) -> None:
        first = trade(free, BUY, "0.02", "64000")
        trade(free, BUY, "0.01", "64500")
        part, rest = trade(free, SELL, "0.01", "65000"), trade(free, SELL, "0.02", "65000")
        opened = bought_at(first)
        assert (self.outcome(part).opened_at, self.outcome(rest).opened_at) == (opened, opened)
        assert self.outcome(rest).closed_at > opened
        assert position(free).opened_at is None

        again = trade(free, BUY, "0.01", "64000")
        assert position(free).opened_at == bought_at(again) > opened
        last = trade(free, SELL, "0.01", "65000")
        assert self.outcome(last).opened_at == bought_at(again)

    def test_a_reversal_moves_it(self, free: PaperDesk) -> None:
        """The fill that opened the position is taken back: it was opened by the next one."""
        taken_back, kept = trade(free, BUY, "0.01", "64000"), trade(free, BUY, "0.02", "64000")
        sale = trade(free, SELL, "0.01", "65000")
        assert self.outcome(sale).opened_at == bought_at(taken_back)
        correct(free, taken_back)
        assert self.outcome(sale).opened_at == bought_at(kept)
        assert position(free).opened_at == bought_at(kept)

    def test_its_page_says_for_how_long(self, free: PaperDesk, client: Client) -> None:
        unbought = trade(free, SELL, "0.01", "64000")
        trade(free, BUY, "0.01", "64000")
        sale = trade(free, SELL, "0.01", "65000")
        client.force_login(free.risk, backend="allauth.account.auth_backends.AuthenticationBackend")
        Outcome.objects.filter(order__proposal=sale).update(
            opened_at=self.outcome(sale).closed_at - timedelta(hours=21, minutes=14)
        )
        for proposal, words in ((sale, "21 h 14 min"), (unbought, "not known: it was not bought here")):
            page = client.get(reverse("admin:trades_outcome_change", args=[self.outcome(proposal).pk]))
            assert "Held for" in page.text
            assert words in page.text

    def test_rows_from_before_are_told_from_their_fills(self, free: PaperDesk) -> None:
        trade(free, SELL, "0.01", "64000")
        taken_back = trade(free, BUY, "0.01", "64000")
        for quantity in ("0.02", "0.01"):
            trade(free, BUY, quantity, "64000")
        for quantity in ("0.01", "0.02"):
            trade(free, SELL, quantity, "65000")
        correct(free, taken_back)
        trade(free, BUY, "0.01", "64000")
        trade(free, SELL, "0.004", "64000")
        told = dict(Outcome.objects.values_list("pk", "opened_at"))
        held_since = position(free).opened_at
        assert held_since is not None

        Outcome.objects.update(opened_at=F("closed_at"))
        Position.objects.update(opened_at=None)
        migration = importlib.import_module("apps.trades.migrations.0006_opened_at")
        migration.tell_from_fills(apps, None)
        assert dict(Outcome.objects.values_list("pk", "opened_at")) == told
        assert position(free).opened_at == held_since


def test_a_fill_is_never_changed_or_removed(free: PaperDesk) -> None:
    trade(free, BUY, "0.01", "64000")
    for act in (lambda: Fill.objects.update(quantity=Decimal(9)), Fill.objects.all().delete):
        with pytest.raises(IntegrityError, match="guard append_only"), transaction.atomic():
            act()
