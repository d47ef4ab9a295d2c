"""A browser test that reads a page once, right after a click, reads the page before it on a slow machine."""

import ast

from tests.architecture.source import ROOT

# What answers at once, of the page that happens to be there. `expect(...)` asks until it is so.
AT_ONCE = {"is_visible", "is_hidden", "is_enabled", "is_disabled", "is_checked", "inner_text", "text_content"}


def read_once(text: str) -> list[int]:
    """The lines of the assertions in it that a page is asked for only once."""
    return [
        each.lineno
        for each in ast.walk(ast.parse(text))
        if isinstance(each, ast.Assert)
        for call in ast.walk(each.test)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in AT_ONCE
    ]


def test_no_browser_test_asserts_what_it_read_once() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: say expect(...) instead"
        for path in sorted((ROOT / "tests" / "browser").glob("*.py"))
        for line in read_once(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_an_assertion_of_that_kind_is_found() -> None:
    assert read_once('page.click()\nassert page.get_by_text("Paper:").is_visible()') == [2]
    assert read_once('expect(page.get_by_text("Paper:")).to_be_visible()') == []
