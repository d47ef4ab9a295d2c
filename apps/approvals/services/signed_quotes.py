"""The price a page shows, signed, so that a vote can prove which price its voter saw."""

from decimal import Decimal
from typing import Final
from uuid import UUID

from django.core import signing

from apps.approvals.types import SeenQuote
from apps.common.decimals import decimal_text, parse_decimal, parse_instant
from apps.common.decimals import instant_text as instant
from apps.common.errors import Conflict
from apps.connectors.types import Quote

SALT: Final = "aika.approvals.quote/1"


def sign(quote: Quote, *, proposal_id: UUID) -> str:
    """A token of the quote for the page of one proposal."""
    return signing.dumps(
        {
            "proposal": str(proposal_id),
            "instrument": quote.instrument,
            "bid": decimal_text(quote.bid),
            "ask": decimal_text(quote.ask),
            "received_at": instant(quote.received_at),
        },
        salt=SALT,
    )


def read(token: str, *, proposal_id: UUID) -> SeenQuote:
    """What the token says. Raises Conflict QUOTE_NOT_SIGNED for a token that is not ours, or of another proposal."""
    try:
        value = signing.loads(token, salt=SALT)
    except signing.BadSignature as error:
        raise _not_ours() from error
    if value["proposal"] != str(proposal_id):
        raise _not_ours()
    return SeenQuote(
        proposal_id=proposal_id,
        instrument=value["instrument"],
        bid=_number(value["bid"]),
        ask=_number(value["ask"]),
        received_at=parse_instant(value["received_at"], field="received_at"),
    )


def _number(text: str) -> Decimal:
    return parse_decimal(text, field="quote")


def _not_ours() -> Conflict:
    return Conflict(
        "QUOTE_NOT_SIGNED",
        "The price this vote carries was not shown by this page.",
        fix="Reload the page and decide on the price it shows.",
        field="signed_quote",
    )
