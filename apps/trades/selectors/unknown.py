"""What is known of an order whose fate is not: for the page on which people look at it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

from apps.accounts.selectors import desks_of, open_requests
from apps.trades.models import Inquiry, Order
from apps.trades.types import InquiryAnswer, InquiryKind, OrderState

if TYPE_CHECKING:
    from apps.accounts.models import SecondPersonRequest, User

INQUIRIES_SHOWN_MAX: Final = 30
# Of a search that was not meant to send, or came too soon to.
_NO_REASON: Final = ("", "TOO_SOON", "ONLY_LOOKED")


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """A request that says which order at the venue it is."""

    request: "SecondPersonRequest"
    venue_order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownOrder:
    """The order, what was asked about it (newest first), and what people have asked each other. `held` is the last
    search that says why it was not sent again."""

    order: Order
    inquiries: Sequence[Inquiry]
    asked_in_all: int
    held: Inquiry | None
    replays: int
    abandoning: "SecondPersonRequest | None"
    namings: Sequence[Naming]

    @property
    def is_unknown(self) -> bool:
        return self.order.state == OrderState.UNKNOWN

    def is_being_asked(self, now: datetime) -> bool:
        """Whether somebody has the turn right now."""
        return self.order.lease_until is not None and self.order.lease_until > now


def order_of_desk(order_id: UUID, person: "User") -> Order | None:
    """The order, if this person sits at its desk (or is a superuser)."""
    rows = Order.objects.select_related("connection__desk", "proposal", "authority").filter(pk=order_id)
    return (rows if person.is_superuser else rows.filter(connection__desk__in=desks_of(person.pk))).first()


def unknown_order(order: Order, *, abandon_kind: str, attach_kind: str, subject: str, now: datetime) -> UnknownOrder:
    """Everything the page says."""
    rows = Inquiry.objects.filter(order=order).order_by("-id")
    scans = rows.filter(kind=InquiryKind.SCAN, answer=InquiryAnswer.NOT_FOUND)
    asked = {row.code: row.detail for row in rows.filter(kind=InquiryKind.PERSON, answer=InquiryAnswer.ASKED)}
    named = open_requests(attach_kind, now).filter(subject=subject)
    return UnknownOrder(
        order=order,
        inquiries=list(rows[:INQUIRIES_SHOWN_MAX]),
        asked_in_all=rows.count(),
        held=scans.exclude(code__in=_NO_REASON).first(),
        replays=rows.filter(kind=InquiryKind.REPLAY, answer=InquiryAnswer.ASKED).count(),
        abandoning=open_requests(abandon_kind, now).filter(subject=subject).first(),
        namings=[
            Naming(request=request, venue_order_id=asked[str(request.pk)])
            for request in named
            if str(request.pk) in asked
        ],
    )
