"""A vote carries the price its page showed, and nobody can make one up."""

import base64
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pytest
from django.core import signing

from apps.approvals.services import signed_quotes
from apps.common.errors import Conflict
from apps.connectors.types import Quote

AT = datetime(2026, 3, 2, 14, 46, 1, 123456, tzinfo=UTC)
QUOTE = Quote("BTC-USD", Decimal("63996.8"), Decimal("64003.20"), Decimal(1), Decimal(2), AT, AT)


def test_what_was_signed_is_read() -> None:
    proposal = uuid4()
    seen = signed_quotes.read(signed_quotes.sign(QUOTE, proposal_id=proposal), proposal_id=proposal)
    assert (seen.instrument, seen.bid, seen.ask, seen.received_at) == ("BTC-USD", QUOTE.bid, QUOTE.ask, AT)
    assert seen.mid == Decimal(64000)


def test_a_quote_of_another_page_is_not_taken() -> None:
    with pytest.raises(Conflict, match="QUOTE_NOT_SIGNED"):
        signed_quotes.read(signed_quotes.sign(QUOTE, proposal_id=uuid4()), proposal_id=uuid4())


def test_every_character_counts() -> None:
    proposal = uuid4()
    token = signed_quotes.sign(QUOTE, proposal_id=proposal)
    for at, character in enumerate(token):
        forged = token[:at] + ("A" if character != "A" else "B") + token[at + 1 :]
        with pytest.raises(Conflict, match="QUOTE_NOT_SIGNED"):
            signed_quotes.read(forged, proposal_id=proposal)
        with pytest.raises(Conflict, match="QUOTE_NOT_SIGNED"):
            signed_quotes.read(token[:at], proposal_id=proposal)


@pytest.mark.parametrize("junk", ["", ":", "a:b:c", "ü" * 40, "\x00", "x" * 100_000, "::::", "null"])
def test_junk(junk: str) -> None:
    with pytest.raises(Conflict, match="QUOTE_NOT_SIGNED"):
        signed_quotes.read(junk, proposal_id=uuid4())


def test_another_key_or_purpose_signs_nothing_here() -> None:
    proposal = uuid4()
    value = {
        "proposal": str(proposal),
        "instrument": "BTC-USD",
        "bid": "1",
        "ask": "2",
        "received_at": "2026-03-02T14:46:01.123456Z",
    }
    unsigned = base64.urlsafe_b64encode(repr(value).encode()).decode()
    for token in (
        signing.dumps(value, salt="another purpose"),
        signing.dumps(value, salt=signed_quotes.SALT, key="another key"),
        unsigned,
    ):
        with pytest.raises(Conflict, match="QUOTE_NOT_SIGNED"):
            signed_quotes.read(token, proposal_id=proposal)
    assert signed_quotes.read(signing.dumps(value, salt=signed_quotes.SALT), proposal_id=proposal).ask == 2
