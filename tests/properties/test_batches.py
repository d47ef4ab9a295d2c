"""A batch gives what its proposals would have given one by one, in the same order: at one moment, on one market."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.accounts.services import idempotency
from apps.audit.models import Event
from apps.common.errors import AikaError, Invalid
from apps.connectors.types import Quote, Side
from apps.dashboard.services.demo_policy import INSTRUMENTS
from apps.policies.models import Budget
from apps.quotes.services import quotes
from apps.trades.models import Order, Proposal
from apps.trades.services import batches, gathering, intake, market
from apps.trades.services.batches import Wanted
from apps.trades.services.market import Fresh
from apps.trades.types import Narrative
from tests.factories.desk import PaperDesk
from tests.factories.trading import change_policy, kinds, rules_with

pytestmark = pytest.mark.django_db

# Small ones are approved at once, larger ones wait, the largest are denied; few sizes, so that some are asked twice.
QUANTITIES = ("0.001", "0.002", "0.004", "0.02", "0.03", "0.4", "-1")
ASKS = st.tuples(
    st.sampled_from(["BTC-USD", "BTC-USD", "ETH-USD", "NO-SUCH"]), st.sampled_from(Side), st.sampled_from(QUANTITIES)
)
Asked = tuple[str, Side, str]


class Outcome(NamedTuple):
    """What became of all of them: of each its error, or its state, words and events; and what is bound afterwards."""

    each: list[tuple[object, ...]]
    events: Counter[str]
    budgets: list[tuple[object, ...]]


class World:
    """A desk at a moment, on a market that stands still. What is done in it is undone."""

    def __init__(self, paper: PaperDesk, now: datetime, known: Mapping[str, Quote]) -> None:
        self.paper, self.now, self.known = paper, now, known

    def wanted(self, asked: Asked) -> Wanted:
        instrument, side, quantity = asked
        price = self.known[instrument].mid if instrument in self.known else Decimal(1)
        intent = self.paper.intent(
            instrument=instrument, side=side, quantity=Decimal(quantity), limit_price=price.quantize(Decimal("0.01"))
        )
        claim = idempotency.claim_of(
            principal_key=self.paper.principal.reference, key=str(uuid4()), method="POST", path="/", body=b"{}"
        )
        return Wanted(intent=intent, narrative=Narrative(rationale="Because."), supersedes=None, claim=claim)

    def after(self, propose: Callable[[list[Wanted]], list[object]], asks: Sequence[Asked]) -> Outcome:
        wanted = [self.wanted(asked) for asked in asks]
        before = Event.objects.order_by("-id").values_list("id", flat=True)[0]
        with transaction.atomic():
            came = propose(wanted)
            found = Outcome(
                each=[self._became(one, what) for one, what in zip(wanted, came, strict=True)],
                events=Counter(Event.objects.filter(id__gt=before).values_list("kind", flat=True)),
                budgets=sorted(
                    Budget.objects.filter(connection=self.paper.connection).values_list(
                        "dimension", "instrument", "unit", "window", "reserved_minor", "used_minor"
                    )
                ),
            )
            transaction.set_rollback(True)
        return found

    def _became(self, wanted: Wanted, what: object) -> tuple[object, ...]:
        if isinstance(what, AikaError):
            return (what.code,)
        made = Proposal.objects.select_related("decision").get(idempotency_key=wanted.claim.key)
        assert made.created_at - self.now < timedelta(seconds=1), "the clock stands still"
        orders = Order.objects.filter(proposal=made).values_list("state", "notional_minor", "reserved_amount")
        return (
            *(made.state, made.end_code, bytes(made.decision.results), bytes(made.decision.inputs)),
            *(made.created_at, made.expires_at, kinds(made), list(orders)),
        )

    def in_a_batch(self, wanted: list[Wanted]) -> list[object]:
        given_each = batches.propose_each(
            items=wanted, principal=self.paper.principal, word=lambda made: b"{}", clock=lambda: self.now
        )
        return list(given_each)

    def one_by_one(self, wanted: list[Wanted]) -> list[object]:
        came, now = [], self.now
        for one in wanted:
            came.append(self._alone(one, now))
            # As in a batch: a microsecond apart, without those that are refused before their connection is looked at.
            now += timedelta(microseconds=not isinstance(came[-1], Invalid) or came[-1].code != "NOT_POSITIVE")
        return came

    def _alone(self, one: Wanted, now: datetime) -> object:
        try:
            return intake.propose_once(
                intent=one.intent,
                narrative=one.narrative,
                supersedes=None,
                principal=self.paper.principal,
                claim=one.claim,
                word=lambda made: b"{}",
                now=now,
            )
        except AikaError as error:
            return error


@pytest.fixture
def world(paper: PaperDesk, settings: Any, monkeypatch: pytest.MonkeyPatch) -> World:
    settings.POLICY_REQUIRE_APPROVAL = False
    tiers = [{"up_to": "300", "needed": "0", "roles": ["approver"]}, {"needed": "1", "roles": ["approver"]}]
    change_policy(
        paper,
        rules_with(
            approvals={"tiers": tiers},
            daily_notional={"max_notional": "2500"},
            rate_proposer={"max_count": "4"},
        ),
    )
    now = timezone.now()
    known = {
        code: replace(quote, occurred_at=now, received_at=now)
        for code, quote in quotes.refresh(paper.connection, INSTRUMENTS).items()
    }
    monkeypatch.setattr(market, "fresh_market", lambda connection, codes, *, now: Fresh(now=now, quotes=known))
    monkeypatch.setattr(gathering, "latest", lambda connection_id, code: known.get(code))
    return World(paper, now, known)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asks=st.lists(ASKS, min_size=1, max_size=7))
def test_a_batch_gives_what_single_ones_give_in_its_order(world: World, asks: list[Asked]) -> None:
    assert world.after(world.in_a_batch, asks) == world.after(world.one_by_one, asks)


WAITS = ("BTC-USD", Side.BUY, "0.02")


@pytest.mark.parametrize("asks", [[WAITS, WAITS], [WAITS] + [("ETH-USD", Side.BUY, "0.4")] * 4])
def test_one_that_is_judged_by_what_was_before_the_batch_is_seen(
    world: World, asks: list[Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mutant: nothing that an earlier one changes counts against the later ones."""
    singly = world.after(world.one_by_one, asks)
    assert world.after(world.in_a_batch, asks) == singly
    monkeypatch.setattr(gathering.Moment, "add", lambda moment, asked, *, denied: None)
    monkeypatch.setattr(batches._Run, "_propose", _as_if_nothing_changed(batches._Run._propose))
    assert world.after(world.in_a_batch, asks) != singly


def _as_if_nothing_changed(propose: Callable[..., bool]) -> Callable[..., bool]:
    def mutant(run: Any, item: Any, judged: Any) -> bool:
        propose(run, item, judged)
        return True

    return mutant
