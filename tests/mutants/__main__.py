"""`python -m tests.mutants [PART ...]`: turn each comparison into its neighbour, and see whether a test notices.

Ends with 1 where a mutant survives that is not listed as equivalent, where a listed one is found, where one was not
judged, or where the list names what is no mutant any more. A run of whole parts writes their tables into
docs/mutants.md.
"""

import argparse
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from tests.mutants import report
from tests.mutants.areas import PARTS, Part
from tests.mutants.equivalent import reasons, stale
from tests.mutants.operators import mutants
from tests.mutants.session import Unclean
from tests.mutants.working import judged, judged_in, kept


def main(arguments: list[str]) -> int:
    """0 where every mutant is found or listed, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all where none is said")
    parser.add_argument("--only", default="", metavar="TEXT", help="only mutants with this text in their key; no table")
    parser.add_argument(
        "--folder", type=Path, metavar="PATH", help="keep what is found there, and go on from it while no code changes"
    )
    parser.add_argument(
        "--found-so-far", action="store_true", help="run nothing: write what --folder holds of a run that was ended"
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args(arguments)
    if unknown := [name for name in asked.parts if name not in PARTS]:
        parser.error(f"no such part: {', '.join(unknown)}")
    if asked.found_so_far and not asked.folder:
        parser.error("--found-so-far is of a --folder")
    gone = stale()
    for key in gone:
        _say(f"STALE: listed as equivalent, and not a mutant any more: {key}")
    try:
        clean = [_run(PARTS[name], asked) for name in asked.parts or PARTS]
    except Unclean as trouble:
        _say(str(trouble))
        return 1
    return 0 if all(clean) and not gone else 1


def _run(part: Part, asked: argparse.Namespace) -> bool:
    """Whether all of the part's mutants came out as they must; says each that did not."""
    listed = reasons()
    chosen = [mutant for path in part.paths() for mutant in mutants(path) if asked.only in mutant.key]
    processes = min(asked.processes, len(chosen) or 1)
    if asked.found_so_far:
        names = {mutant.key for mutant in chosen}
        verdicts = {key: verdict for key, verdict in kept(asked.folder / part.name).items() if key in names}
    elif asked.folder:
        verdicts = judged_in(asked.folder / part.name, part, chosen, processes)
    else:
        verdicts = judged(part, chosen, processes)
    surviving = [v for v in verdicts.values() if not v.by and v.key not in listed]
    noticed = [v for v in verdicts.values() if v.by and v.key in listed]
    for verdict in surviving:
        _say(f"SURVIVES ({verdict.tried} tests run its line): {verdict.key}")
    for verdict in noticed:
        _say(f"NOT EQUIVALENT: {verdict.by} finds {verdict.key}")
    found = sum(bool(verdict.by) for verdict in verdicts.values())
    equivalent = len(verdicts) - found - len(surviving)
    stopped = sum(verdict.by == "time" for verdict in verdicts.values())
    _say(
        f"{part.name}: {len(verdicts)} mutants, {found} found ({stopped} by the time they took), "
        f"{equivalent} equivalent, {len(surviving)} surviving, {len(chosen) - len(verdicts)} not judged"
    )
    if not asked.only:
        report.write(part, chosen, verdicts, listed, datetime.now(UTC).date())
    return not surviving and not noticed and len(verdicts) == len(chosen)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
