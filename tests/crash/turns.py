"""What a client asks, and what the beat turns: the two ends of a run."""

from django.utils import timezone

from apps.accounts.services import idempotency
from apps.trades.models import Proposal
from apps.trades.services import intake
from apps.trades.types import Narrative
from config.beat import SCHEDULE, Periodic
from config.celery import app
from tests.crash.processes import take
from tests.factories.desk import PaperDesk

PATH = "/api/v1/trades/proposals"
KEY = "crash-matrix"
LONGEST_TURN_S = 60
# Not run in a run: whoever decides reads what has grown old himself.
LEFT_OUT = {"trades.refresh_market_facts"}


def propose(paper: PaperDesk, **changes: object) -> Proposal:
    """The client's request, with the key it keeps for this proposal."""
    principal = paper.principal
    answer = intake.propose_once(
        intent=paper.intent(**changes),
        narrative=Narrative(rationale="A run of the crash matrix."),
        supersedes=None,
        principal=principal,
        claim=idempotency.claim_of(principal_key=principal.reference, key=KEY, method="POST", path=PATH, body=b"{}"),
        word=lambda proposal: str(proposal.pk).encode(),
        now=timezone.now(),
    )
    return Proposal.objects.get(pk=bytes(answer.body).decode())


def turning() -> list[Periodic]:
    """What the beat starts often enough to matter for one order."""
    return [one for one in SCHEDULE if one.every_s <= LONGEST_TURN_S and one.task not in LEFT_OUT]


def beat_turn() -> None:
    """Everything of that, once."""
    for periodic in turning():
        app.tasks[periodic.task]()


def deliver() -> None:
    """What waits in the broker is done here and now: by the time a run settles nobody dies any more."""
    for queue in ("execution", "default"):
        for name, arguments in take(queue):
            app.tasks[name](**arguments)
