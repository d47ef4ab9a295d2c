"""Ticks at a steady rate, from a thread, as a feed of the same process makes them."""

import os
import time
from collections.abc import Callable

TICKS_PER_S = float(os.environ.get("FAN_OUT_TICKS_PER_S", "10"))
"""Of each instrument."""
CODES = ("BTC-USD", "ETH-USD", "SOL-USD")[: int(os.environ.get("FAN_OUT_INSTRUMENTS", "1"))]


def make_ticks(tick: Callable[[str, int], None]) -> None:
    """Each instrument in turn, and numbers 1, 2, 3 ... for ever; TICKS_PER_S of each a second."""
    begun, number, per_s = time.monotonic(), 0, TICKS_PER_S * len(CODES)
    while True:
        number += 1
        time.sleep(max(begun + number / per_s - time.monotonic(), 0))
        tick(CODES[number % len(CODES)], number)
