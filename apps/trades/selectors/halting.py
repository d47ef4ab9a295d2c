"""How far a halt has come: what still rests at the venue, and what was cancelled since."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Q

from apps.trades.models import Order
from apps.trades.types import IN_FLIGHT_STATES, WORKING_STATES, OrderState


@dataclass(frozen=True, slots=True)
class Progress:
    """Orders of one connection: working at the venue now, sent with no answer yet, cancelled since the halt."""

    working: int
    in_flight: int
    canceled: int


NOTHING = Progress(0, 0, 0)


def progress(*, since: datetime) -> dict[UUID, Progress]:
    """By connection; one without any such order is not in it. One query."""
    rows = Order.objects.order_by().values_list("connection_id")
    counted = rows.annotate(
        working=Count("pk", filter=Q(state__in=WORKING_STATES)),
        in_flight=Count("pk", filter=Q(state__in=IN_FLIGHT_STATES)),
        canceled=Count("pk", filter=Q(state=OrderState.CANCELED, closed_at__gte=since)),
    ).filter(Q(state__in=WORKING_STATES | IN_FLIGHT_STATES) | Q(state=OrderState.CANCELED, closed_at__gte=since))
    return {connection_id: Progress(*counts) for connection_id, *counts in counted}
