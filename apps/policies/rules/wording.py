"""Answers put into words and texts: what a person reads, and what is kept with the decision."""

from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, localcontext
from functools import lru_cache

from apps.common import words
from apps.common.canonical import Encoded, table
from apps.common.decimals import PLACES_MAX, decimal_text
from apps.common.money import MINOR_PLACES, bps
from apps.policies.rules.always import (
    ALWAYS,
    APPROVAL_KEY,
    APPROVAL_TITLE,
    POLICY_KEY,
    POLICY_TITLE,
    READ_ONLY_KEY,
    READ_ONLY_TITLE,
    SIZE_LIMIT_KEY,
    SIZE_LIMIT_TITLE,
)
from apps.policies.rules.finding import Bps, Finding, Micros, Shown
from apps.policies.rules.judge import Answered
from apps.policies.rules.kinds import title_of
from apps.policies.types import Ask, LineVerdict, ReasonCode, RuleLine

# Wide enough for every number a rule computes; only what is shown is rounded, where it says so.
WIDE = Context(prec=400)
_FRACTION = Context(prec=30, rounding=ROUND_CEILING)
_FRACTION_MAX = Decimal("9999.9999")
_ALWAYS_TITLES: Mapping[str, str] = {
    **{key: title for key, title, _ in ALWAYS},
    SIZE_LIMIT_KEY: SIZE_LIMIT_TITLE,
    APPROVAL_KEY: APPROVAL_TITLE,
    POLICY_KEY: POLICY_TITLE,
    READ_ONLY_KEY: READ_ONLY_TITLE,
}


def lines_of(answers: list[Answered], ask: Ask) -> tuple[RuleLine, ...]:
    """Every answer as a line. Its own decimal context: the words must not depend on the caller's."""
    with localcontext(WIDE):
        return tuple(_worded(answer, ask) for answer in answers)


def _worded(answer: Answered, ask: Ask) -> RuleLine:
    finding = answer.finding
    if finding.verdict is LineVerdict.FAIL:
        return _line(answer, ask.reporting_currency, _subject(ask))
    if isinstance(finding.observed, Bps | Micros):
        return _line(answer, ask.reporting_currency, "")
    # Most of what is seen is seen again. Equal numbers that are written differently are told apart by their texts.
    return _kept(answer, ask.reporting_currency, str(finding.observed), str(finding.limit))


_LINE = (
    "code",
    "kind",
    "limit",
    "message",
    "observed",
    "operator",
    "room_left",
    "rule",
    "unit",
    "used_fraction",
    "verdict",
)


def lines_text(lines: Sequence[RuleLine]) -> Encoded:
    """Lines in canonical text: the fields of each by name."""
    return table(
        _LINE,
        [
            (
                *(line.code, line.kind, line.limit, line.message, line.observed, line.operator, line.room_left),
                *(line.rule, line.unit, line.used_fraction, line.verdict.value),
            )
            for line in lines
        ],
    )


def title_of_line(rule: str, kind: str) -> str:
    """What a line measures, in words: "This order at its worst price"."""
    return _ALWAYS_TITLES.get(rule) or title_of(kind)


@lru_cache(maxsize=1024)
def _kept(answer: Answered, reporting_currency: str, observed: str, limit: str) -> RuleLine:
    return _line(answer, reporting_currency, "")


def _line(answer: Answered, reporting_currency: str, subject: str) -> RuleLine:
    finding = answer.finding
    observed, limit = _number(finding.observed), _number(finding.limit)
    used = room = None
    if finding.operator == "<=" and isinstance(observed, Decimal) and isinstance(limit, Decimal):
        used, room = _used(observed, limit), decimal_text(max(limit - observed, Decimal(0)))
    return RuleLine(
        rule=answer.key,
        kind=answer.kind,
        code=str(finding.code),
        observed=_text(observed),
        operator=finding.operator,
        limit=_text(limit),
        unit=finding.unit,
        verdict=finding.verdict,
        message=_message(answer, observed, limit, reporting_currency, subject),
        used_fraction=used,
        room_left=room,
    )


def _number(shown: Shown) -> Decimal | str:
    if isinstance(shown, Bps):
        return bps(shown.value, shown.reference)
    if isinstance(shown, Micros):
        return Decimal(shown.span_us).scaleb(-6)
    if isinstance(shown, Decimal) and _places(shown) > PLACES_MAX:
        return shown.quantize(Decimal(1).scaleb(-PLACES_MAX), ROUND_CEILING)
    return shown


