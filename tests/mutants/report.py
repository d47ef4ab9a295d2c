"""docs/mutants.md: what each part's last full run came to."""

from collections import Counter
from collections.abc import Collection
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
sample.
"""


def write(part: Part, chosen: list[Mutant], verdicts: dict[str, Verdict], listed: Collection[str]) -> None:
    """Put the part's section in the place of its last one."""
    sections = _sections(PAGE)
    sections[part.name] = _section(part, chosen, verdicts, listed)
    PAGE.write_text("\n".join([HEAD, *(sections[name] for name in sorted(sections))]), encoding="utf-8")


def _sections(page: Path) -> dict[str, str]:
    if not page.exists():
        return {}
    _, *parts = page.read_text(encoding="utf-8").split("\n## ")
    return {part.partition("\n")[0]: f"## {part.rstrip()}\n" for part in parts}


def _section(part: Part, chosen: list[Mutant], verdicts: dict[str, Verdict], listed: Collection[str]) -> str:
    made = Counter(mutant.path for mutant in chosen)
    found = Counter(mutant.path for mutant in chosen if verdicts[mutant.key].by)
    equivalent = Counter(m.path for m in chosen if not verdicts[m.key].by and m.key in listed)
    lines = [
        f"## {part.name}",
        "",
        f"Tests: {', '.join(f'`{path}`' for path in part.tests)}.",
        "",
        "| module | mutants | found | equivalent | surviving |",
        "|---|---:|---:|---:|---:|",
    ]
    for path in sorted(made):
        counts = made[path], found[path], equivalent[path]
        lines.append(_row(path.removeprefix("apps/"), *counts))
    return "\n".join([*lines, _row("**all**", made.total(), found.total(), equivalent.total())]) + "\n"


def _row(name: str, made: int, found: int, equivalent: int) -> str:
    return f"| {name} | {made} | {found} | {equivalent} | {made - found - equivalent} |"
