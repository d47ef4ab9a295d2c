"""The executor that everybody writes first: send, then write it down, with a new name for every try.

Kept so that the matrix proves itself: it must find two orders where this one makes them.
"""

import json
from uuid import UUID, uuid4

from django.db import transaction
from django.utils import timezone

from apps.audit.services import events
from apps.audit.types import Actor
from apps.common import fault_places as places
from apps.common import faults
from apps.common.errors import AikaError
from apps.connectors.services import venue
from apps.trades.models import Order
from apps.trades.types import OrderState
from config.celery import app

TRIES = 2


def execute(order_id: str, **extra: object) -> str:
    """Send it unless the row says that it was sent; try again after an error; write down what came back."""
    faults.point(places.TAKEN.label)
    order = Order.objects.select_related("connection").get(pk=UUID(order_id))
    if order.state != OrderState.INITIALIZED:
        return order.state
    for last in range(TRIES):
        body = json.loads(bytes(order.request_body)) | {"client_order_id": str(uuid4())}
        try:
            with faults.call(places.PLACE):
                placement = venue.connect(order.connection).place_order(json.dumps(body).encode())
            break
        except AikaError:
            if last + 1 == TRIES:
                raise
    with faults.commit(places.ANSWER):
        for state in (OrderState.SUBMITTED, OrderState.ACCEPTED):
            Order.objects.filter(pk=order.pk).update(state=state, venue_order_id=placement.venue_order_id)
            _record(order, state)
    faults.point(places.DONE.label)
    return OrderState.ACCEPTED


def _record(order: Order, state: OrderState) -> None:
    with transaction.atomic():
        events.record(
            stream=f"proposal:{order.proposal_id}",
            kind=f"order.{state.value.lower()}",
            actor=Actor.system("naive"),
            subject=str(order.pk),
            payload={"state": state.value},
            now=timezone.now(),
        )


def take_over() -> None:
    """Put it in the place of the executor, in this process and those forked from it."""
    app.tasks["trades.execute_trade"].run = execute
