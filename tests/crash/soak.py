"""Many runs, and what came of them."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from tests.crash import naive as naive_executor
from tests.crash.cells import Cell, matrix, pairs_of, sample
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


def cells_of(*, runs: int, seed: int, only: str, part: int, parts: int) -> list[Cell]:
    """What this part of the soak of a database runs: every part deals from one order, so that none repeats another."""
    return sample(cells_like(only), runs, seed)[part::parts]


def cells_like(only: str) -> list[Cell]:
    return [cell for cell in matrix() if only in str(cell)]


def soak(
    clock: Clock, cells: Sequence[Cell], *, halts: int, seed: int, only: str, naive: bool, keep: Callable[[Tally], None]
) -> Tally:
    """Run these cells and so many halts, and give the tally as plain values; `keep` gets it every few seconds."""
    every = cells_like(only)
    stage = Stage(clock).start()
    if naive:
        naive_executor.take_over()
    began = time.monotonic()
    results: list[Result] = []

    def so_far() -> Tally:
        return tally(stage.database, every, results, time.monotonic() - began)

    progress = Progress(stage.database, "runs", len(cells), lambda: keep(so_far()))
    try:
        for cell in cells:
            results.append(Run(stage, cell).play())
            if results[-1].findings:
                say(f"{stage.database}: {told(results[-1])}")
            progress.at(len(results))
        found = so_far()
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
        "pairs": len({pair for cell in every for pair in pairs_of(cell)[:2]}),
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
