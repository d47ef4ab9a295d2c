"""One digest over everything that may not change between the approval and the claim.

The columns that are sent are compared byte for byte; this finds a change of any other one too. It is written into the
audit event of the approval, so that it cannot be brought in line without breaking the chain.
"""

from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db.models import Model

from apps.audit.selectors import events_of, facts_of
from apps.common import canonical
from apps.trades.models import Authority, Order, Proposal

# What moves after the approval. Every other column, also one added later, is sealed.
_MOVING: Final[dict[type[Model], frozenset[str]]] = {
    Proposal: frozenset({"state", "ended_at", "end_code", "end_reason"}),
    Authority: frozenset(),
    Order: frozenset(
        {
            "state",
            "venue_order_id",
            "fence",
            "lease_until",
            "next_attempt_at",
            "filled_quantity",
            "average_fill_price",
            "fees",
            "fee_currency",
            "submitted_at",
            "accepted_at",
            "polled_at",
            "closed_at",
            "cancel_requested_at",
            "cancel_requested_by",
            "cancel_reason",
            "cancel_attempts",
            "cancel_next_at",
            "reason_code",
            "reason",
        }
    ),
}


def sealed_columns(model: type[Model]) -> tuple[str, ...]:
    """The columns of a model that the seal holds."""
    moving = _MOVING[model]
    return tuple(field.attname for field in model._meta.concrete_fields if field.attname not in moving)


def seal_of(proposal: Proposal, authority: Authority, order: Order) -> str:
    """SHA-256 over the sealed columns of the three rows, as 64 hex characters."""
    rows = {"proposal": proposal, "authority": authority, "order": order}
    values = {
        name: {column: _text(getattr(row, column)) for column in sealed_columns(type(row))}
        for name, row in rows.items()
    }
    return canonical.digest(canonical.encode("aika.approved-rows/1", values))


def approved_seal(proposal_id: UUID) -> str:
    """The seal the approval of a proposal was recorded with; empty where there is no such event."""
    event = events_of(str(proposal_id)).filter(kind="proposal.approved").last()
    payload = facts_of(event).get("payload") if event is not None else None
    return str(payload.get("seal", "")) if isinstance(payload, dict) else ""


def _text(value: object) -> object:
    """Bytes by their digest, and integers as text: they may be larger than canonical bytes hold."""
    if isinstance(value, bytes | bytearray | memoryview):
        return canonical.digest(bytes(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is None or isinstance(value, bool | str | Decimal | datetime | UUID | list):
        return value
    raise TypeError(f"A {type(value).__name__} cannot be sealed.")
