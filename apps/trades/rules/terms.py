"""Terms: from an intent, to bytes and back, and on to the request a venue gets. All pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID, uuid5

from apps.common import canonical
from apps.common.decimals import parse_decimal, parse_instant
from apps.common.errors import Invalid, Misconfigured
from apps.connectors.types import Environment, OrderRequest, OrderType, Side, TimeInForce
from apps.trades.types import TERMS_SCHEMA, Intent, Terms

# Names client_order_ids. Changing it would give an approved order a second identity at the venue.
CLIENT_ORDER_NAMESPACE: Final = UUID("6f1d7f2e-55a4-5b0f-9d5a-6a1c0f6b7a11")
APPROVAL_WAIT_QUICK_S: Final = 15 * 60
APPROVAL_WAIT_RESTING_S: Final = 24 * 3600
APPROVAL_WAIT_MIN_S: Final = 30
NOT_AFTER_S_MAX: Final = 30 * 24 * 3600

_TIMES_IN_FORCE: Final[Mapping[OrderType, frozenset[TimeInForce]]] = {
    OrderType.MARKET: frozenset({TimeInForce.IOC}),
    OrderType.LIMIT: frozenset({TimeInForce.GTC, TimeInForce.GTD, TimeInForce.IOC, TimeInForce.FOK}),
    OrderType.STOP_LIMIT: frozenset({TimeInForce.GTC, TimeInForce.GTD}),
}
_RESTING: Final = frozenset({TimeInForce.GTC, TimeInForce.GTD})


def check_intent(intent: Intent, *, now: datetime) -> None:
    """Raise Invalid, naming the field, for an intent that no venue could take. Limits are policy's business."""
    _check_time_in_force(intent)
    _check_size(intent)
    _check_prices(intent)
    _check_times(intent, now)


def _check_time_in_force(intent: Intent) -> None:
    allowed = _TIMES_IN_FORCE[intent.order_type]
    if intent.time_in_force not in allowed:
        names = ", ".join(sorted(allowed))
        raise Invalid(
            "TIME_IN_FORCE_NOT_POSSIBLE",
            f"A {intent.order_type} order cannot be {intent.time_in_force}.",
            fix=f"Use one of: {names}.",
            field="time_in_force",
        )
    if intent.post_only and not (intent.order_type is OrderType.LIMIT and intent.time_in_force in _RESTING):
        raise Invalid(
            "POST_ONLY_NOT_POSSIBLE",
            "Only a LIMIT order that may rest (GTC or GTD) can be post-only.",
            fix="Leave post_only out, or send a LIMIT order with GTC or GTD.",
            field="post_only",
        )


def _check_size(intent: Intent) -> None:
    if (intent.quantity is None) == (intent.quote_quantity is None):
        raise Invalid(
            "ONE_SIZE_NEEDED",
            "Exactly one of quantity (base currency) and quote_quantity (quote currency) is needed.",
            fix="Send quantity, or quote_quantity for a MARKET BUY.",
            field="quantity",
        )
    if intent.quote_quantity is not None and not (intent.order_type is OrderType.MARKET and intent.side is Side.BUY):
        raise Invalid(
            "QUOTE_QUANTITY_NOT_POSSIBLE",
            "quote_quantity goes with a MARKET BUY only.",
            fix="Send quantity in base currency.",
            field="quote_quantity",
        )
    for field in ("quantity", "quote_quantity"):
        _positive(getattr(intent, field), field)


def _check_prices(intent: Intent) -> None:
    wanted = {
        "limit_price": intent.order_type is not OrderType.MARKET,
        "stop_price": intent.order_type is OrderType.STOP_LIMIT,
    }
    for field, needed in wanted.items():
        value = getattr(intent, field)
        if needed and value is None:
            raise Invalid(
                "PRICE_NEEDED", f"A {intent.order_type} order needs {field}.", fix=f"Send {field}.", field=field
            )
        if value is not None and not needed:
            raise Invalid(
                "PRICE_NOT_POSSIBLE",
                f"A {intent.order_type} order has no {field}.",
                fix=f"Leave {field} out, or choose another order_type.",
                field=field,
            )
        _positive(value, field)


def _positive(value: Decimal | None, field: str) -> None:
    if value is not None and value <= 0:
        raise Invalid("NOT_POSITIVE", f"{field} must be above zero.", fix=f"Send a positive {field}.", field=field)


