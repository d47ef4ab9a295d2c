"""What the rule about similar trades says to a person."""

from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from typing import Final, NamedTuple

from apps.common import words

# For what is shown only: the rules themselves compute exactly, and would not round.
_SHOWN: Final = Context(prec=30, rounding=ROUND_HALF_EVEN)
_NAMES_MAX: Final = 8


class Look(NamedTuple):
    """One count of similar trades. `base` is the loss rate of the desk's others, from 0 to 1; `p` how probable it is
    that similar trades lose more often, None where there are none; `worst_r` the worst loss that shares a mistake with
    the order, in multiples of its planned risk.

    `name` is "now", "asked" (when it was proposed), or either with ":" and the unknown fact that was taken for bad.
    """

    name: str
    losses: int
    wins: int
    base: Decimal
    p: Decimal | None
    worst_r: Decimal | None


def sentence(
    look: Look,
    *,
    unknown: Sequence[str],
    window_days: int,
    severe_r: Decimal | None = None,
    shrinks: bool | None = None,
    denies: bool = False,
) -> str:
    """The line of the rule. `shrinks` is None where the look does not make it fire."""
    parts = [_when(look.name) + _seen(look, window_days, severe_r)]
    if unknown:
        parts.append(f"Not known of this order: {_named(unknown)}; that does not speak for it.")
    if shrinks:
        parts.append("The order passes because it only shrinks the position.")
    elif shrinks is not None and not denies:
        parts.append("One more person must approve, and each says what is different this time.")
    return " ".join(parts)


def _when(name: str) -> str:
    """What the look supposes, before what it saw."""
    moment, _, fact = name.partition(":")
    said = "When it was proposed: " if moment == "asked" else ""
    if not fact:
        return said
    what = "everything that is not known" if fact == "all" else f"{_plain(fact)}, which is not known,"
    return f"{said}If {what} is as bad as it was then: "


def _seen(look: Look, window_days: int, severe_r: Decimal | None) -> str:
    total = look.losses + look.wins
    if severe_r is not None and look.worst_r is not None:
        return (
            f"A trade with the same mistake lost {_r(look.worst_r)} R, and from {_r(severe_r)} R one of them is enough."
        )
    if look.p is None:
        return "No comparable trades (n = 0)."
    trades = "similar trade" if total == 1 else "similar trades"
    return (
        f"{look.losses} of {total} {trades} in {window_days} days lost, of the others {_percent(look.base)}: "
        f"{_percent(look.p, rounding=ROUND_FLOOR)} sure that they lose more often."
    )


def _named(names: Sequence[str]) -> str:
    shown = [_plain(name) for name in names[:_NAMES_MAX]]
    more = len(names) - len(shown)
    return words.listed([*shown, f"{more} more"] if more else shown)


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _r(value: Decimal) -> str:
    return words.grouped(_SHOWN.quantize(value, Decimal("0.01")).normalize(_SHOWN), rounding=ROUND_CEILING)


def _percent(fraction: Decimal, *, rounding: str = ROUND_HALF_EVEN) -> str:
    context = Context(prec=30, rounding=rounding)
    return f"{context.quantize(fraction * 100, Decimal(1))} %"
