"""What only the venue can tell: that an order is there once, and that it was refused. By its own log of what reached it
and what it answered, faults included."""

import base64
import json
from collections import Counter
from typing import Any

from hypothesis.stateful import invariant

from apps.audit.models import Event
from apps.trades.models import Inquiry, Order
from apps.trades.types import InquiryAnswer, InquiryKind, OrderState
from tests.factories.trading import sent
from tests.scenarios.promises import Promises

# What spoils no answer.
HARMLESS = {"", "latency", "slow-listing"}


def name_of(request: dict[str, Any]) -> str:
    """The client_order_id of a request to create an order."""
    return str(json.loads(base64.b64decode(request["body"]))["client_order_id"])


class VenueWords(Promises):
    """Requests and orders at the venue against what is on record of them."""

    @invariant()
    def each_is_at_the_venue_once_and_sent_again_only_by_a_replay(self) -> None:
        """9: one order for each intent, under its own name, and no request that no claim or replay accounts for."""
        times = Counter(create["client_order_id"] for create in self.creates())
        rows = Order.objects.filter(connection=self.paper.connection).values_list(
            "client_order_id", "pk", "proposal_id"
        )
        ours = {str(name): (pk, proposal) for name, pk, proposal in rows}
        assert set(times) <= set(ours), "sent under a name that no order has"
        asked = Inquiry.objects.filter(kind=InquiryKind.REPLAY, answer=InquiryAnswer.ASKED)
        claims = Event.objects.filter(kind="order.submitted", subject__in=[str(ours[name][0]) for name in times])
        may = Counter(map(str, asked.values_list("order_id", flat=True)))
        may += Counter(claims.values_list("subject", flat=True))
        for name, count in times.items():
            assert count <= may[str(ours[name][0])], (
                f"{count} requests, and {may[str(ours[name][0])]} claims and replays"
            )
        at_venue = [order["client_order_id"] for order in self.simulator.orders()]
        assert set(at_venue) <= set(times)
        for_each = Counter(ours[name][1] for name in at_venue)
        assert not for_each or max(for_each.values()) == 1, "two orders at the venue for one intent"
        assert all(row["bodies"] <= 1 for row in self.simulator.creates())

    @invariant()
    def silence_is_no_rejection(self) -> None:
        """11: nothing that lives at the venue counts as refused or never sent; and what counts as refused, the venue
        has refused in words that arrived."""
        statuses = {row["client_order_id"]: row["status"] for row in self.simulator.orders()}
        alive = {name for name, status in statuses.items() if status not in {"FAILED", "CANCELLED"}}
        closed = Order.objects.filter(state__in=[OrderState.REJECTED, OrderState.INITIALIZED])
        gone = Order.objects.filter(state=OrderState.CANCELED, venue_order_id="")
        for order in [*closed, *gone]:
            assert str(order.client_order_id) not in alive, f"it lives, and here it is {order.state}"
        rejected = [str(order.client_order_id) for order in closed if order.state == OrderState.REJECTED]
        if rejected:
            told = {name_of(request) for request in sent(self.paper) if is_refusal(request)}
            told |= {name for name, status in statuses.items() if status == "FAILED"}
            assert set(rejected) <= told, "it counts as refused, and the venue has not said so"


def is_refusal(request: dict[str, Any]) -> bool:
    """An answer that arrived whole, by which no order was made."""
    answered = request["status"] is not None and set(request["fault"].split(",")) <= HARMLESS
    return bool(answered and request["status"] < 500 and not request["created_order"] and not request["order_id"])
