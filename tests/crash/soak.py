"""Many runs, and what came of them."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from tests.crash import naive as naive_executor
from tests.crash.cells import Cell, matrix, sample
from tests.crash.clock import Clock
from tests.crash.halts import interleave
from tests.crash.play import Result, Run
from tests.crash.stage import Stage

SAY_EVERY_S = 5
Tally = dict[str, Any]


class Progress:
    """A line every few seconds, for who waits, and the tally so far for whoever reads it if this process dies."""

    def __init__(self, database: str, what: str, whole: int, keep: Callable[[], None]) -> None:
        self.what = f"{database}: {{}} of {whole} {what}"
        self.whole, self.keep = whole, keep
        self.began = self.said = time.monotonic()

    def at(self, done: int) -> None:
        """So many are done."""
        now = time.monotonic()
        if now - self.said < SAY_EVERY_S:
            return
        self.said = now
        left_s = (now - self.began) / max(1, done) * (self.whole - done)
        say(f"{self.what.format(done)}, about {left_s / 60:.1f} min left")
        self.keep()


def soak(
    clock: Clock, *, runs: int, halts: int, seed: int, only: str, naive: bool, keep: Callable[[Tally], None]
) -> Tally:
    """Run so many cells and halts, and give the tally as plain values; `keep` gets it every few seconds."""
    every = [cell for cell in matrix() if only in str(cell)]
    stage = Stage(clock).start()
    if naive:
        naive_executor.take_over()
    began = time.monotonic()
    results: list[Result] = []
    progress = Progress(
        stage.database, "runs", runs, lambda: keep(tally(stage.database, every, results, time.monotonic() - began))
    )
    try:
        for cell in sample(every, runs, seed):
            results.append(Run(stage, cell).play())
            if results[-1].findings:
                say(f"{stage.database}: {told(results[-1])}")
            progress.at(len(results))
        found = tally(stage.database, every, results, time.monotonic() - began)
        keep(found)
        if halts:
            progress = Progress(stage.database, "halts", halts, lambda: None)
            found["halts"] = asdict(interleave(stage, halts=halts, seed=seed, naive=naive, done=progress.at))
            if found["halts"]["late"]:
                found["broken"].append(f"{found['halts']['late']} requests began after a halt had committed")
        return found
    finally:
        stage.stop()


def told(result: Result) -> str:
    """A broken promise as somebody who looks into it needs it."""
    return f"{result.cell}: " + "; ".join(f"{item.kind}: {item.what}" for item in result.findings)


def tally(database: str, every: Sequence[Cell], results: Sequence[Result], seconds: float) -> Tally:
    """Every run as a row, and what was broken."""
    return {
        "database": database,
        "cells": len(every),
        "seconds": seconds,
        "broken": [told(result) for result in results if result.findings],
        "runs": [
            {
                "row": result.cell.row,
                "step": result.cell.step,
                "label": result.cell.label,
                "how": result.cell.how,
                "delivery": result.cell.delivery,
                "venue": f"{result.cell.endpoint}: {result.cell.kind}" if result.cell.kind else "",
                "reached": result.reached,
                "state": result.state,
                "findings": [item.kind for item in result.findings],
                "alarmed": result.alarmed,
                "unknown_s": result.unknown_s,
                "settled_s": result.settled_s,
                "real_s": result.real_s,
            }
            for result in results
        ],
    }


def say(line: str) -> None:
    """Progress, for who waits."""
    sys.stderr.write(line + "\n")
