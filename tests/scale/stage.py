"""The desk that is multiplied: twenty proposals that are over, in the shares a desk has them, and some that are not.

Everything goes through the services that people and programs use.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.utils import timezone

from apps.approvals.services import decide
from apps.audit.services import alarms, notices
from apps.audit.types import Channel
from apps.connectors.selectors import market_of
from apps.connectors.types import Candle, Side
from apps.dashboard.services.demo_policy import DEMO_RULES
from apps.policies.types import RuleKind
from apps.quotes.rules import spans
from apps.quotes.rules.candles import Source
from apps.quotes.services.candles import keep_candles
from apps.trades.models import Proposal
from apps.trades.services import endings, withdrawals
from tests.factories.alarms import Receiver
from tests.factories.desk import BTC, PaperDesk, paper_desk
from tests.venues.simulator_process import SimulatorProcess

WITHOUT = {RuleKind.ORDER_RATE, RuleKind.DUPLICATE, RuleKind.DAILY_NOTIONAL, RuleKind.DAILY_LOSS}
ROUND_TRIPS, DENIED, DECLINED, EXPIRED, WITHDRAWN = 2, 8, 3, 3, 2
TOO_MUCH = Decimal(40)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The desk, one proposal that waits, one that was filled, and a desk beside it with hardly any rows."""

    desk: PaperDesk
    small: PaperDesk
    waiting: UUID
    filled: UUID


def over(simulator: SimulatorProcess) -> PaperDesk:
    """A desk with twenty proposals behind it: two round trips, and sixteen that never became an order."""
    desk = ready(simulator)
    for _ in range(ROUND_TRIPS):
        for side in (Side.BUY, Side.SELL):
            fill(desk, side=side)
    endings_of: list[tuple[int, Callable[[Proposal], object]]] = [
        (DECLINED, lambda asked: decline(desk, asked)),
        (EXPIRED, lambda asked: endings.expire(proposal_id=asked.pk, now=asked.expires_at)),
        (
            WITHDRAWN,
            lambda asked: withdrawals.withdraw(
                proposal_id=asked.pk, principal=desk.principal, reason="", now=timezone.now()
            ),
        ),
    ]
    for count, end in endings_of:
        for _ in range(count):
            end(desk.propose(instrument="ETH-USD", quantity=Decimal("0.1")))
    for _ in range(DENIED):
        denied = desk.propose(quantity=TOO_MUCH)
        assert denied.state == "DENIED", denied.state
    return desk


def ready(simulator: SimulatorProcess) -> PaperDesk:
    """A desk that may ask as often as it likes."""
    return paper_desk(simulator, rules=[rule for rule in DEMO_RULES if rule.kind not in WITHOUT])


def fill(desk: PaperDesk, *, side: Side = Side.BUY) -> Proposal:
    """Asked, approved, sent, filled, booked."""
    asked = desk.propose(side=side)
    assert asked.state == "AWAITING_APPROVAL", asked.state
    desk.approve(asked)
    desk.execute(asked)
    desk.poll(asked)
    return asked


def decline(desk: PaperDesk, asked: Proposal) -> object:
    return decide.decline(
        proposal_id=asked.pk, approver=desk.approver, digest=asked.digest, comment="Not today.", now=timezone.now()
    )


def present(desk: PaperDesk) -> Stage:
    """What goes on now and does not grow with the past: proposals that wait, an open position, an alarm, a chart."""
    small = ready(desk.simulator)
    for side in (Side.BUY, Side.SELL):
        fill(small, side=side)
    small.propose()
    waiting = [desk.propose() for _ in range(3)][0]
    filled = fill(desk)
    now = timezone.now()
    alarms.raise_alarm(code="FILLS_DIFFER", subject=f"order:{filled.pk}", message="They differ.", now=now)
    notices.tell_due(channels=[Channel.LOG], now=now)
    notices.send_owed(senders=[Receiver(Channel.LOG)], clock=timezone.now)
    one, end = Decimal(100), spans.floor(now, 60)
    candles = [Candle(end - spans.timedelta(minutes=n), one, one + n, one, one, one) for n in range(1, 60)]
    keep_candles(market_of(desk.connection), {BTC: candles}, source=Source.VENUE)
    return Stage(desk=desk, small=small, waiting=waiting.pk, filled=filled.pk)
