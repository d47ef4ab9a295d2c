"""Somebody with a shell on the database changes one field of what was approved, before it is claimed: nothing of it may
be sent. Each time it is undone again, so that the day goes on with the rows as they were."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.db.models import Model
from django.utils import timezone
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from apps.trades.models import Authority, Order, Proposal
from apps.trades.services import orders
from apps.trades.types import OrderState
from tests.factories.tampering import another, tamper, undone
from tests.scenarios.claims import Claims

# What moves on after the approval by what becomes of the order: lists and clocks, nothing that is sent or decided on.
# Named here anew, so that a column which the seal forgets is changed too.
MOVING = {
    Proposal: {"state", "ended_at", "end_code", "end_reason"},
    Authority: set[str](),
    Order: {
        *("state", "venue_order_id", "fence", "lease_until", "next_attempt_at", "submitted_at", "accepted_at"),
        *("filled_quantity", "average_fill_price", "fees", "fee_currency", "polled_at", "closed_at"),
        *("cancel_requested_at", "cancel_requested_by", "cancel_reason", "cancel_attempts", "cancel_next_at"),
        *("reason_code", "reason"),
    },
}


def frozen_columns(model: type[Model]) -> Sequence[str]:
    """All but those, their key, and what points to other rows."""
    fields = [field for field in model._meta.concrete_fields if not field.is_relation and not field.primary_key]
    return [field.attname for field in fields if field.attname not in MOVING[model]]


FROZEN = [(model, name) for model in (Proposal, Authority, Order) for name in frozen_columns(model)]


class Tampered(Claims):
    """A field of an approved row is another one when its order is claimed."""

    @precondition(lambda self: self.waiting().exists())
    @rule(column=st.sampled_from(FROZEN))
    def a_field_is_changed_before_the_claim(self, column: tuple[type[Model], str]) -> None:
        """7: what is stored is not what was approved."""
        model, name = column
        order = self.waiting().select_related("proposal", "authority").earliest("created_at")
        row: Model = {Proposal: order.proposal, Authority: order.authority, Order: order}[model]
        change: dict[str, Any] = {name: another(row, name, {})}
        if model is Proposal and name in {"quantity", "quote_quantity"}:
            change = {"quantity": None, "quote_quantity": Decimal(700)}
        before = len(self.creates())
        with undone():
            tamper(row, **change)
            state = orders.execute(order_id=order.pk, clock=timezone.now)
        assert len(self.creates()) == before, f"{model.__name__}.{name} was changed, and it was sent"
        assert state in {OrderState.CANCELED, OrderState.INITIALIZED}, state
        self.reached.add(f"{model.__name__} tampered with: {state}")

    def waiting(self) -> Any:
        return Order.objects.filter(connection=self.paper.connection, state=OrderState.INITIALIZED)
