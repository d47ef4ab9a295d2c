"""The judge of the tests is judged: what a mutant is, that one is found, and that a harmless one is not."""

import random
from datetime import date
from pathlib import Path

import pytest

from tests.mutants.areas import PARTS, Part
from tests.mutants.equivalent import LIST, reasons, stale
from tests.mutants.operators import Mutant, mutants
from tests.mutants.report import section
from tests.mutants.session import Unclean, Verdict
from tests.mutants.working import judged

SOURCE = '''
LIMIT = 3 < 4

def outer(n, rows, limit=min(1, 2)):
    """1 < 2"""
    if 0 < n <= limit and n is not None:
        return min(n, -1)
    pick = lambda row: row in rows or row == "x"
    return rows.filter(at__lt=n, age__gte=1, name="b")
'''
OF_SOURCE = {
    "outer: 0 < n <= limit => 0 <= n <= limit",
    "outer: 0 < n <= limit => 0 < n < limit",
    "outer: 0 < n <= limit => 1 < n <= limit",
    "outer: 0 < n <= limit => -1 < n <= limit",
    "outer: 0 < n <= limit and n is not None => 0 < n <= limit or n is not None",
    "outer: n is not None => n is None",
    "outer: min(n, -1) => max(n, -1)",
    "outer: min(n, -1) => min(n, -2)",
    "outer: min(n, -1) => min(n, -0)",
    "outer.<lambda>: row in rows or row == 'x' => row in rows and row == 'x'",
    "outer.<lambda>: row in rows => row not in rows",
    "outer.<lambda>: row == 'x' => row != 'x'",
    "outer: at__lt=n => at__lte=n",
    "outer: age__gte=1 => age__gt=1",
}
PURE = Part("sample", ("apps/policies/rules/*.py",), ("tests/policies/test_boundaries.py",))
MARKET = "apps/policies/rules/market.py"
SEED = 20260302
SAMPLE = 6


def test_what_a_mutant_is(tmp_path: Path) -> None:
    """The closed list, in functions only: what is evaluated once at import stays as it is."""
    file = tmp_path / "source.py"
    file.write_text(SOURCE, encoding="utf-8")
    assert {mutant.key.removeprefix(f"{file}:") for mutant in mutants(str(file))} == OF_SOURCE


def test_moving_lines_renames_nothing_and_twins_are_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "source.py"
    file.write_text("def twice(n):\n    return n < 1 or n < 1\n", encoding="utf-8")
    before = [mutant.key for mutant in mutants(str(file))]
    assert len(set(before)) == len(before) == 7
    file.rename(tmp_path / "old.py")
    moved = tmp_path / "moved.py"
    moved.write_text("\n\n# said\ndef twice(n):\n    return (\n        n < 1\n        or n < 1)\n", encoding="utf-8")
    assert [mutant.key.partition(":")[2] for mutant in mutants(str(moved))] == [key.partition(":")[2] for key in before]


def test_the_list_of_equivalent_ones_names_mutants_that_there_are() -> None:
    assert stale() == [], f"Look at each again and mend {LIST.name}: its code has changed."
    assert all(len(reason) > 20 for reason in reasons().values())


def test_every_part_has_modules_and_tests() -> None:
    for part in PARTS.values():
        assert part.paths(), part.name
        assert all((Path(__file__).parents[2] / path).exists() for path in part.tests), part.name


def test_the_page_says_when_and_which_survive_and_how_many_were_not_judged() -> None:
    found, survives, equivalent, *unjudged = mutants(MARKET)
    verdicts = {
        mutant.key: Verdict(mutant.key, by, tried=2)
        for mutant, by in ((found, "a test"), (survives, ""), (equivalent, ""))
    }
    page = section(PURE, mutants(MARKET), verdicts, {equivalent.key}, date(2026, 3, 2))
    assert page.startswith("## sample\n\nRan on 2026-03-02.")
    assert f"| **all** | {3 + len(unjudged)} | 1 | 1 | 1 | {len(unjudged)} |" in page
    assert page.endswith(f"Surviving:\n\n- `{survives.key}`\n")


def _named(end: str) -> Mutant:
    (found,) = [mutant for mutant in mutants(MARKET) if mutant.key.endswith(end)]
    return found


def test_a_sample_is_found_and_a_mutant_that_no_test_sees_is_not() -> None:
    """One that the tests of the boundaries must find, one in a function that they never call, and some drawn by lot."""
    known = _named("age > age_max => age >= age_max")
    unseen = mutants("apps/policies/rules/resuming.py")[0]
    all_market = [mutant for mutant in mutants(MARKET) if mutant.key not in reasons()]
    drawn = random.Random(SEED).sample(all_market, SAMPLE)
    verdicts = judged(PURE, list({known, unseen, *drawn}), processes=1)
    assert "test_the_price_may_be_so_old_and_no_older" in verdicts[known.key].by
    assert (verdicts[unseen.key].by, verdicts[unseen.key].tried) == ("", 0)
    surviving = [mutant.key for mutant in drawn if not verdicts[mutant.key].by]
    assert surviving == []


def test_tests_that_fail_anyway_prove_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "test_broken.py"
    broken.write_text("def test_it():\n    raise SystemError\n", encoding="utf-8")
    with pytest.raises(Unclean, match="fail without any mutant"):
        judged(Part("broken", (MARKET,), (str(broken),)), mutants(MARKET)[:1], processes=1)
