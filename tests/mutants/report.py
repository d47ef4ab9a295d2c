"""docs/mutants.md: what each part's last run came to, and when."""

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import date
from pathlib import Path

from tests.mutants.areas import Part
from tests.mutants.operators import ROOT, Mutant
from tests.mutants.session import Verdict

PAGE = ROOT / "docs/mutants.md"
HEAD = """# Mutants

Every comparison of the rules and services below is turned into its neighbour, one at a time, and the tests that concern
it must notice. What a change may be is the closed list at the head of
[operators.py](../tests/mutants/operators.py). *Equivalent* are those that nothing can notice: each has its reason in
[equivalent.toml](../tests/mutants/equivalent.toml), and one that is noticed after all, or whose code has changed, fails
the run. Written by `python -m tests.mutants`, which takes the names of parts, or runs them all; `make test` tries a
sample. A run that was ended before its end has mutants that were not judged, and is written with `--found-so-far`.
"""


def write(part: Part, chosen: list[Mutant], verdicts: dict[str, Verdict], listed: Collection[str], day: date) -> None:
    """Put the part's section in the place of its last one. Without a verdict a mutant was not judged."""
    sections = _sections(PAGE)
    sections[part.name] = section(part, chosen, verdicts, listed, day)
    PAGE.write_text("\n".join([HEAD, *(sections[name] for name in sorted(sections))]), encoding="utf-8")


def _sections(page: Path) -> dict[str, str]:
    if not page.exists():
        return {}
    _, *parts = page.read_text(encoding="utf-8").split("\n## ")
    return {part.partition("\n")[0]: f"## {part.rstrip()}\n" for part in parts}


def section(part: Part, chosen: list[Mutant], verdicts: dict[str, Verdict], listed: Collection[str], day: date) -> str:
    """What was found of each module, and each mutant that survives by its name."""
    made = Counter(mutant.path for mutant in chosen)
    judged = [mutant for mutant in chosen if mutant.key in verdicts]
    found = Counter(mutant.path for mutant in judged if verdicts[mutant.key].by)
    left = [mutant for mutant in judged if not verdicts[mutant.key].by]
    equivalent = Counter(mutant.path for mutant in left if mutant.key in listed)
    surviving = [mutant for mutant in left if mutant.key not in listed]
    counted = [made, found, equivalent, Counter(mutant.path for mutant in surviving)]
    counted.append(Counter(mutant.path for mutant in chosen if mutant.key not in verdicts))
    lines = [
        f"## {part.name}",
        "",
        f"Ran on {day:%Y-%m-%d}. Tests: {', '.join(f'`{path}`' for path in part.tests)}.",
        "",
        "| module | mutants | found | equivalent | surviving | not judged |",
        "|---|---:|---:|---:|---:|---:|",
        *(_row(path.removeprefix("apps/"), [counts[path] for counts in counted]) for path in sorted(made)),
        _row("**all**", [counts.total() for counts in counted]),
    ]
    if surviving:
        lines += ["", "Surviving:", "", *(f"- `{mutant.key}`" for mutant in surviving)]
    return "\n".join(lines) + "\n"


def _row(name: str, counts: Iterable[int]) -> str:
    return f"| {name} | {' | '.join(map(str, counts))} |"
