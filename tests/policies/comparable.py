"""Evidence about similar trades as a fact, and the probability it should carry: in fractions, from the words."""

from collections.abc import Mapping
from fractions import Fraction
from math import comb
from uuid import UUID

PLACES = 9


def probability(losses: int, wins: int, base: str) -> Fraction:
    """P(Beta(1 + losses, 1 + wins) > base): that of at most `losses` hits in one trial more than there were trades."""
    trials, chance = losses + wins + 1, Fraction(base)
    return sum(
        (comb(trials, hits) * chance**hits * (1 - chance) ** (trials - hits) for hits in range(losses + 1)), Fraction(0)
    )


def rounded_up(value: Fraction) -> str:
    """With nine places, towards the rule."""
    scaled = -(-value.numerator * 10**PLACES // value.denominator)
    whole, part = divmod(scaled, 10**PLACES)
    return f"{whole}.{part:09d}".rstrip("0").rstrip(".")


def look(name: str, losses: int, wins: int, base: str = "0.4", worst_r: str = "none") -> Mapping[str, str]:
    """One look of the fact, with a case for each loss."""
    cases = [str(UUID(int=number + 1)) for number in range(min(losses, 50))]
    return {
        f"{name}.losses": str(losses),
        f"{name}.wins": str(wins),
        f"{name}.base": base,
        f"{name}.p": rounded_up(probability(losses, wins, base)) if losses + wins else "none",
        f"{name}.worst_r": worst_r,
        f"{name}.cases": " ".join([str(len(cases)), *cases]),
    }


def evidence(*looks: Mapping[str, str], unknown: str = "0") -> dict[str, dict[str, str]]:
    """The fact of these looks, as a change of facts."""
    names = [next(iter(one)).rpartition(".")[0] for one in looks]
    values = {"looks": " ".join([str(len(names)), *names]), "unknown": unknown}
    for one in looks:
        values |= one
    return {"SIMILAR_LOSSES": values}