def _check_times(intent: Intent, now: datetime) -> None:
    if intent.time_in_force is TimeInForce.GTD and intent.not_after is None:
        raise Invalid(
            "NOT_AFTER_NEEDED", "A GTD order needs not_after.", fix="Send not_after in UTC.", field="not_after"
        )
    if intent.not_after is not None:
        if intent.not_after <= now + timedelta(seconds=APPROVAL_WAIT_MIN_S):
            raise Invalid(
                "NOT_AFTER_TOO_SOON",
                "not_after leaves no time for a person to decide.",
                fix=f"Choose a time at least {APPROVAL_WAIT_MIN_S} s ahead.",
                field="not_after",
            )
        if intent.not_after > now + timedelta(seconds=NOT_AFTER_S_MAX):
            raise Invalid(
                "NOT_AFTER_TOO_LATE",
                "not_after is more than 30 days ahead.",
                fix="Choose a nearer time.",
                field="not_after",
            )
    if intent.valid_for_s is not None and not APPROVAL_WAIT_MIN_S <= intent.valid_for_s <= APPROVAL_WAIT_RESTING_S:
        raise Invalid(
            "VALID_FOR_OUT_OF_RANGE",
            f"valid_for_s must be from {APPROVAL_WAIT_MIN_S} to {APPROVAL_WAIT_RESTING_S} seconds.",
            fix="Choose a time within that range, or leave it out.",
            field="valid_for_s",
        )


def approval_deadline(intent: Intent, *, not_after: datetime, now: datetime) -> datetime:
    """Until when people may decide: 15 minutes for what trades at once, 24 hours for what rests, at most not_after."""
    resting = intent.time_in_force in _RESTING
    wait = intent.valid_for_s or (APPROVAL_WAIT_RESTING_S if resting else APPROVAL_WAIT_QUICK_S)
    return min(now + timedelta(seconds=wait), not_after)


def last_instant(intent: Intent, *, now: datetime) -> datetime:
    """When the order may be sent, or rest at the venue, at the latest. Where the proposer named no time: the longest
    wait for people, to the whole second, which is what venues keep."""
    if intent.not_after is not None:
        return intent.not_after
    resting = intent.time_in_force in _RESTING
    last = now + timedelta(seconds=APPROVAL_WAIT_RESTING_S if resting else APPROVAL_WAIT_QUICK_S)
    return last.replace(microsecond=0)


def terms_bytes(terms: Terms) -> bytes:
    """The canonical bytes of the terms: what is hashed, shown, approved and sent."""
    return canonical.encode(
        TERMS_SCHEMA,
        {
            "base_currency": terms.base_currency,
            "connection": terms.connection,
            "connection_id": terms.connection_id,
            "environment": terms.environment,
            "instrument": terms.instrument,
            "limit_price": terms.limit_price,
            "not_after": terms.not_after,
            "order_type": terms.order_type,
            "post_only": terms.post_only,
            "quantity": terms.quantity,
            "quote_currency": terms.quote_currency,
            "quote_quantity": terms.quote_quantity,
            "side": terms.side,
            "stop_price": terms.stop_price,
            "time_in_force": terms.time_in_force,
            "venue": terms.venue,
        },
    )


def read_terms(raw: bytes) -> Terms:
    """The terms that stand in the bytes. Raises Misconfigured where they are not terms of a schema known here."""
    value = canonical.decode(raw)
    if value.get("schema") != TERMS_SCHEMA:
        raise Misconfigured("TERMS_SCHEMA_UNKNOWN", "These bytes are not terms this version of Aika can read.")

    def number(field: str) -> Decimal | None:
        return None if value[field] is None else parse_decimal(value[field], field=field)

    return Terms(
        connection_id=UUID(str(value["connection_id"])),
        connection=str(value["connection"]),
        venue=str(value["venue"]),
        environment=Environment(str(value["environment"])),
        instrument=str(value["instrument"]),
        base_currency=str(value["base_currency"]),
        quote_currency=str(value["quote_currency"]),
        side=Side(str(value["side"])),
        order_type=OrderType(str(value["order_type"])),
        time_in_force=TimeInForce(str(value["time_in_force"])),
        quantity=number("quantity"),
        quote_quantity=number("quote_quantity"),
        limit_price=number("limit_price"),
        stop_price=number("stop_price"),
        post_only=value["post_only"] is True,
        not_after=parse_instant(value["not_after"], field="not_after"),
    )


def client_order_id(*, environment: str, proposal_id: UUID, attempt: int) -> UUID:
    """The order's own name at the venue, fixed before anything is sent. Not derived from price or time."""
    return uuid5(CLIENT_ORDER_NAMESPACE, f"{environment}:{proposal_id}:{attempt}")


def order_request(terms: Terms, order_id: UUID) -> OrderRequest:
    """What the connector turns into bytes; a pure function of the terms and the client order id.

    What rests, rests until `not_after` and no longer, and the venue itself ends it then: neither a request that arrives
    late nor an order nobody can reach any more outlives what was approved. The other kinds end as they arrive.
    """
    rests = terms.time_in_force in _RESTING
    return OrderRequest(
        client_order_id=str(order_id),
        instrument=terms.instrument,
        side=terms.side,
        order_type=terms.order_type,
        time_in_force=TimeInForce.GTD if rests else terms.time_in_force,
        quantity=terms.quantity,
        quote_quantity=terms.quote_quantity,
        limit_price=terms.limit_price,
        stop_price=terms.stop_price,
        post_only=terms.post_only,
        expires_at=terms.not_after if rests else None,
    )
