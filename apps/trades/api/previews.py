"""What a preview says: policy's word, what it would cost, how it may be sized. Nothing of it is stored."""

from datetime import datetime
from decimal import Decimal
from typing import Final

from apps.common.decimals import instant_text
from apps.common.money import ceil_to, product
from apps.policies.types import FactKind
from apps.quotes.selectors.records import quote_record
from apps.trades.selectors.records import Record, evaluation_record, number
from apps.trades.services.judging import Judged

_PLACES: Final = Decimal("0.00000001")
_SIZING: Final = (
    "price_increment",
    "quantity_increment",
    "quote_increment",
    "min_quantity",
    "max_quantity",
    "min_notional",
    "max_notional",
)


def preview_record(judged: Judged, *, now: datetime) -> Record:
    """The answer to a preview. The fee is the worst case: everything taken from the book, at the worst price."""
    version, quote = judged.version, judged.quote
    facts = (fact for key, fact in judged.facts.items() if key.startswith(f"{FactKind.INSTRUMENT}:"))
    sizes = next(facts, None)
    return {
        "decision": evaluation_record(judged.evaluation, version_id=version.version_id if version else None),
        "expires_at": instant_text(judged.expires_at),
        "not_after": instant_text(judged.terms.not_after),
        "fees": _fees(judged),
        "sizing": None if sizes is None else {name: sizes.values[name] for name in _SIZING},
        "quote": None if quote is None else quote_record(quote, now=now),
    }


def _fees(judged: Judged) -> Record:
    terms, worst, rate = judged.terms, judged.evaluation.worst_price, judged.connection.fee_taker
    spent = terms.quote_quantity
    if terms.quantity is not None:
        spent = product(terms.quantity, worst) if worst is not None else None
    fee = ceil_to(product(spent, rate), _PLACES) if spent is not None and rate is not None else None
    return {
        "taker_rate": number(rate),
        "maker_rate": number(judged.connection.fee_maker),
        "worst_case": number(fee),
        "currency": terms.quote_currency,
    }
