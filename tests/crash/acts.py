"""What happens in a run: by step, which process has the fault, and what those beside it and after it do."""

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from apps.accounts.services import people
from apps.common import fault_places as places
from apps.common.decimals import instant_text
from apps.common.errors import AikaError, Conflict, Denied
from apps.common.tasks import publish
from apps.policies.services import trading_state
from apps.trades import tasks
from apps.trades.models import Order, Proposal
from apps.trades.services import cancels, run_leases
from apps.trades.services.orders import LEASE
from apps.trades.types import ProposalState
from config.celery import app
from tests.crash import judge
from tests.crash.bearers import DEAD_S, ENDING_S, TOKEN_S, Consent
from tests.crash.cells import FILLS_FIRST, SCAN, Cell, Delivery, How, Step
from tests.crash.processes import Child, Fault, fork, take, worker
from tests.crash.stage import Stage, began
from tests.crash.turns import beat_turn, deliver, propose, turning
from tests.factories.desk import BTC

SETTLE_S_MAX = 180
# By the run's clock: every second at first, when everything looks often, and then as a beat that lags.
STEPS_S = ((12, 1), (60, 5), (SETTLE_S_MAX, 10))
# After a first look of everything that looks for lost orders.
LATE_S = 50
DAY_S = 86_400
LOOKS_MAX = 5
RESTS = {Step.CANCEL, Step.CLEAR}
MID, RESTING, FALLEN = Decimal(64_000), Decimal(60_000), Decimal(59_000)


