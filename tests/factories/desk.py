"""A desk that can trade: people, a connection to the simulator, an active policy, a key. All through services."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import uuid4

from django.utils import timezone

from apps.accounts.models import ApiKey, Desk, User
from apps.accounts.services import people, second_person
from apps.accounts.types import Principal
from apps.approvals.services import decide, signed_quotes
from apps.approvals.types import Seen, VoteResult, tier_text
from apps.connectors.models import Connection
from apps.connectors.services import connections, sync
from apps.connectors.types import OrderType, Side, TimeInForce
from apps.dashboard.services.demo_policy import DEMO_RULES
from apps.policies.models import PolicyVersion
from apps.policies.services import versions
from apps.policies.types import RuleRow
from apps.quotes.services import quotes
from apps.trades.models import Order, Proposal
from apps.trades.services import cancels, fills, orders, proposals
from apps.trades.services.approval import judge_again
from apps.trades.types import Intent, Narrative
from tests.factories.accounts import DeskFactory, UserFactory, issue_key
from tests.venues.simulator_process import SimulatorProcess

BTC = "BTC-USD"


@dataclass(kw_only=True)
class PaperDesk:
    """The desk and short ways to do with it what its people do."""

    desk: Desk
    connection: Connection
    simulator: SimulatorProcess
    trader: User
    approver: User
    approver2: User
    risk: User
    version: PolicyVersion
    key: ApiKey
    authorization: str

    @property
    def principal(self) -> Principal:
        """The trader's program: its key, and the trader behind it."""
        return Principal(user_id=self.trader.pk, api_key_id=self.key.pk, name=self.key.name)

    def intent(self, **changes: object) -> Intent:
        """Buy 0.01 BTC at a limit that would trade at once, unless told otherwise."""
        values: dict[str, object] = {
            "connection": self.connection.slug,
            "instrument": BTC,
            "side": Side.BUY,
            "order_type": OrderType.LIMIT,
            "time_in_force": TimeInForce.GTC,
            "quantity": Decimal("0.01"),
        }
        values |= changes
        if "limit_price" not in values and values["order_type"] is not OrderType.MARKET:
            values["limit_price"] = self.crossing_price(str(values["instrument"]), Side(str(values["side"])))
        return Intent(**values)  # type: ignore[arg-type]

    def crossing_price(self, code: str, side: Side) -> Decimal:
        """A price 20 bps through the other side of the book, on the grid."""
        quote = quotes.refresh(self.connection, [code])[code]
        factor = Decimal("1.002") if side is Side.BUY else Decimal("0.998")
        step = self.connection.instruments.get(code=code).price_increment
        return (quote.mid * factor // step) * step

    def propose(
        self,
        *,
        now: datetime | None = None,
        clock: Callable[[], datetime] | None = None,
        principal: Principal | None = None,
        **changes: object,
    ) -> Proposal:
        """Propose `intent(**changes)` by the key."""
        intent = self.intent(**changes)
        return proposals.propose(
            intent=intent,
            narrative=Narrative(rationale="Because the test says so."),
            principal=principal or self.principal,
            idempotency_key=str(uuid4()),
            now=now or timezone.now(),
            clock=clock,
        )

    def seen(self, proposal: Proposal, **changes: str) -> Seen:
        """What the decision page would carry now."""
        live = quotes.refresh(self.connection, [proposal.instrument])[proposal.instrument]
        judged = judge_again(Proposal.objects.get(pk=proposal.pk), now=timezone.now())
        tier = judged.tier
        values = {
            "digest": proposal.digest,
            "signed_quote": signed_quotes.sign(live, proposal_id=proposal.pk),
            "policy_version": str(judged.version.version_id) if judged.version else "",
            "tier": tier_text(tier) if tier else "",
        }
        return Seen(**(values | changes))

    def approve(self, proposal: Proposal, by: User | None = None, *, now: datetime | None = None) -> VoteResult:
        """One approval, by the approver unless told otherwise."""
        return decide.approve(
            proposal_id=proposal.pk,
            approver=by or self.approver,
            seen=self.seen(proposal),
            comment="",
            now=now or timezone.now(),
        )

    def execute(self, proposal: Proposal) -> str:
        """Run the execution task's service for the proposal's order."""
        return orders.execute(order_id=self.order_of(proposal).pk, clock=timezone.now)

    def poll(self, proposal: Proposal) -> str:
        return fills.poll_order(order_id=self.order_of(proposal).pk, now=timezone.now())

    def cancel(self, proposal: Proposal) -> str:
        """Run the cancel task's service for the proposal's order, and read what became of it."""
        cancels.send_cancel(order_id=self.order_of(proposal).pk, clock=timezone.now)
        return self.poll(proposal)

    def order_of(self, proposal: Proposal) -> Order:
        return Order.objects.get(proposal=proposal)

    def venue_orders(self, proposal: Proposal) -> list[dict[str, object]]:
        """Orders at the venue under this proposal's name."""
        return [o for o in self.simulator.orders() if o["client_order_id"] == str(proposal.client_order_id)]


def activate_policy(desk: Desk, author: User, second: User, rules: Sequence[RuleRow], now: datetime) -> PolicyVersion:
    """A set of the desk (made if needed) with these rules active, as two people do it."""
    made = desk.policy_sets.first() or versions.create_set(
        slug=f"{desk.slug}-policy", name=f"{desk.name} policy", desk_id=desk.pk, author=author, now=now
    )
    draft = versions.create_draft(policy_set_id=made.pk, author=author, now=now, rules=rules)
    request = versions.request_activation(version_id=draft.pk, requester=author, now=now)
    second_person.second(request_id=request.pk, seconder=second, now=now)
    return versions.activate(version_id=draft.pk, person=author, now=now)


def connect_paper(desk: Desk, simulator: SimulatorProcess, slug: str, now: datetime) -> Connection:
    """A paper connection to the simulator, with what it lists, holds and charges read."""
    connection = connections.create(
        draft=connections.Draft(
            slug=slug,
            name="Coinbase (paper)",
            desk=desk,
            environment="paper",
            api_base=simulator.url,
            key_name=simulator.key_name,
            secret=simulator.secret,
        ),
        actor=people.actor_of(UserFactory(username=f"operator-{uuid4().hex[:8]}", role="operator", desk=desk)),
        now=now,
    )
    sync.refresh_instruments(connection, now=now)
    sync.refresh_balances(connection, now=now)
    sync.refresh_fees(connection, now=now)
    return connection


def paper_desk(
    simulator: SimulatorProcess, *, rules: Sequence[RuleRow] = DEMO_RULES, now: datetime | None = None
) -> PaperDesk:
    """A fresh desk of its own, ready to trade on the simulator."""
    now = now or timezone.now()
    mark = uuid4().hex[:8]
    desk = DeskFactory(slug=f"desk-{mark}")
    people_of = {
        name: UserFactory(username=f"{name}-{mark}", role=role, desk=desk)
        for name, role in (
            ("trader", "trader"),
            ("approver", "approver"),
            ("approver2", "approver"),
            ("risk", "risk"),
        )
    }
    connection = connect_paper(desk, simulator, f"paper-{mark}", now)
    version = activate_policy(desk, people_of["risk"], people_of["approver"], rules, now)
    key, authorization = issue_key(owner=people_of["trader"], now=now, scopes=("propose", "read", "report", "halt"))
    connections.grant(connection=connection, api_key=key, actor=people.actor_of(people_of["risk"]), now=now)
    return PaperDesk(
        desk=desk,
        connection=connection,
        simulator=simulator,
        version=version,
        key=key,
        authorization=authorization,
        **people_of,
    )
