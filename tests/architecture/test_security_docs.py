"""The threat model and the ASVS table claim nothing without a test that exists, or a reason."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
THREATS, ASVS = ROOT / "docs" / "threat-model.md", ROOT / "docs" / "asvs.md"
CLAIM = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
MENTIONED = re.compile(r"tests/[\w/]+\.py::[^`]*")
# Items of ASVS 5.0 level 2 that matter here (controls: business logic, cookies, sessions, access, secrets, logs).
ITEMS = [
    *("2.2.3", "2.3.1", "2.3.2", "2.3.3", "2.3.4", "2.4.1"),
    *("3.3.1", "3.3.2", "3.3.3", "3.3.4", "3.4.1", "3.4.3", "3.4.6", "3.5.1", "3.5.2", "3.5.3", "3.5.4", "4.1.3"),
    *("6.3.3", "6.3.4", "6.5.1", "6.5.5", "7.2.4", "7.3.1", "7.3.2", "7.4.2", "7.5.1"),
    *("8.1.2", "8.2.2", "8.2.3", "8.3.1", "11.2.2", "11.3.3", "13.2.2", "13.3.1", "13.3.2", "14.2.4", "14.3.2"),
    *("15.3.2", "15.3.3", "15.3.5", "16.2.1", "16.2.2", "16.2.3", "16.2.4", "16.2.5"),
    *("16.3.1", "16.3.2", "16.3.3", "16.3.4", "16.4.2", "16.4.3", "16.5.2", "16.5.3"),
]
THREAT_TITLES = {
    "A stolen session",
    "A stolen key of a program",
    "A stolen venue key",
    "A lying venue",
    "A hasty approver",
    "Malicious text of an agent",
    "A wrong clock",
    "The administrator of the database",
}


def names_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds) and node.name.startswith("test_")}


@pytest.mark.parametrize("document", [THREATS, ASVS], ids=lambda path: path.name)
def test_every_test_that_is_named_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    claims = set(CLAIM.findall(text))
    assert claims and len(MENTIONED.findall(text)) == len(CLAIM.findall(text))
    missing = [f"{path}::{name}" for path, name in claims if not (ROOT / path).is_file() or name not in names_in(path)]
    assert sorted(missing) == []


def test_each_item_has_a_row_with_a_test_or_a_reason() -> None:
    rows = [line.split("|")[1:4] for line in ASVS.read_text(encoding="utf-8").splitlines() if re.match(r"\| \d", line)]
    assert [item.strip() for item, _, _ in rows] == ITEMS
    assert [item for item, _, held in rows if not (CLAIM.search(held) or held.strip().startswith("Reason: "))] == []


def test_each_threat_says_what_holds_by_which_test_and_what_does_not() -> None:
    parts = re.split(r"^## ", THREATS.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    threats = {part.partition("\n")[0]: part for part in parts}
    assert set(threats) >= THREAT_TITLES
    for title in THREAT_TITLES:
        assert CLAIM.search(threats[title]), title
        assert "**Does not hold:**" in threats[title], title
        # Every sentence that claims something, that is every point, names its test.
        points = re.split(r"^- ", threats[title].partition("**Does not hold:**")[0], flags=re.MULTILINE)[1:]
        assert all(CLAIM.search(point) for point in points), title