class Acts:
    """The processes of a run on a stage."""

    def __init__(self, stage: Stage, cell: Cell) -> None:
        self.stage, self.cell = stage, cell
        self.fault = Fault(cell.label, cell.how)
        self.reached = False
        self.children: list[Child] = []

    def fork(self, work: Callable[[], None], fault: Fault | None = None) -> Child:
        """A process that does not outlive the run."""
        self.children.append(fork(work, fault))
        return self.children[-1]

    @property
    def acts(self) -> dict[Step, Callable[[], None]]:
        return {
            Step.WEB: self.web_fails,
            Step.WORKER: self.execution_fails,
            Step.POLL: self.poll_fails,
            Step.LAPSE: self.lapse_fails,
            Step.RESOLVE: self.resolution_fails,
            Step.CANCEL: self.cancel_fails,
            Step.COMPARE: self.comparison_fails,
            Step.RESTORE: self.restored,
            Step.POSTPONE: self.postpone_fails,
            Step.HALT: self.halt_fails,
            Step.CLEAR: self.clearing_fails,
            Step.BEARER: self.bearer_fails,
            Step.NARROW: self.bearer_fails,
            Step.EXPIRE: self.expiry_fails,
        }

    def spoil(self) -> None:
        """The venue's trouble of this cell."""
        numbers = {"late-arrival": "3600", "slow-listing": "3600"}
        extra = {"rows": 1} if self.cell.kind == "lost-fills" else {}
        seconds = numbers.get(self.cell.kind, "0")
        self.stage.simulator.add_fault(self.cell.endpoint, self.cell.kind, seconds=seconds, **extra)

    def propose(self) -> None:
        resting = {"limit_price": RESTING} if self.cell.step in RESTS else {}
        propose(self.stage.paper, **resting)

    def propose_and_approve(self) -> None:
        """What client and approver do, and do again until they have seen an answer. An approver who was too slow for
        the price on the page, as on a machine that is busy, looks again."""
        for looks in range(1, LOOKS_MAX + 1):
            try:
                self.propose()
                proposal = Proposal.objects.get()
                if proposal.state == ProposalState.AWAITING_APPROVAL:
                    self.stage.paper.approve(proposal)
                return
            except AikaError as error:
                if Proposal.objects.exclude(state=ProposalState.AWAITING_APPROVAL).exists():
                    return
                if looks == LOOKS_MAX or not isinstance(error, Conflict | Denied):
                    raise

    def order(self) -> Order:
        return Order.objects.get()

    def run(self, work: Callable[[], None], fault: Fault | None = None) -> None:
        """One process, from fork to end."""
        child = self.fork(work, fault)
        child.wait()
        self.reached |= child.reached

    def web_fails(self) -> None:
        """Client and approver repeat what got no answer; their second try may come while the first still runs."""
        first = self.fork(self.propose_and_approve, self.fault)
        second = self.fork(self.propose_and_approve) if self.cell.delivery is Delivery.TWICE else None
        first.wait()
        self.reached = first.reached
        if second is not None:
            second.wait()
        self.propose_and_approve()
        if self.cell.delivery is Delivery.REDELIVERED:
            self.propose_and_approve()
            publish("trades.execute_trade", order_id=self.order().pk)
        if self.cell.delivery is not Delivery.LOST:
            self.run(worker("execution"))
        else:
            take("execution")

    def execution_fails(self) -> None:
        self.propose_and_approve()
        self.worker_fails("execution", "trades.execute_trade", order_id=self.order().pk)

    def worker_fails(self, queue: str, task: str, **ids: UUID | str) -> None:
        """A worker stops at its fault. Beside it or after it another one has the same message, or nobody has."""
        again = partial(publish, task, **ids)
        if self.cell.delivery is Delivery.TWICE:
            again()
        workers = [self.fork(worker(queue), self.fault)]
        if self.cell.delivery is Delivery.TWICE:
            workers.append(self.fork(worker(queue)))
        if self.cell.how is How.HOLD:
            self.while_held(workers[0], again, queue)
        for child in workers:
            child.wait()
        self.reached |= workers[0].reached
        if self.cell.delivery is Delivery.REDELIVERED and self.cell.how is not How.HOLD:
            again()
            self.run(worker(queue))
        if self.cell.delivery is Delivery.LOST:
            take("execution")
            take("default")

    def while_held(self, child: Child, again: Callable[[], None], queue: str) -> None:
        """The lease of a worker that stands still runs out, others look after its order, and then it goes on."""
        if not child.held():
            return
        if self.cell.delivery is Delivery.REDELIVERED:
            again()
            self.run(worker(queue))
        compares = self.cell.step in {Step.COMPARE, Step.RESTORE}
        self.stage.clock.advance((run_leases.LEASE if compares else LEASE).total_seconds() + 1)
        self.settle(seconds_max=15)
        child.release()

    def poll_fails(self) -> None:
        self.propose_and_approve()
        self.run(worker("execution"))
        if self.cell.kind:
            self.spoil()
        self.worker_fails("default", "trades.poll_order", order_id=self.order().pk)

    def resolution_fails(self) -> None:
        """A worker dies with an order, before or after the venue has it; then what looks for the order fails too."""
        self.propose_and_approve()
        if self.cell.label in SCAN:
            if self.cell.endpoint == "create":
                self.spoil()
            self.run(worker("execution"), Fault("socket.answered", How.KILL))
        else:
            self.run(worker("execution"), Fault("claim.after_commit", How.KILL))
            if self.cell.endpoint == "create":
                self.spoil()
        if self.cell.endpoint == "list":
            self.spoil()
        self.stage.clock.advance(LEASE.total_seconds() + 1)
        app.tasks["trades.publish_pending"]()
        take("default")
        publish("trades.resolve_order", order_id=self.order().pk)
        self.worker_fails("default", "trades.resolve_order", order_id=self.order().pk)

    def cancel_fails(self) -> None:
        """An order rests; somebody wants it canceled, and what asks for that or does it fails."""
        self.stage.simulator.pin_price(BTC, MID)
        self.propose_and_approve()
        self.run(worker("execution"))
        if self.cell.kind == FILLS_FIRST:
            self.stage.simulator.pin_price(BTC, FALLEN)
        elif self.cell.kind:
            self.spoil()
        take("default")
        if self.cell.label.startswith(places.CANCEL_REQUEST.name):
            self.sweeps_fail(self.request_cancel)
            self.request_cancel()
        else:
            self.request_cancel()
            take("execution")
            publish("trades.cancel_order", order_id=self.order().pk)
            self.worker_fails("execution", "trades.cancel_order", order_id=self.order().pk)

    def request_cancel(self) -> None:
        """What a person does until there is an answer; that it has ended already is one."""
        try:
            cancels.request_cancel(
                order_id=self.order().pk,
                actor=people.actor_of(self.stage.paper.approver),
                reason="Crash matrix.",
                now=timezone.now(),
            )
        except AikaError as error:
            if error.code != "ORDER_ENDED":
                raise

    def comparison_fails(self) -> None:
        """A worker dies with an order that the venue has; the process that compares fails too."""
        self.propose_and_approve()
        if self.cell.endpoint == "create":
            self.spoil()
        self.run(worker("execution"), Fault("socket.answered", How.KILL))
        self.stage.clock.advance(settings.RECONCILE_EVERY_S + 1)
        self.compare()

    def restored(self) -> None:
        """The order left and filled; the database goes back to before it left, and everything starts again."""
        self.propose_and_approve()
        self.stage.keep("backup")
        if self.cell.endpoint == "create":
            self.spoil()
        self.run(worker("execution"))
        self.stage.clock.advance(30)
        self.stage.restore("backup")
        began(timezone.now())
        self.compare()
        publish("trades.execute_trade", order_id=self.order().pk)

    def compare(self) -> None:
        if self.cell.endpoint not in {"", "create"}:
            self.spoil()
        ids = {"connection_id": self.stage.paper.connection.pk, "needed_from": instant_text(tasks.STARTED_AT)}
        take("default")
        publish("trades.reconcile", **ids)
        self.worker_fails("default", "trades.reconcile", **ids)

    def lapse_fails(self) -> None:
        """A worker dies after its claim; then what finds its claim fails too."""
        self.propose_and_approve()
        # With trouble at the venue it dies once the venue has the order, else before anything was written.
        label = "socket.answered" if self.cell.kind else "claim.after_commit"
        self.run(worker("execution"), Fault(label, How.KILL))
        self.stage.clock.advance(LEASE.total_seconds() + 1)
        self.sweeps_fail()

    def sweeps_fail(self, work: Callable[[], None] | None = None) -> None:
        """The sweeps' process has the fault; it is run again, by two at once, or by the next turn of the beat."""
        work = work or beat_turn
        children = [self.fork(work, self.fault)]
        if self.cell.delivery is Delivery.TWICE:
            children.append(self.fork(work))
        for child in children:
            child.wait()
        self.reached = children[0].reached
        if self.cell.delivery is Delivery.REDELIVERED:
            self.run(work)

    def postpone_fails(self) -> None:
        """Prices cannot be read when the order should leave."""
        self.propose_and_approve()
        self.stage.clock.advance(5)
        self.stage.simulator.add_fault("best_bid_ask", "reset-before", count=3)
        self.worker_fails_at_once()

    def worker_fails_at_once(self) -> None:
        again = partial(publish, "trades.execute_trade", order_id=self.order().pk)
        if self.cell.delivery is Delivery.TWICE:
            again()
        self.run(worker("execution"), self.fault)
        if self.cell.delivery is Delivery.REDELIVERED:
            again()
        if self.cell.delivery is Delivery.LOST:
            take("execution")
        else:
            self.run(worker("execution"))

    def halt_fails(self) -> None:
        """Somebody halts while a request is about to leave; the process that halts fails."""
        self.propose_and_approve()
        flying = self.fork(worker("execution"), Fault("place.before_call", How.HOLD))
        stands = flying.held()
        halting = [self.fork(self.halt, self.fault)]
        if self.cell.delivery is Delivery.TWICE:
            halting.append(self.fork(self.halt))
        for child in halting:
            child.wait()
        self.reached = halting[0].reached
        if self.cell.delivery is Delivery.REDELIVERED:
            self.run(self.halt)
        if stands:
            flying.release()
        flying.wait()

    def clearing_fails(self) -> None:
        """An order rests, and somebody halts; the pass that cancels what is open fails."""
        self.stage.simulator.pin_price(BTC, MID)
        self.propose_and_approve()
        self.run(worker("execution"))
        take("default")
        self.halt()
        take("execution")
        if self.cell.kind:
            self.spoil()
        ids = {"connection_id": self.stage.paper.connection.pk}
        publish("trades.clear_halted", **ids)
        self.worker_fails("execution", "trades.clear_halted", **ids)

    def halt(self) -> None:
        paper = self.stage.paper
        actor = people.actor_of(paper.trader)
        tighten = trading_state.reduce if self.cell.label.startswith(places.REDUCE.name) else trading_state.halt
        tighten(connection_id=paper.connection.pk, actor=actor, reason="Crash matrix.", now=timezone.now())

    def bearer_fails(self) -> None:
        """The order should leave by a consent whose access token ends; or whose person has taken back that it may. Who
        finds that fails; in the end that person connects again, where that is needed."""
        consent = Consent(self.stage)
        self.propose_and_approve()
        if self.cell.step is Step.NARROW:
            consent.narrow()
        else:
            # Who has no other token waits for the one who asks; where others work beside it, the old one serves them.
            self.stage.clock.advance(TOKEN_S + 1 if self.cell.delivery is Delivery.LOST else ENDING_S)
        if self.cell.kind:
            self.spoil()
        self.worker_fails("execution", "trades.execute_trade", order_id=self.order().pk)
        self.stage.clock.advance(DEAD_S)
        self.settle(seconds_max=DEAD_S)
        self.stage.simulator.clear_faults()
        consent.mend()

    def expiry_fails(self) -> None:
        """The clock steps a day ahead and, after the sweep failed, back: what ran out does not come to life."""
        self.propose()
        self.stage.clock.advance(DAY_S)
        self.sweeps_fail()
        if Proposal.objects.filter(state=ProposalState.EXPIRED).exists():
            self.stage.clock.advance(-DAY_S)
            try:
                self.stage.paper.approve(Proposal.objects.get())
            except AikaError:
                return
            raise AssertionError("An expired proposal was approved by a clock that went back.")

    def settle(self, *, seconds_max: int) -> int:
        """Let the beat turn until every order is final, at most so long by the run's clock. How long it took."""
        second, released = 0, False
        while second < seconds_max:
            step = next(step for until, step in STEPS_S if second < until)
            self.stage.clock.advance(step)
            before, second = second, second + step
            if second >= LATE_S and not released:
                released = True
                self.stage.simulator.release()
            for periodic in turning():
                if second // periodic.every_s > before // periodic.every_s:
                    app.tasks[periodic.task]()
                    deliver()
            if (second > LATE_S or not self.is_late) and judge.nothing_waits():
                break
        return second

    @property
    def is_late(self) -> bool:
        """Whether the venue still holds something back: the run is not over before that has come."""
        return self.cell.kind in {"late-arrival", "slow-listing"}
