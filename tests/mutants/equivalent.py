"""The mutants that change nothing anybody can observe, each with the reason: `equivalent.toml`, kept by hand."""

import tomllib
from pathlib import Path

from tests.mutants.areas import PARTS
from tests.mutants.operators import mutants

LIST = Path(__file__).with_name("equivalent.toml")


def reasons() -> dict[str, str]:
    """key -> why nothing can tell the mutant from the original. Raises ValueError for a key that is there twice."""
    listed = tomllib.loads(LIST.read_text(encoding="utf-8")).get("mutant", [])
    found: dict[str, str] = {}
    for entry in listed:
        if entry["key"] in found:
            raise ValueError(f"{LIST.name} has this twice: {entry['key']}")
        found[entry["key"]] = entry["reason"].strip()
    return found


def stale() -> list[str]:
    """What is listed and is no mutant of any part: its code has changed or gone, so its reason may have too."""
    made = {mutant.key for part in PARTS.values() for path in part.paths() for mutant in mutants(path)}
    return [key for key in reasons() if key not in made]
