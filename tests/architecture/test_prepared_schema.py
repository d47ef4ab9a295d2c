"""The schema that test databases are copied from is never that of other code."""

from pathlib import Path

import pytest

from tests.guarded_flush.management.commands.migrate import state_of_code


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("apps/trades/migrations", "config", "tests/guarded_flush"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "one.py").write_text("ONE = 1\n")
    return tmp_path


def test_the_same_code_has_one_name(root: Path) -> None:
    before = state_of_code(root)
    (root / "apps" / "notes.txt").write_text("No code.")
    assert state_of_code(root) == before


@pytest.mark.parametrize("change", ["edited", "added", "renamed", "removed"])
@pytest.mark.parametrize("folder", ["apps/trades/migrations", "config", "tests/guarded_flush"])
def test_other_code_has_another(root: Path, change: str, folder: str) -> None:
    before, file = state_of_code(root), root / folder / "one.py"
    if change == "edited":
        file.write_text("ONE = 2\n")
    elif change == "added":
        (root / folder / "two.py").write_text("")
    elif change == "renamed":
        file.rename(root / folder / "two.py")
    else:
        file.unlink()
    assert state_of_code(root) != before
