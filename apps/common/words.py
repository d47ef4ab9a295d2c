"""Numbers and instants as people read them: `3,214.60`, `+12.0`, `11 min 42 s`, `14:46:00 UTC`.

Pages and messages only. What is stored, hashed or sent goes through `decimals` and `canonical`.
"""

import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

MINUS = "\u2212"
_ONES = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def grouped(value: Decimal, *, places: int | None = None, rounding: str = ROUND_HALF_EVEN) -> str:
    """`64,292.00`: thousands grouped, a true minus, `places` decimals or as many as the value carries."""
    if not value.is_finite():
        return "not known"
    if places is not None:
        value = value.quantize(Decimal(1).scaleb(-places), rounding=rounding)
    text = f"{value.normalize() if places is None else value:,f}"
    return f"{MINUS}{text[1:]}" if text.startswith("-") and value else text.removeprefix("-")


def money(value: Decimal) -> str:
    """Two decimals, at least: a price of `0.061234` keeps what it has, money of `3214.6` reads `3,214.60`."""
    return grouped(value, places=2)


def price(value: Decimal) -> str:
    """A price with all its decimals, never fewer than two."""
    exponent = value.normalize().as_tuple().exponent
    places = -exponent if isinstance(exponent, int) and exponent < -2 else 2
    return grouped(value, places=places)


def cost(value: Decimal) -> str:
    """What something costs or may lose, rounded up: against us."""
    return grouped(value, places=2, rounding=ROUND_CEILING)


def proceeds(value: Decimal) -> str:
    """What comes in, rounded down: against us."""
    return grouped(value, places=2, rounding=ROUND_FLOOR)


def result(value: Decimal) -> str:
    """A gain or a loss with its sign, rounded down: against us. Zero has no sign."""
    text = grouped(abs(value), places=2, rounding=ROUND_FLOOR if value > 0 else ROUND_CEILING)
    return f"+{text}" if value > 0 else f"{MINUS}{text}" if value < 0 else text


def signed(value: Decimal, *, places: int = 1) -> str:
    """`+12.0`, `−31.5`, `0.0`: the sign first."""
    text = grouped(abs(value), places=places)
    if not text.strip("0.,"):
        return text
    return f"+{text}" if value > 0 else f"{MINUS}{text}"


def percent(fraction: Decimal) -> str:
    """`92 %` of a fraction of 0.92, rounded up so that 99.6 % of a limit does not read as less than it is."""
    value = fraction * 100
    places = 0 if value >= 10 or value == 0 else 1
    return f"{grouped(value, places=places, rounding=ROUND_CEILING)} %"


def span(seconds: Decimal | int) -> str:
    """`0.4 s`, `42 s`, `11 min 42 s`, `21 h 14 min`, `4 days`. Rounded down: time left is never more than it reads."""
    if seconds < 10 and seconds != int(seconds):
        return f"{grouped(Decimal(seconds), places=1, rounding=ROUND_FLOOR)} s"
    whole = max(int(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3_600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 172_800:
        return f"{whole // 3_600} h {whole % 3_600 // 60} min"
    return f"{whole // 86_400} days"


def seconds_between(earlier: datetime, later: datetime) -> Decimal:
    """Exact seconds from `earlier` to `later`, negative where the clock went back."""
    delta = later - earlier
    return Decimal(delta.days * 86_400 + delta.seconds) + Decimal(delta.microseconds) / 1_000_000


def ago(instant: datetime, now: datetime) -> str:
    """`3 min 18 s ago`; an instant ahead of our clock reads `just now`."""
    seconds = seconds_between(instant, now)
    return "just now" if seconds < 1 else f"{span(int(seconds))} ago"


def clock(instant: datetime) -> str:
    """`14:46:00 UTC`."""
    return f"{instant.astimezone(UTC):%H:%M:%S} UTC"


def moment(instant: datetime, now: datetime) -> str:
    """`14:46 UTC` today, `23 Nov 11:48 UTC` on another day."""
    here, there = now.astimezone(UTC), instant.astimezone(UTC)
    day = "" if here.date() == there.date() else f"{there.day} {there:%b} "
    return f"{day}{there:%H:%M} UTC"


def count(number: int) -> str:
    """`no`, `one`, `five`, ... `twelve`, then digits: a number inside a sentence."""
    return _ONES[number] if 0 <= number < len(_ONES) else str(number)


def listed(items: Sequence[str], *, word: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {word} {items[-1]}"


def bare_code(character: str) -> str:
    """`[U+202E]`."""
    return f"[U+{ord(character):04X}]"


def is_hidden(character: str) -> bool:
    """Whether a character steers text without being seen: control, format and direction marks, odd separators.

    Line feed and tab stay what they are. Unassigned and private characters count as hidden: no font shows them.
    """
    if character in "\n\t":
        return False
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
