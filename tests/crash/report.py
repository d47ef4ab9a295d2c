"""The crash soak's section of docs/reliability.md, from its tallies."""

import csv
import io
import os
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from apps.common.fault_places import ROWS

Row = dict[str, Any]
CELL = ("step", "label", "how", "delivery", "venue")
# A message that went to another worker, or an order that was quicker, lets a single run pass its place by.
TRIES = 6
KINDS = ("duplicate", "unapproved", "lost", "unresolved", "reservation", "books", "audit", "broke off")


def summary(tally: Row) -> str:
    """A few lines for the terminal."""
    runs = tally["runs"]
    counts = Counter(kind for row in runs for kind in row["findings"])
    broken = ", ".join(f"{kind} {counts[kind]}" for kind in KINDS)
    cells = f"{len(cells_in(runs))} of {tally['cells']} cells"
    return (
        f"{tally['database']}: {len(runs)} runs of {cells} in {tally['seconds']:.0f} s, "
        f"fault reached in {sum(row['reached'] for row in runs)}; {broken}\n"
        + (f"{_halts(tally['halts'])}\n" if "halts" in tally else "")
        + "".join(f"  {line}\n" for line in tally["broken"])
    )


def cell_of(row: Row) -> tuple[str, ...]:
    """What makes a run one of a cell."""
    return tuple(str(row[name]) for name in CELL)


def cells_in(runs: Iterable[Row]) -> set[tuple[str, ...]]:
    """The cells that these runs were of."""
    return {cell_of(row) for row in runs}


def pairs_in(runs: Iterable[Row]) -> set[tuple[str, ...]]:
    """What these runs tried together: a place with how it stops and its message, and a place with the venue's fault."""
    places = [((row["step"], row["label"]), row) for row in runs]
    return {pair for place, row in places for pair in ((*place, row["how"], row["delivery"]), (*place, row["venue"]))}


def unstruck(runs: Iterable[Row]) -> list[str]:
    """Places that were tried often enough and where no process ever stopped: what was kept there proves nothing."""
    rows = list(runs)
    tried = Counter((row["step"], row["label"]) for row in rows)
    struck = {(row["step"], row["label"]) for row in rows if row["reached"]}
    return sorted(
        f"{label} ({step})" for (step, label), times in tried.items() if times >= TRIES and (step, label) not in struck
    )