def _places(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


# Limits and increments come again with every ask; equal numbers have equal texts, so these are remembered.
_decimal_text = lru_cache(maxsize=1024)(decimal_text)
_grouped = lru_cache(maxsize=1024)(words.grouped)


def _text(shown: Decimal | str) -> str:
    return _decimal_text(shown) if isinstance(shown, Decimal) else shown


def _used(observed: Decimal, limit: Decimal) -> str | None:
    """Observed over limit, rounded up to four places, so that 1 means all of it and more than 1 means denied."""
    if limit <= 0:
        return None
    if observed <= 0:
        return "0"
    fraction = _FRACTION.divide(observed, limit)
    if fraction > _FRACTION_MAX:
        return decimal_text(_FRACTION_MAX)
    return decimal_text(fraction.quantize(Decimal("0.0001"), ROUND_CEILING))


def _message(
    answer: Answered, observed: Decimal | str, limit: Decimal | str, reporting_currency: str, subject: str
) -> str:
    finding = answer.finding
    if finding.verdict is LineVerdict.ERROR:
        about = f" ({finding.about})" if finding.about else ""
        return f"{_plain(finding.code)}{about}."
    if finding.said:
        return finding.said
    least = finding.operator == ">="  # what must be at least so much is rounded down, against the order
    seen = _shown(observed, finding, reporting_currency, up=not least)
    bound = _shown(limit, finding, reporting_currency, up=least)
    if finding.tier is not None:
        return _approval_sentence(finding)
    if finding.verdict is LineVerdict.FAIL:
        word = _FAILED.get(finding.code)
        return word(subject, seen, bound, finding.unit) if word else finding.code.sentence
    if finding.verdict is LineVerdict.NOT_APPLICABLE or finding.code is not ReasonCode.WITHIN_LIMIT:
        return finding.code.sentence
    title = title_of_line(answer.key, answer.kind)
    unit = f" {finding.unit}" if finding.unit else ""
    if finding.operator == "<=":
        return f"{title}: {seen}{unit}, at most {bound}."
    if finding.operator == ">=":
        return f"{title}: {seen}{unit}, at least {bound}."
    return f"{title}: {seen}{unit}." if seen else f"{title}: nothing against it."


def _approval_sentence(finding: Finding) -> str:
    tier = finding.tier
    assert tier is not None  # noqa: S101  the caller looked
    if tier.needed == 0:
        return "Nobody has to approve an order of this worth, where approvals are switched off for paper."
    people = "One person" if tier.needed == 1 else f"{words.count(tier.needed).capitalize()} people"
    shown = ", with a second factor" if tier.second_factor else ""
    written = ", each saying what is different this time" if tier.difference else ""
    return f"{people} must approve{shown}{written}: {words.listed(tier.roles, word='or')}."


def _plain(code: ReasonCode) -> str:
    return code.sentence.rstrip(".")


def _shown(value: Decimal | str, finding: Finding, reporting_currency: str, *, up: bool) -> str:
    """Money with two decimals and other amounts with at most eight, rounded against the order; the rest as it is."""
    if not isinstance(value, Decimal):
        return value
    rounding = ROUND_CEILING if up else ROUND_FLOOR
    if finding.unit == "bps":
        return _grouped(value, places=1, rounding=rounding)
    if finding.operator == "multiple of":
        return _grouped(value)
    if finding.unit == reporting_currency:
        return _grouped(value, places=2, rounding=rounding)
    return _grouped(value, places=MINOR_PLACES, rounding=rounding) if _long(value) else _grouped(value)


def _long(value: Decimal) -> bool:
    return _places(value) > MINOR_PLACES


def _subject(ask: Ask) -> str:
    if ask.quantity is not None:
        return f"{words.grouped(ask.quantity)} {ask.instrument}"
    spent = "" if ask.quote_quantity is None else f" for {words.money(ask.quote_quantity)} {ask.quote_currency}"
    return f"{ask.instrument}{spent}"


# Subject, observed, limit, unit. A denial says what was seen and what is allowed.
_FAILED: Mapping[ReasonCode, Callable[[str, str, str, str], str]] = {
    ReasonCode.TRADING_HALTED: lambda s, o, m, u: "Trading is halted. Nothing is sent until it is resumed.",
    ReasonCode.ONLY_REDUCING: lambda s, o, m, u: (
        f"Only what shrinks the position is allowed now: at most {m} {u}, and this is {o}."
    ),
    ReasonCode.VENUE_READ_ONLY: lambda s, o, m, u: (
        f"Aika only reads at {o} and places no order there. No size, price or person changes that."
    ),
    ReasonCode.INSTRUMENT_NOT_ALLOWED: lambda s, o, m, u: f"{o} is not among the allowed instruments: {m}.",
    ReasonCode.INSTRUMENT_RESTRICTED: lambda s, o, m, u: f"{o} is on the restricted list.",
    ReasonCode.INSTRUMENT_NOT_TRADABLE: lambda s, o, m, u: f"The venue does not trade {o} now.",
    ReasonCode.INSTRUMENT_CANCEL_ONLY: lambda s, o, m, u: f"The venue takes only cancellations for {o} now.",
    ReasonCode.INSTRUMENT_LIMIT_ONLY: lambda s, o, m, u: f"The venue takes only limit orders for {o} now.",
    ReasonCode.INSTRUMENT_POST_ONLY: lambda s, o, m, u: f"The venue takes only post-only orders for {o} now.",
    ReasonCode.ORDER_TYPE_NOT_ALLOWED: lambda s, o, m, u: f"{o} is not allowed; these are: {m}.",
    ReasonCode.PRICE_OFF_INCREMENT: lambda s, o, m, u: f"The price {o} is not a multiple of {m} {u}.",
    ReasonCode.QUANTITY_OFF_INCREMENT: lambda s, o, m, u: f"{o} is not a multiple of {m} {u}.",
    ReasonCode.QUANTITY_BELOW_VENUE_MIN: lambda s, o, m, u: f"The venue takes at least {m} {u}, and this is {o}.",
    ReasonCode.QUANTITY_ABOVE_VENUE_MAX: lambda s, o, m, u: f"The venue takes at most {m} {u}, and this is {o}.",
    ReasonCode.NOTIONAL_BELOW_VENUE_MIN: lambda s, o, m, u: f"{s} is worth {o} {u}, and the venue takes at least {m}.",
    ReasonCode.NOTIONAL_ABOVE_VENUE_MAX: lambda s, o, m, u: f"{s} is worth {o} {u}, and the venue takes at most {m}.",
    ReasonCode.MAX_ORDER_QUANTITY: lambda s, o, m, u: f"The order is for {o} {u}, and at most {m} is allowed.",
    ReasonCode.MAX_ORDER_NOTIONAL: lambda s, o, m, u: f"{s} is worth {o} {u}, and at most {m} is allowed.",
    ReasonCode.MIN_NOTIONAL: lambda s, o, m, u: f"{s} is worth {o} {u}, and at least {m} is needed.",
    ReasonCode.PRICE_TOO_AGGRESSIVE: lambda s, o, m, u: (
        f"The price is {o} bps worse than the market, and at most {m} is allowed."
    ),
    ReasonCode.PRICE_TOO_FAR: lambda s, o, m, u: (
        f"The price is {o} bps from the middle of the market, and at most {m} is allowed."
    ),
    ReasonCode.QUOTE_STALE: lambda s, o, m, u: f"The price is {o} s old, and at most {m} s is allowed.",
    ReasonCode.FACT_FROM_FUTURE: lambda s, o, m, u: (
        f"The price carries a time {o} s ahead of our clock, and at most {m} s is allowed."
    ),
    ReasonCode.SPREAD_TOO_WIDE: lambda s, o, m, u: f"Bid and ask are {o} bps apart, and at most {m} is allowed.",
    ReasonCode.FUNDS_INSUFFICIENT: lambda s, o, m, u: f"{s} needs {o} {u}, fee included, and {m} is available.",
    ReasonCode.MAX_POSITION: lambda s, o, m, u: (
        f"With this and every open order filled, the position would be {o} {u}, and at most {m} is allowed."
    ),
    ReasonCode.MAX_GROSS_EXPOSURE: lambda s, o, m, u: (
        f"All positions together would be worth {o} {u}, and at most {m} is allowed."
    ),
    ReasonCode.DAILY_NOTIONAL: lambda s, o, m, u: f"{o} {u} would be traded today, and at most {m} is allowed.",
    ReasonCode.DAILY_LOSS: lambda s, o, m, u: f"{o} {u} were lost today, and at most {m} is allowed.",
    ReasonCode.DAILY_LOSS_LATCHED: lambda s, o, m, u: (
        f"The daily loss limit of {m} {u} was hit. It stays shut until two people reset it."
    ),
    ReasonCode.DRAWDOWN: lambda s, o, m, u: (
        f"What is held is worth {o} bps less than at its highest, and at most {m} is allowed."
    ),
    ReasonCode.DRAWDOWN_LATCHED: lambda s, o, m, u: (
        f"The limit of {m} bps below the highest worth was hit. It stays shut until two people reset it."
    ),
    ReasonCode.ORDER_RATE: lambda s, o, m, u: f"This would make {o} {u}, and at most {m} is allowed.",
    ReasonCode.DUPLICATE: lambda s, o, m, u: f"The same was asked a moment ago ({o} {u}).",
    ReasonCode.NO_APPROVAL_RULE: lambda s, o, m, u: (
        f"{s} is worth {o} {u}, and approvals are arranged up to {m} only."
        if m
        else ReasonCode.NO_APPROVAL_RULE.sentence
    ),
}
