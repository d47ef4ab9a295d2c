"""One run: a proposal is made, approved and sent, something stops somewhere, and the sweeps put it right."""

import time
import traceback
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from apps.audit.models import Event
from apps.audit.selectors import facts_of
from apps.trades.models import Order, Proposal
from apps.trades.types import OrderState
from tests.crash import judge
from tests.crash.acts import SETTLE_S_MAX, Acts
from tests.crash.cells import Cell, Step
from tests.crash.judge import Finding

SPOILT_LATER = {
    *(Step.POLL, Step.RESOLVE, Step.CANCEL, Step.CLEAR, Step.COMPARE, Step.RESTORE),
    *(Step.BEARER, Step.NARROW),
}


@dataclass
class Result:
    """What a run came to. Seconds by the run's own clock, and by the real one."""

    cell: Cell
    reached: bool
    state: str
    findings: list[Finding] = field(default_factory=list)
    alarmed: bool = False
    unknown_s: float | None = None
    settled_s: int = 0
    real_s: float = 0.0


class Run(Acts):
    """The run of one cell on a stage, judged."""

    def play(self) -> Result:
        """From the proposal to the judgement. A run that breaks off is a broken promise like any other."""
        try:
            return self._play()
        except Exception as error:  # noqa: BLE001  whatever it was: the soak goes on, and says so
            trace = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__}: {error} at {Path(trace.filename).name}:{trace.lineno}"
            return Result(cell=self.cell, reached=self.reached, state="", findings=[Finding(judge.BROKE_OFF, what)])

    def _play(self) -> Result:
        began = time.monotonic()
        self.stage.begin()
        if self.cell.kind and self.cell.step not in SPOILT_LATER:
            self.spoil()
        try:
            self.acts[self.cell.step]()
        finally:
            for child in self.children:
                child.kill()
        settled_s = self.settle(seconds_max=SETTLE_S_MAX)
        findings = judge.judge(self.stage.simulator)
        order = Order.objects.first()
        proposal = Proposal.objects.first()
        return Result(
            cell=self.cell,
            reached=self.reached,
            state=order.state if order else proposal.state if proposal else "",
            findings=findings,
            alarmed=any(map(judge.is_alarmed, judge.unresolved())),
            unknown_s=self.unknown_s(),
            settled_s=settled_s,
            real_s=time.monotonic() - began,
        )

    def unknown_s(self) -> float | None:
        """How long the order's outcome was not known, by the run's clock; None where it always was, or still is not."""
        order = Order.objects.first()
        if order is None:
            return None
        begun: datetime | None = None
        for event in Event.objects.filter(subject=str(order.pk)).order_by("id"):
            payload = facts_of(event)["payload"]
            state = payload.get("state") if isinstance(payload, dict) else None
            if state == OrderState.UNKNOWN:
                begun = begun or event.recorded_at
            elif state is not None and begun is not None:
                return (event.recorded_at - begun).total_seconds()
        return None
