"""Two commands write one page, and neither touches what the other wrote, nor what people wrote."""

from pathlib import Path

import pytest

from tests import sections
from tests.crash.__main__ import SECTION as CRASH
from tests.load.__main__ import FAULTED, PLAIN

ROOT = Path(__file__).resolve().parents[1]


def test_a_section_is_exchanged_and_nothing_else_moves() -> None:
    page = "# Page\n\nBy hand.\n"
    for name in ("one", "two"):
        page = sections.put(page, name, f"{name}, first\n")

    page = sections.put(page, "one", "one, second, with <!-- a comment --> and \\1\n")

    assert page == (
        "# Page\n\nBy hand.\n\n"
        f"{sections.begin('one')}\n\none, second, with <!-- a comment --> and \\1\n\n{sections.end('one')}\n\n"
        f"{sections.begin('two')}\n\ntwo, first\n\n{sections.end('two')}\n"
    )
    assert sections.put(page, "two", "two, first") == page


@pytest.mark.parametrize(
    "broken",
    [
        sections.begin("one"),
        sections.end("one"),
        f"{sections.end('one')}\n{sections.begin('one')}",
        f"{sections.begin('one')}{sections.end('one')}" * 2,
    ],
)
def test_a_page_whose_markers_are_broken_is_left_alone(broken: str) -> None:
    with pytest.raises(ValueError, match="by hand"):
        sections.put(broken, "one", "text")


def test_the_page_of_reliability_has_one_place_for_each_command_that_writes_it() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    names = (CRASH, PLAIN, FAULTED)
    assert len(set(names)) == 3
    for name in names:
        written = sections.put(page, name, "new")
        assert written.count(sections.begin(name)) == 1
        for other in set(names) - {name}:
            assert _between(written, other) == _between(page, other) != ""
    assert _between(page, CRASH).startswith("## The crash soak")


def _between(page: str, name: str) -> str:
    return page.partition(sections.begin(name))[2].partition(sections.end(name))[0].strip()
