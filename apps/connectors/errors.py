"""What a venue's answer means, where the common kinds do not say it.

A caller of `place_order` catches AlreadyExists and Mismatch before OutcomeUnknown: both are kinds of it, so that a
caller who knows neither still keeps the reservation and reconciles.
"""

from collections.abc import Mapping

from apps.common.errors import AikaError, Misconfigured, OutcomeUnknown, Unavailable
from apps.connectors.types import Placement, Venue


class Rejected(AikaError):
    """The venue refused, with documented proof: nothing came of the request. `reason` is the venue's own code."""

    http_status = 422

    def __init__(self, reason: str, message: str) -> None:
        super().__init__("VENUE_REJECTED", message or f"The venue refused the request: {reason}.", reason=reason)
        self.reason = reason


class RateLimited(Unavailable):
    """The venue (or our own limit before it) turned the request away unread. Nothing happened; wait."""


class CredentialsRefused(Misconfigured):
    """The venue does not take the key for this (401, 403). Nothing happened; an operator must look at the key."""


class ScopeMissing(CredentialsRefused):
    """The person does not let Aika do this in their account (any more). Nothing was sent, or the venue refused it."""

    def __init__(self, account: str, scope: str) -> None:
        super().__init__(
            "AUTHORISATION_LACKS_SCOPE",
            f"Aika may not place or cancel orders in {account}: its authorisation does not cover {scope}.",
            fix="Connect again on the authorisation's page, and allow it there.",
        )


class AuthoriserGone(CredentialsRefused):
    """Who let Aika into the account is not active here any more: nothing is placed there in their name."""

    def __init__(self, account: str) -> None:
        super().__init__(
            "AUTHORISER_INACTIVE",
            f"Whoever gave Aika access to {account} is not active here any more: nothing is placed in their name.",
            fix="Somebody who is active connects an account, and makes a connection with it.",
        )


class ReadOnly(Misconfigured):
    """Nothing is placed, changed or canceled at this venue: its connector only reads. Nothing was sent."""

    def __init__(self, venue: Venue) -> None:
        super().__init__(
            "VENUE_READ_ONLY",
            f"Aika only reads at {venue.shown}: it places, changes and cancels no order there. Nothing was sent.",
            fix="Trade on a connection to a venue that places orders; GET /api/v1/connectors says which do.",
        )


class AlreadyExists(OutcomeUnknown):
    """The venue already has an order with this client_order_id: find it and compare. Not a refusal."""

    def __init__(self, client_order_id: str, message: str = "") -> None:
        text = message or "The venue already has an order with this client order id."
        super().__init__("VENUE_ORDER_EXISTS", text, client_order_id=client_order_id)
        self.client_order_id = client_order_id


class Mismatch(OutcomeUnknown):
    """The venue accepted an order under our id that is not the one asked. `differences`: field to (asked, answered)."""

    def __init__(self, placement: Placement, differences: Mapping[str, tuple[str, str]]) -> None:
        told = "; ".join(f"{name}: asked {asked!r}, got {got!r}" for name, (asked, got) in sorted(differences.items()))
        super().__init__(
            "VENUE_ORDER_MISMATCH",
            f"The venue answered with another order than the one sent ({told}).",
            fix="Halt the connection, read the order at the venue, and cancel it if it is not wanted.",
            venue_order_id=placement.venue_order_id,
        )
        self.placement = placement
        self.differences = dict(differences)
