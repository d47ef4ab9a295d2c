"""Orders whose fate is not known, made by the venue's own faults."""

from datetime import timedelta

from django.utils import timezone

from apps.trades.models import Order, Proposal
from apps.trades.services import resolution
from apps.trades.types import OrderState
from tests.factories.desk import PaperDesk


def unknown(paper: PaperDesk, fault: str, **changes: object) -> Proposal:
    """An approved proposal whose order was claimed and whose request ended in this fault."""
    proposal = paper.propose(**changes)
    paper.approve(proposal)
    numbers = {} if fault in {"reset-before", "reset-after", "garbage", "truncated"} else {"seconds": "0"}
    if fault == "late-arrival":
        numbers = {"seconds": "600"}
    paper.simulator.add_fault("create", fault, **numbers)
    assert paper.execute(proposal) == OrderState.UNKNOWN
    return proposal


def resolve(paper: PaperDesk, proposal: Proposal, *, after_s: int = 0) -> str:
    """One look for the proposal's order, due or not, as if it were `after_s` seconds later."""
    return resolution.resolve(
        order_id=paper.order_of(proposal).pk,
        clock=lambda: timezone.now() + timedelta(seconds=after_s),
        due_only=False,
    )


def inquiries(order: Order) -> list[str]:
    """ "SCAN NOT_FOUND TOO_SOON", oldest first."""
    return [f"{row.kind} {row.answer} {row.code}".strip() for row in order.inquiries.order_by("id")]