def rows_of_cells(tallies: Sequence[Row]) -> str:
    """Each cell that was tried, as CSV: its runs, how many stopped at their place, and the findings of each kind."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("database", *CELL, "runs", "reached", *(kind.replace(" ", "_") for kind in KINDS), "alarmed"))
    for tally in tallies:
        groups: dict[tuple[str, ...], list[Row]] = {}
        for row in tally["runs"]:
            groups.setdefault(cell_of(row), []).append(row)
        for cell, runs in sorted(groups.items()):
            counts = Counter(kind for row in runs for kind in row["findings"])
            reached, alarmed = (sum(row[name] for row in runs) for name in ("reached", "alarmed"))
            rows.writerow((tally["database"], *cell, len(runs), reached, *(counts[kind] for kind in KINDS), alarmed))
    return text.getvalue()


def page(tallies: Sequence[Row], naive: Sequence[Row], *, seed: int) -> str:
    """The whole section: what the executor kept, and what the naive one broke under the same faults."""
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    parts = [
        "## The crash soak",
        "Written by `make soak`; not edited by hand. Every run makes a proposal, has it approved, and sends it from a "
        "real Celery worker process to the venue simulator over HTTP, while one process stops at a named place: it "
        "raises, is killed with signal 9, or stands still until others have taken it for dead. Its message comes "
        "again, is lost, or goes to two workers at once, and the venue has a fault of its own. Then the schedule of "
        "`config/beat.py` turns, and what the venue has is held against what the desk says.",
        f"- Machine: {machine}\n- Date: {datetime.now(UTC):%Y-%m-%d}\n- Seed: {seed}",
        "Time is virtual where it says so: a run moves the clock of all its processes, so that no run waits for a "
        "real lease. The venue's clock is the real one.",
    ]
    parts += ["### In short", _in_short(tallies), _visited(tallies)]
    for tally in tallies:
        parts += _of(tally)
    parts += [
        "### The naive executor",
        "It sends first, writes down afterwards, and takes a new name for every try. Its worker is killed once the "
        "venue has answered, and the message comes again. That the matrix finds it is what the zeros above are worth. "
        "In the halts it looks at the trading state before it sends, and nothing stands between the look and the call.",
        *(_of_naive(tally) for tally in naive),
    ]
    return "\n\n".join(parts) + "\n"


def _in_short(tallies: Sequence[Row]) -> str:
    lines = [
        "| database | runs | faults reached | duplicates | lost | other broken promises | unknown p50 | unknown p95 | "
        "halts | late requests | halt p99 |",
        "|---|" + "---|" * 10,
    ]
    for tally in tallies:
        runs: list[Row] = tally["runs"]
        reached = sum(row["reached"] for row in runs)
        counts = Counter(kind for row in runs for kind in row["findings"])
        others = sum(counts.values()) - counts["duplicate"] - counts["lost"]
        half, most = _unknown_times(runs)
        halts = tally.get("halts")
        took = sorted(halts["took_s"]) if halts else []
        halted = f"{halts['halts']:,} | {halts['late']} | {_at(took, 0.99) * 1000:.1f} ms" if halts else "none | | "
        lines.append(
            f"| {tally['database']} | {len(runs):,} | {reached:,} | {counts['duplicate']} | {counts['lost']} | "
            f"{others} | {half} | {most} | {halted} |"
        )
    broken = [f"- {line}" for tally in tallies for line in tally["broken"]]
    return "\n".join([*lines, *(["", "Broken:", "", *broken] if broken else [])])


def _visited(tallies: Sequence[Row]) -> str:
    """How much of the matrix was tried."""
    tried = sum(len(cells_in(tally["runs"])) for tally in tallies)
    every = sum(tally["cells"] for tally in tallies)
    anywhere = len(cells_in(row for tally in tallies for row in tally["runs"]))
    pairs = ", ".join(
        f"{len(pairs_in(tally['runs'])):,} of {tally['pairs']:,} on {tally['database']}" for tally in tallies
    )
    return (
        f"A cell is a place, a way to stop there, what becomes of the message, a fault of the venue and a database: "
        f"{tried:,} of {every:,} were visited, by {sum(len(tally['runs']) for tally in tallies):,} runs. Without the "
        f"database they are {anywhere:,} of {max(tally['cells'] for tally in tallies):,}. No cell comes twice before "
        "all came once, and pairs come first: of a place with a stop and a message, and of a place with a fault of "
        f"the venue, {pairs}."
    )


def _of_naive(tally: Row) -> str:
    runs: list[Row] = tally["runs"]
    double = sum("duplicate" in row["findings"] for row in runs)
    late = f" {tally['halts']['late']} requests began after a halt had committed." if "halts" in tally else ""
    return f"{tally['database']}: {double} of {len(runs)} runs ended with two orders for one approval.{late}"


def _of(tally: Row) -> list[str]:
    runs: list[Row] = tally["runs"]
    halts = ["#### Halts", _halts(tally["halts"])] if "halts" in tally else []
    return [
        f"### {tally['database']}",
        _totals(tally),
        *halts,
        "#### By place and way to stop",
        _table("place, how", runs, lambda row: f"{row['step']}: {row['label']}, {row['how']}"),
        "#### By row of the crash matrix",
        _table("row", runs, lambda row: f"{row['row']}: {ROWS[row['row']]}"),
        "#### By what stops and what becomes of the message",
        _table("stop, message", runs, lambda row: f"{row['how']}, {row['delivery']}"),
        "#### By the venue's fault",
        _table("fault", runs, lambda row: row["venue"] or "none"),
    ]


def _halts(found: Row) -> str:
    took = sorted(found["took_s"])
    return (
        f"{found['halts']:,} halts against senders that wrote {found['written']:,} requests and were refused "
        f"{found['refused']:,} times: {found['late']} requests began after a halt had committed. From the call of "
        f"`halt` to its commit: p50 {_at(took, 0.5) * 1000:.1f} ms, p99 {_at(took, 0.99) * 1000:.1f} ms (real)."
    )


def _totals(tally: Row) -> str:
    runs: list[Row] = tally["runs"]
    counts = Counter(kind for row in runs for kind in row["findings"])
    unknown = [row for row in runs if row["unknown_s"] is not None]
    half, most = _unknown_times(unknown)
    lines = [
        f"{len(runs):,} runs in {tally['seconds']:,.0f} s ({tally['seconds'] / max(1, len(runs)):.2f} s each), "
        f"{len(cells_in(runs)):,} of {tally['cells']:,} cells",
        f"Cells with a finding of any kind below: {len(cells_in(row for row in runs if row['findings'])):,}; each "
        "cell by itself is a row of [reliability-cells.csv](reliability-cells.csv)",
        f"{sum(row['reached'] for row in runs):,} processes stopped at their place; in the other runs the order did "
        "not pass there",
        f"{sum(bool(row['venue']) for row in runs):,} runs with a fault at the venue",
        f"More than one order at the venue for an approval: {counts['duplicate']}",
        f"Orders nobody approved, or with other bytes than approved: {counts['unapproved']}",
        f"Orders at the venue that the desk holds for not sent: {counts['lost']}",
        f"Neither final nor alarming: {counts['unresolved']}; ended with an alarm that a person must answer: "
        f"{sum(row['alarmed'] for row in runs)}",
        f"Reservations not conserved: {counts['reservation']}; fills or positions that differ from the venue's: "
        f"{counts['books']}; audit logs that do not verify: {counts['audit']}",
        f"Runs that broke off: {counts['broke off']}",
        f"Orders whose outcome was unknown for a time and then known: {len(unknown)}"
        + (f", p50 {half}, p95 {most} (virtual)" if unknown else ""),
    ]
    return "\n".join(f"- {line}" for line in lines)


def _unknown_times(runs: Iterable[Row]) -> tuple[str, str]:
    """Median and 95th percentile of how long an outcome was not known, in words; empty where it always was."""
    found = sorted(row["unknown_s"] for row in runs if row["unknown_s"] is not None)
    return (f"{_at(found, 0.5):.1f} s", f"{_at(found, 0.95):.1f} s") if found else ("", "")


def _at(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _table(first: str, runs: Iterable[Row], name: Callable[[Row], str]) -> str:
    groups: dict[str, list[Row]] = {}
    for row in runs:
        groups.setdefault(name(row), []).append(row)
    lines = [
        f"| {first} | runs | reached | " + " | ".join(KINDS) + " | ended with an alarm | unknown p50 | p95 |",
        "|---|" + "---|" * (len(KINDS) + 5),
    ]
    for title in sorted(groups, key=_order):
        rows = groups[title]
        counts = Counter(kind for row in rows for kind in row["findings"])
        found = " | ".join(str(counts[kind]) for kind in KINDS)
        reached, alarmed = sum(row["reached"] for row in rows), sum(row["alarmed"] for row in rows)
        half, most = _unknown_times(rows)
        lines.append(f"| {title} | {len(rows)} | {reached} | {found} | {alarmed} | {half} | {most} |")
    return "\n".join(lines)


def _order(title: str) -> tuple[int, str]:
    number = title.partition(":")[0]
    return (int(number) if number.isdigit() else 0, title)
