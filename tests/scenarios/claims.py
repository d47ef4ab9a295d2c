"""What must hold at the very moment an order is claimed: its approval has not perished, and where trading only reduces,
it shrinks what is held.

Looked at from the rows, the market of the day and the venue's own orders as they stand there, never through what the
application asks itself at the claim.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from hypothesis.stateful import invariant

from apps.approvals.models import Vote
from apps.common import fault_places as places
from apps.common.money import from_minor
from apps.connectors.types import Side
from apps.policies.models import Decision, PolicyVersion
from apps.policies.types import Gate, State, Verdict, VersionState
from apps.trades.models import Fill, Inquiry, Order
from apps.trades.rules.terms import read_terms
from apps.trades.selectors.exposure import SNAPSHOT_SKEW
from apps.trades.types import LIVE_ORDER_STATES, InquiryAnswer, InquiryKind, OrderState, ProposalState
from tests.crash.clock import Clock
from tests.factories.trading import move
from tests.scenarios.quorums import Quorums, roles_now, tier_of_rows

# What a desk of these days holds: a few sales, so that one more may turn it around.
HELD = Decimal("0.06")
# The book around a middle is on a grid: nearer to the bound than this is not judged.
GRID_BPS = Decimal("0.01")
OVER = {"FILLED", "CANCELLED", "EXPIRED", "FAILED"}


class Claims(Quorums):
    """Watches each claim as it commits."""

    clock: Clock

    def __init__(self) -> None:
        super().__init__()
        self.owned = HELD
        self.mid = Decimal(0)
        # By order: where the market stood when it was approved.
        self.mids: dict[UUID, Decimal] = {}
        self.claims: set[tuple[UUID, int]] = set()
        self.replays: set[int] = set()
        self.wrongly_claimed: list[str] = []

    def market_stands_at(self, mid: Decimal) -> None:
        self.mid = mid
        move(self.paper, mid)

    def at_a_place(self, label: str) -> None:
        super().at_a_place(label)
        if label == places.VOTE.after:
            for pk in Order.objects.exclude(pk__in=self.mids).values_list("pk", flat=True):
                self.mids[pk] = self.mid
        elif label in {places.CLAIM.after, places.REPLAY_CLAIM.after}:
            for order, at in self.claimed_now():
                why = [*self.perished(order, at), *self.grows(order)]
                self.wrongly_claimed += [f"{order}: {one}" for one in why]

    def claimed_now(self) -> Iterator[tuple[Order, datetime]]:
        """What was claimed since the last look, to be sent or sent again, and when."""
        rows = Order.objects.select_related("authority", "proposal__connection")
        for order in rows.filter(state=OrderState.SUBMITTED):
            if (order.pk, order.fence) not in self.claims and order.submitted_at is not None:
                self.claims.add((order.pk, order.fence))
                yield order, order.submitted_at
        asked = Inquiry.objects.filter(kind=InquiryKind.REPLAY, answer=InquiryAnswer.ASKED)
        for pk, order_id, at in asked.exclude(pk__in=self.replays).values_list("pk", "order_id", "asked_at"):
            self.replays.add(pk)
            yield rows.get(pk=order_id), at

    @invariant()
    def what_was_claimed_was_still_approved_and_shrank_what_only_shrinks(self) -> None:
        """8, 14."""
        assert not self.wrongly_claimed, self.wrongly_claimed

    def perished(self, order: Order, at: datetime) -> Iterator[str]:
        """8: everything by which the approval of an order that is claimed just now had perished."""
        authority, proposal = order.authority, order.proposal
        terms = read_terms(bytes(proposal.terms))
        if at >= min(authority.valid_until, terms.not_after, proposal.expires_at):
            yield "its time was over"
        if order.cancel_requested_at is not None or proposal.state != ProposalState.APPROVED:
            yield "it was taken back"
        active = PolicyVersion.objects.get(
            policy_set__desk=proposal.connection.desk_id, state=VersionState.ACTIVE.value
        )
        if active.pk != authority.policy_version_id:
            yield "another policy is active"
        tier = tier_of_rows(active.pk, from_minor(order.notional_minor))
        standing = [who for who in set(authority.approvers) if roles_now(UUID(who)) & set(tier["roles"])]
        if len(standing) < max(int(tier["needed"]), authority.needed) or set(tier["roles"]) != set(authority.roles):
            yield "too few of those who approved it count now"
        moved = abs(self.mid - self.mids[order.pk]) / self.mids[order.pk] * 10_000
        if moved > Decimal(tier["drift_bps"]) + GRID_BPS:
            yield f"the market had moved {moved} bps"
        against = Vote.objects.filter(proposal=proposal, created_at__lte=at).exclude(verb=Vote.Verb.APPROVE)
        under_it = against.filter(policy_version=authority.policy_version_id)
        if under_it.filter(verb=Vote.Verb.DECLINE).exists() or under_it.filter(approver__in=standing).exists():
            yield "somebody had voted against it"
        decided = Decision.objects.filter(subject=str(proposal.pk), gate=Gate.CLAIM).order_by("decided_at").last()
        if decided is None or decided.decided_at != at or decided.outcome == Verdict.DENY:
            yield "policy was not asked anew, or had denied it"
        if self.state() == State.HALTED or not proposal.connection.is_active:
            yield "trading was halted"

    def grows(self, order: Order) -> Iterator[str]:
        """14: while trading only reduces, a sale of no more than is held, once all others that may execute have."""
        if self.state() != State.REDUCING:
            return
        if order.side != Side.SELL:
            yield "it buys while trading only reduces"
            return
        here = {row["client_order_id"]: row for row in self.simulator.orders() if row["product_id"] == order.instrument}
        held, selling = self.owned, Decimal(0)
        for row in here.values():
            done = Decimal(row["filled_size"])
            held += done if row["side"] == Side.BUY else -done
        held += self.sold_since_balances_were_read(order)
        others = Order.objects.filter(connection=order.connection_id, instrument=order.instrument, side=Side.SELL)
        for other in others.filter(state__in=LIVE_ORDER_STATES).exclude(pk=order.pk):
            row = here.get(str(other.client_order_id), {"status": "", "filled_size": "0"})
            selling += Decimal(0) if row["status"] in OVER else other.quantity - Decimal(row["filled_size"])
        if order.quantity > held - selling:
            yield f"it sells {order.quantity} of {held} while {selling} are being sold"

    def sold_since_balances_were_read(self, order: Order) -> Decimal:
        """A day moves our clock and not the venue's: then a sale that balances do not show yet seems older than they
        are, by more than clocks may differ, and cannot be told from one that they show."""
        as_of = order.proposal.connection.balances_as_of
        if not self.clock.ahead or as_of is None:
            return Decimal(0)
        fills = Fill.objects.filter(connection=order.connection_id, instrument=order.instrument, side=Side.SELL)
        return sum((fill.quantity for fill in fills.filter(recorded_at__gt=as_of - SNAPSHOT_SKEW)), Decimal(0))
