"""What a benchmark found, and the page it is written to. Ratios against a named alternative of the same run."""

import importlib.metadata
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One comparison: figures of several runs of each side, in `unit`. Higher is better unless `lower_is_better`."""

    what: str
    unit: str
    aika: Sequence[float]
    other: str = ""
    others: Sequence[float] = ()
    aim: str = ""
    lower_is_better: bool = False

    def ratio(self) -> str:
        """How many times better Aika is than the alternative, by medians."""
        if not self.others:
            return ""
        ours, theirs = median(self.aika), median(self.others)
        return f"{theirs / ours if self.lower_is_better else ours / theirs:.2f}x"


@dataclass(frozen=True, kw_only=True)
class Found:
    """One benchmark: what was done, its rows, and what must be known to read them."""

    name: str
    work: str
    rows: Sequence[Row]
    notes: Sequence[str] = field(default_factory=tuple)


def figures(values: Sequence[float]) -> str:
    """Median, with the smallest and largest of the runs where there are several."""
    if not values:
        return ""
    if len(values) == 1:
        return f"{values[0]:,.1f}"
    return f"{median(values):,.1f} ({min(values):,.1f} to {max(values):,.1f})"


def page(found: Sequence[Found], packages: Sequence[str]) -> str:
    """The whole page, as it is committed."""
    versions = ", ".join(_version(name) for name in packages)
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`; not edited by hand. Read the ratios: both sides ran in the same run, on the same "
        "machine, one after the other, several times. The figures are medians (smallest to largest).",
        "",
        f"- Machine: {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}; "
        "load and server share it",
        f"- Date: {datetime.now(UTC):%Y-%m-%d}",
        f"- Versions: {versions}",
    ]
    for one in found:
        lines += ["", f"## {one.name}", "", one.work, "", "| what | unit | Aika | alternative | | ratio | aim |"]
        lines.append("|---|---|---|---|---|---|---|")
        for row in one.rows:
            lines.append(
                f"| {row.what} | {row.unit} | {figures(row.aika)} | {row.other} | {figures(row.others)} "
                f"| {row.ratio()} | {row.aim} |"
            )
        lines += ["", *(f"- {note}" for note in one.notes)]
    return "\n".join(lines).rstrip() + "\n"


def _version(name: str) -> str:
    try:
        return f"{name} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{name} not installed"
