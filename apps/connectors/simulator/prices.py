"""The seeded price path: a pure function of seed, book and step, so that any second of the past can be asked for.

The path is a sum of smoothed lattice noise, one octave per time scale. Amplitudes grow with the square root of the
period, like a random walk, and stop growing at about a day, so prices wander believably and always come home. All of
it is integer arithmetic: the same seed gives the same path on every machine.
"""

import hashlib
from decimal import Decimal
from functools import lru_cache

BASIS_POINT = 100_000
"""One basis point in the path's unit, parts per thousand million."""

_UNIT = 10**9
_ONE = 1 << 16

_OCTAVES: tuple[tuple[int, int], ...] = tuple((4**power, min(2 * 2**power, 300) * BASIS_POINT) for power in range(12))
"""(period in steps, amplitude): 1 s with 2 bps up to 48 days with 300."""


_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


@lru_cache(maxsize=4096)
def _root(seed: int, label: str) -> int:
    """Where the sequence of a label starts."""
    return int.from_bytes(hashlib.blake2b(f"{seed}|{label}".encode(), digest_size=8).digest(), "big")


def _mix(number: int) -> int:
    """The finisher of SplitMix64, as noise in [-2^31, 2^31): a hash per point would make candles ten times slower."""
    number &= _MASK
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((number ^ (number >> 31)) >> 32) - (1 << 31)


def noise(seed: int, label: str, index: int) -> int:
    """A uniform integer in [-2^31, 2^31), the same for the same arguments, always."""
    return _mix(_root(seed, label) + index * _GOLDEN)


def fraction(seed: int, label: str, index: int, low: int, high: int) -> Decimal:
    """A deterministic percentage between `low` and `high`, as a fraction."""
    span = (high - low) * 100
    return Decimal(low * 100 + (noise(seed, label, index) + (1 << 31)) % (span + 1)) / 10_000


@lru_cache(maxsize=64)
def _octaves(seed: int, book_id: str) -> tuple[tuple[int, int, int], ...]:
    return tuple((_root(seed, f"{book_id}|{period}"), period, amplitude) for period, amplitude in _OCTAVES)


def deviation(seed: int, book_id: str, step: int) -> int:
    """How far the path is from its level at `step`, in parts per thousand million."""
    total = 0
    for root, period, amplitude in _octaves(seed, book_id):
        index, rest = divmod(step, period)
        here = _mix(root + index * _GOLDEN)
        if rest:
            at = (rest << 16) // period
            eased = (at * at * (3 * _ONE - 2 * at)) >> 32
            here += ((_mix(root + (index + 1) * _GOLDEN) - here) * eased) >> 16
        total += (here * amplitude) >> 31
    return total


@lru_cache(maxsize=20_000)
def mid_price(seed: int, book_id: str, level: Decimal, price_increment: Decimal, step: int) -> Decimal:
    """The mid at `step`, to a tenth of a price increment."""
    exact = level * Decimal(_UNIT + deviation(seed, book_id, step)).scaleb(-9)
    return exact.quantize(price_increment / 10)
