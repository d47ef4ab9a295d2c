"""Whether an order the venue tells of is the one that was sent. Pure."""

from datetime import datetime
from decimal import Decimal

from apps.common.decimals import decimal_text, instant_text
from apps.connectors.types import OrderRequest, VenueOrder

Differing = dict[str, tuple[str, str]]


def differences(asked: OrderRequest, told: VenueOrder) -> Differing:
    """Each field, to (asked, told), in which the venue's order is another one. What it leaves out proves nothing.

    That an order is post-only is left out by some of the venue's answers, so that only a false claim of it counts.
    """
    pairs: dict[str, tuple[object, object]] = {
        "client_order_id": (asked.client_order_id, told.client_order_id or None),
        "instrument": (asked.instrument, told.instrument),
        "side": (asked.side.value, told.side.value),
        "order_type": (asked.order_type.value, told.order_type.value if told.order_type else None),
        "time_in_force": (asked.time_in_force.value, told.time_in_force.value if told.time_in_force else None),
        "quantity": (asked.quantity, told.quantity),
        "quote_quantity": (asked.quote_quantity, told.quote_quantity),
        "limit_price": (asked.limit_price, told.limit_price),
        "stop_price": (asked.stop_price, told.stop_price),
        "post_only": (asked.post_only, told.post_only or None),
        # To the second, which is what every venue keeps.
        "expires_at": (_second(asked.expires_at), _second(told.expires_at)),
    }
    return {
        name: (_text(wanted), _text(answered))
        for name, (wanted, answered) in pairs.items()
        if wanted is not None and answered is not None and wanted != answered
    }


def in_words(differing: Differing) -> str:
    """ "side: sent BUY, found SELL; limit_price: ..." """
    return "; ".join(f"{name}: sent {asked}, found {told}" for name, (asked, told) in sorted(differing.items()))


def _second(instant: datetime | None) -> datetime | None:
    return None if instant is None else instant.replace(microsecond=0)


def _text(value: object) -> str:
    if isinstance(value, Decimal):
        return decimal_text(value)
    return instant_text(value) if isinstance(value, datetime) else str(value)
