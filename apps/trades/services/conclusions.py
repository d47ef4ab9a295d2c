"""What two people may say of an order whose fate stays unknown: that it is given up, or which one it is at the venue.

Nobody concludes from silence alone. Giving up needs a search that found nothing just now and a horizon that has passed;
naming an order needs the venue to tell one that is, field by field, what was sent. What the venue says in that moment
comes before what people say.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from django.conf import settings

from apps.accounts import selectors as people
from apps.accounts.services import second_person
from apps.accounts.services.people import actor_of
from apps.audit.services import alarms, events
from apps.common import canonical, faults
from apps.common import fault_places as places
from apps.common.errors import AikaError, Conflict, Denied, Forbidden, Invalid, NotFound
from apps.connectors.services import venue
from apps.connectors.types import VenueOrder
from apps.trades.models import Inquiry, Order
from apps.trades.rules import comparison
from apps.trades.selectors.proposals import locked_proposal
from apps.trades.services import attaching, budgeting, fills, lookups
from apps.trades.services.endings import stream_of
from apps.trades.services.lookups import Clock, Turn
from apps.trades.types import InquiryAnswer, InquiryKind, OrderState

if TYPE_CHECKING:
    from apps.accounts.models import SecondPersonRequest, User

ABANDON_KIND: Final = "order.abandon"
ATTACH_KIND: Final = "order.attach"
TTL: Final = timedelta(hours=1)
REASON_CHARS_MAX: Final = 500
# Who asks and who seconds: approvers, risk, operators.
PERMISSION: Final = "second_request"


def subject_of(order_id: UUID) -> str:
    """What both kinds of requests are about."""
    return f"order:{order_id}"


def abandon_digest(order: Order) -> str:
    """SHA-256 of what giving this order up would do."""
    return _digest(order, "ABANDONED", "")


def attach_digest(order: Order, venue_order_id: str) -> str:
    """SHA-256 of what naming this order at the venue would do."""
    return _digest(order, "ATTACHED", venue_order_id)


def may_be_abandoned_from(order: Order) -> datetime:
    """Before this it is still being looked for by itself alone."""
    return (order.submitted_at or order.created_at) + timedelta(seconds=settings.UNKNOWN_HORIZON_S)


def ask_to_abandon(*, order_id: UUID, requester: "User", reason: str, now: datetime) -> "SecondPersonRequest":
    """Ask a second person to give the order up.

    Raises Forbidden MAY_NOT_CONCLUDE, NotFound ORDER_UNKNOWN, Conflict ORDER_NOT_UNKNOWN, Invalid REASON_NEEDED, Denied
    TOO_SOON_TO_ABANDON, and what second_person.request raises.
    """
    order, said = _open_case(order_id, requester, reason)
    _beyond_horizon(order, now)
    return second_person.request(
        kind=ABANDON_KIND,
        subject=subject_of(order.pk),
        digest=abandon_digest(order),
        summary=(
            f"Give up order {order.client_order_id} ({order.side} {order.instrument}), which may be at the venue: what"
            f" it binds is freed. Sent {order.submitted_at:%Y-%m-%d %H:%M:%S} UTC. Why: {said}"
        ),
        requester=requester,
        now=now,
        ttl=TTL,
    )


def second_and_abandon(*, order_id: UUID, seconder: "User", clock: Clock) -> Order:
    """Second what somebody else asked for, look at the venue once more, and give the order up if it is not there.

    Raises as `ask_to_abandon` and second_person.second, NotFound NOT_ASKED, Conflict ORDER_FOUND where the venue has it
    after all (it is followed then, and nothing was given up), Conflict ORDER_BEING_ASKED, Unavailable where the venue
    cannot be asked.
    """
    order = _case(order_id, seconder)
    now = clock()
    _beyond_horizon(order, now)
    asked = people.open_request(kind=ABANDON_KIND, subject=subject_of(order.pk), digest=abandon_digest(order), now=now)
    if asked is None:
        raise NotFound("NOT_ASKED", "Nobody has asked for this order to be given up.", fix="Ask first.")
    turn = _turn(order_id, now)
    _look_once_more(turn, clock)
    return _with_turn(turn, clock, lambda at: _abandon(turn, asked.pk, seconder, at))


def ask_to_attach(
    *, order_id: UUID, venue_order_id: str, requester: "User", reason: str, clock: Clock
) -> "SecondPersonRequest":
    """Ask a second person to say that this is the order at the venue. It is read there and compared first.

    Raises as `ask_to_abandon` (but for the horizon), NotFound where the venue does not know it, Denied ORDER_DIFFERS
    where a field is another than was sent, Conflict VENUE_ORDER_TAKEN where it is another order of ours.
    """
    order, said = _open_case(order_id, requester, reason)
    told = _told(order, venue_order_id.strip())
    with faults.commit(places.CONCLUDE):
        return _ask_to_attach(order, told, requester, said, clock())


def _ask_to_attach(
    order: Order, told: VenueOrder, requester: "User", said: str, now: datetime
) -> "SecondPersonRequest":
    asked = second_person.request(
        kind=ATTACH_KIND,
        subject=subject_of(order.pk),
        digest=attach_digest(order, told.venue_order_id),
        summary=(
            f"Order {order.client_order_id} is {told.venue_order_id} at the venue: {attaching.in_words(told)}. Every"
            f" field the venue tells is what was sent. Why: {said}"
        ),
        requester=requester,
        now=now,
        ttl=TTL,
    )
    # What the second person's page is made from: which order at the venue this request names.
    Inquiry.objects.create(
        order=order,
        kind=InquiryKind.PERSON,
        answer=InquiryAnswer.ASKED,
        fence=order.fence,
        asked_at=now,
        code=str(asked.pk),
        detail=told.venue_order_id,
    )
    return asked


def second_and_attach(*, order_id: UUID, venue_order_id: str, seconder: "User", clock: Clock) -> Order:
    """Second what somebody else asked for: read the order at the venue again, compare it, and follow it from now on.

    Raises as `ask_to_attach` and second_person.second, and NotFound NOT_ASKED.
    """
    order = _case(order_id, seconder)
    told = _told(order, venue_order_id)
    now = clock()
    digest = attach_digest(order, told.venue_order_id)
    asked = people.open_request(kind=ATTACH_KIND, subject=subject_of(order.pk), digest=digest, now=now)
    if asked is None:
        raise NotFound("NOT_ASKED", "Nobody has asked for this order to be named so.", fix="Ask first.")
    turn = _turn(order_id, now)
    return _with_turn(turn, clock, lambda at: _attach(turn, told, asked.pk, digest, seconder, at))


def _case(order_id: UUID, person: "User") -> Order:
    if not people.holds(person, PERMISSION):
        raise Forbidden("MAY_NOT_CONCLUDE", "You may not say what became of an order.")
    order = Order.objects.select_related("connection__desk", "proposal").filter(pk=order_id).first()
    if order is None:
        raise NotFound("ORDER_UNKNOWN", "There is no such order.")
    if order.state != OrderState.UNKNOWN:
        raise Conflict(
            "ORDER_NOT_UNKNOWN",
            f"The order is {order.get_state_display().lower()}: its fate is known.",
            fix="Look at it again.",
            state=order.state,
        )
    return order


def _open_case(order_id: UUID, person: "User", reason: str) -> tuple[Order, str]:
    order, said = _case(order_id, person), reason.strip()[:REASON_CHARS_MAX]
    if not said:
        raise Invalid("REASON_NEEDED", "Say why.", fix="Write one sentence.", field="reason")
    return order, said


def _beyond_horizon(order: Order, now: datetime) -> None:
    opens = may_be_abandoned_from(order)
    if now < opens:
        raise Denied(
            "TOO_SOON_TO_ABANDON",
            f"The venue may still show it. It can be given up from {opens:%H:%M:%S} UTC on.",
            fix="Wait; it is looked for meanwhile.",
        )


def _digest(order: Order, becomes: str, venue_order_id: str) -> str:
    value = {
        "order": order.pk,
        "client_order_id": order.client_order_id,
        "request_digest": order.request_digest,
        "becomes": becomes,
        "venue_order_id": venue_order_id,
    }
    return canonical.digest(canonical.encode("aika.order-conclusion/1", value))


def _told(order: Order, venue_order_id: str) -> VenueOrder:
    connector = venue.connect(order.connection)
    with faults.call(places.READ_ORDER):
        told = connector.order(venue_order_id)
    if differing := attaching.differing(order, told):
        raise Denied(
            "ORDER_DIFFERS",
            f"That is not the order that was sent: {comparison.in_words(differing)}.",
            fix="Look for the right one at the venue.",
        )
    if Order.objects.filter(connection_id=order.connection_id, venue_order_id=told.venue_order_id).exists():
        raise Conflict("VENUE_ORDER_TAKEN", "That is another order of ours.", fix="Look at the venue again.")
    return told


def _turn(order_id: UUID, now: datetime) -> Turn:
    turn = lookups.take_turn(order_id, now, due_only=False)
    if turn is None:
        raise Conflict(
            "ORDER_BEING_ASKED", "The venue is being asked about it in this moment.", fix="Look again in half a minute."
        )
    return turn


def _look_once_more(turn: Turn, clock: Clock) -> None:
    """Raises where the order is found, or the venue cannot be asked; the turn is given back then.

    Another order under its name, which was never booked, does not keep it from being given up once it has ended.
    """
    try:
        seen = lookups.look(turn, clock)
    except AikaError as error:
        now = clock()
        unread = InquiryAnswer.UNREADABLE
        lookups.write_unfound(turn, unread, now, until=now, code=error.code, detail=error.message)
        raise
    if not seen.found:
        return
    if lookups.book_found(turn, seen, clock) != OrderState.UNKNOWN:
        raise Conflict(
            "ORDER_FOUND", "The venue has it after all: it is followed from here on.", fix="Look at it again."
        )
    if not all(told.state.is_final for told in seen.found):
        raise Conflict(
            "ORDER_DIFFERS",
            "An order under this name works at the venue, and it is not the one that was sent.",
            fix="Cancel it at the venue first.",
        )


def _with_turn(turn: Turn, clock: Clock, conclude: Callable[[datetime], Order]) -> Order:
    """Conclude in one transaction; where that is refused, the turn is given back and the search goes on."""
    try:
        with faults.commit(places.CONCLUDE):
            return conclude(clock())
    except AikaError:
        with faults.commit(places.CONCLUDE):
            lookups.release(turn, clock())
        raise


def _abandon(turn: Turn, request_id: UUID, seconder: "User", now: datetime) -> Order:
    locked_proposal(turn.proposal_id)
    order = Order.objects.get(pk=turn.order_id)
    second_person.second(request_id=request_id, seconder=seconder, now=now)
    used = second_person.use(kind=ABANDON_KIND, subject=subject_of(order.pk), digest=abandon_digest(order), now=now)
    reason = "Given up by two people: the venue has no such order."
    moved = Order.objects.filter(pk=order.pk, state=OrderState.UNKNOWN, fence=turn.fence).update(
        state=OrderState.ABANDONED,
        closed_at=now,
        lease_until=None,
        next_attempt_at=None,
        reason_code="ABANDONED",
        reason=reason,
    )
    if moved != 1:
        raise Conflict("ORDER_MOVED", "The order moved in this moment.", fix="Look at it again.")
    budgeting.follow(order_id=order.pk, now=now)
    lookups.write_inquiry(turn, InquiryKind.PERSON, InquiryAnswer.NOT_FOUND, now, until=now, code="ABANDONED")
    events.record(
        stream=stream_of(order.proposal_id),
        kind="order.abandoned",
        actor=actor_of(seconder),
        subject=str(order.pk),
        payload={
            "state": OrderState.ABANDONED.value,
            "fence": turn.fence,
            "request": used.pk,
            "requester": used.requester_id,
            "seconder": used.seconder_id,
            "summary": used.summary,
        },
        now=now,
    )
    for code in attaching.UNKNOWN_ALARMS:
        alarms.clear_alarm(code=code, subject=subject_of(order.pk), now=now)
    order.refresh_from_db()
    return order


def _attach(turn: Turn, told: VenueOrder, request_id: UUID, digest: str, seconder: "User", now: datetime) -> Order:
    second_person.second(request_id=request_id, seconder=seconder, now=now)
    second_person.use(kind=ATTACH_KIND, subject=subject_of(turn.order_id), digest=digest, now=now)
    fills.book(order_id=turn.order_id, told=told, fills=(), now=now, identified=True)
    lookups.write_inquiry(turn, InquiryKind.PERSON, InquiryAnswer.FOUND, now, until=now, detail=told.venue_order_id)
    return Order.objects.get(pk=turn.order_id)
