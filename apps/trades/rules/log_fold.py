"""What became of a proposal as its events alone tell it. Pure: facts in, a folded state out, nothing is looked up.

Numbers and times stay the texts they are in an event's bytes, so that a row is compared by the same text.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from apps.trades.types import OrderState

Facts = Mapping[str, Any]
FILL: Final = "order.fill"
FILL_FIELDS: Final = ("trade_type", "side", "quantity", "price", "fee", "fee_currency", "occurred_at")


@dataclass(slots=True)
class FoldedOrder:
    """An order by its events: its state, its id at the venue ("" while there is none), its fills by theirs."""

    state: str
    venue_order_id: str = ""
    fills: dict[str, dict[str, str]] = field(default_factory=dict)


@dataclass(slots=True)
class Folded:
    """A proposal by its events. `begun` are the fields it began with, `approved` those of its approval.

    `orders` are by their ids as text.
    """

    state: str = ""
    code: str = ""
    begun: Facts = field(default_factory=dict)
    approved: Facts | None = None
    orders: dict[str, FoldedOrder] = field(default_factory=dict)


def fold(subject: str, facts: Iterable[Facts]) -> Folded:
    """The events of the stream of the proposal `subject`, oldest first. Raises KeyError, TypeError or AttributeError
    where one is not what Aika writes."""
    folded = Folded()
    for fact in facts:
        payload = fact["payload"]
        if fact["subject"] == subject:
            if "state" in payload:
                _moved(folded, fact["kind"], payload)
        elif fact["kind"].startswith("order."):
            _of_order(folded.orders[fact["subject"]], fact["kind"], payload)
    return folded


def _moved(folded: Folded, kind: str, payload: Facts) -> None:
    folded.state = payload["state"]
    if kind in {"proposal.proposed", "proposal.denied"}:
        folded.begun = payload
        folded.code = next(iter(payload["codes"]), "") if kind == "proposal.denied" else ""
        return
    folded.code = payload["code"]
    if kind == "proposal.approved":
        folded.approved = payload
        folded.orders[payload["order"]] = FoldedOrder(OrderState.INITIALIZED.value)


def _of_order(order: FoldedOrder, kind: str, payload: Facts) -> None:
    if kind == FILL:
        order.fills[payload["venue_fill_id"]] = {name: payload[name] for name in FILL_FIELDS}
        return
    order.state = payload.get("state", order.state)
    order.venue_order_id = payload.get("venue_order_id") or order.venue_order_id
