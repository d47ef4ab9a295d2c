"""Many runs, and what came of them."""

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from tests.crash import naive as naive_executor
from tests.crash.cells import Cell, matrix, sample
from tests.crash.clock import Clock
from tests.crash.halts import SENDERS, interleave
from tests.crash.play import Result, Run
from tests.crash.stage import Stage

SAY_EVERY_S = 10


def soak(clock: Clock, *, runs: int, halts: int, seed: int, only: str, naive: bool) -> dict[str, Any]:
    """Run so many cells and give the tally as plain values."""
    every = [cell for cell in matrix() if only in str(cell)]
    stage = Stage(clock).start()
    if naive:
        naive_executor.take_over()
    began = time.monotonic()
    said = began
    results: list[Result] = []
    try:
        for cell in sample(every, runs, seed):
            results.append(Run(stage, cell).play())
            if results[-1].findings:
                say(told(results[-1]))
            if time.monotonic() - said > SAY_EVERY_S:
                said = time.monotonic()
                say(f"{len(results)} of {runs} runs")
        found = tally(stage.database, every, results, time.monotonic() - began)
        if halts:
            say(f"{halts} halts against {SENDERS} senders")
            found["halts"] = asdict(interleave(stage, halts=halts, seed=seed, naive=naive))
            if found["halts"]["late"]:
                found["broken"].append(f"{found['halts']['late']} requests began after a halt had committed")
        return found
    finally:
        stage.stop()


def told(result: Result) -> str:
    """A broken promise as somebody who looks into it needs it."""
    return f"{result.cell}: " + "; ".join(f"{item.kind}: {item.what}" for item in result.findings)


def tally(database: str, every: Sequence[Cell], results: Sequence[Result], seconds: float) -> dict[str, Any]:
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
