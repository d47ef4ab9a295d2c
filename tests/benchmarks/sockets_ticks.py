"""Ticks at a steady rate, from a thread, as a feed of the same process makes them."""

import os
import time
from collections.abc import Callable

TICKS_PER_S = float(os.environ.get("FAN_OUT_TICKS_PER_S", "10"))


def make_ticks(tick: Callable[[int], None]) -> None:
    """Numbers 1, 2, 3 ... for ever, TICKS_PER_S of them a second."""
    begun, number = time.monotonic(), 0
    while True:
        number += 1
        time.sleep(max(begun + number / TICKS_PER_S - time.monotonic(), 0))
        tick(number)
