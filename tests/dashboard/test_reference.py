"""docs/reference.md says what the commands, the schedule and .env.example say, and nothing of them is left out."""

import io
import re
from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command

from apps.dashboard.management.commands import write_reference
from apps.dashboard.management.commands.write_reference import _actions, _option, described
from apps.dashboard.rules.reference import Variable, reference_page, variables
from apps.policies.management.commands import halt
from config.beat import SCHEDULE
from tests.architecture.test_env import documented

ROOT = Path(settings.BASE_DIR)
PAGE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
ENV = (ROOT / ".env.example").read_text(encoding="utf-8")


def test_the_page_is_as_the_code_is() -> None:
    printed = io.StringIO()
    call_command("write_reference", "--print", stdout=printed)
    assert printed.getvalue() == PAGE, "Run manage.py write_reference."


def test_what_changes_in_the_code_makes_the_page_old(monkeypatch: pytest.MonkeyPatch) -> None:
    command = write_reference.Command()
    assert command.page() == PAGE
    with monkeypatch.context() as changed:
        changed.setattr(halt.Command, "help", "Something else.")
        assert command.page() != PAGE
    with monkeypatch.context() as changed:
        changed.setattr(settings, "BEAT_DEFAULTS", (replace(SCHEDULE[0], every_s=3), *SCHEDULE[1:]))
        assert command.page() != PAGE
    said = variables(ENV)
    newer = (*said[:-1], replace(said[-1], default="another"))
    assert reference_page(commands=described(), schedule=SCHEDULE, settings=said) == PAGE
    assert reference_page(commands=described(), schedule=SCHEDULE, settings=newer) != PAGE


def test_every_command_row_and_variable_stands_on_it() -> None:
    folders = ROOT.glob("apps/*/management/commands/*.py")
    files = {path.stem for path in folders if not path.stem.startswith("_")}
    assert {command.name for command in described()} == files == set(re.findall(r"^### (\w+)$", PAGE, re.MULTILINE))
    assert all(f"| {row.name} | `{row.task}` | {row.every_s:,} |" in PAGE for row in SCHEDULE)
    assert {one.name for one in variables(ENV)} == set(documented())


def test_nothing_of_ours_is_left_unsaid() -> None:
    assert [command.name for command in described() if not command.says] == []
    assert [one.name for one in variables(ENV) if not one.says.endswith(".")] == []


def test_an_option_is_written_as_it_is_typed() -> None:
    parser = ArgumentParser(add_help=False)
    parser.add_argument("paths", nargs="+", metavar="PATH")
    parser.add_argument("--reason", required=True, help="why")
    parser.add_argument("-g", "--granularity", choices=["1m", "5m"], default="1m")
    parser.add_argument("--dry-run", action="store_true", help="write nothing")
    parser.add_argument("--fault", action="append", default=[], metavar="KIND")
    parser.add_argument("--after", type=int, default=0)
    found = [_option(action) for action in parser._actions]
    assert [(one.written, one.default, one.says) for one in found] == [
        ("PATH...", "required", ""),
        ("--reason REASON", "required", "why"),
        ("--granularity GRANULARITY", "`1m`", "one of 1m, 5m"),
        ("--dry-run", "", "write nothing"),
        ("--fault KIND", "", ""),
        ("--after AFTER", "`0`", ""),
    ]


def test_djangos_own_options_are_left_out_and_ours_are_not() -> None:
    shared = {word for action in _actions(write_reference.Command(), "") for word in action.option_strings}
    assert {"--settings", "--verbosity", "--print"} <= shared
    assert "`--print`" in PAGE and "--settings`, `--verbosity`" in PAGE and "| `--settings" not in PAGE


def test_a_variable_has_the_comment_that_stands_directly_above_it() -> None:
    text = "# Of the whole section.\n\n# First line\n# and second.\nA_NAME=1\nBARE=\n"
    assert variables(text) == (
        Variable(name="A_NAME", default="1", says="First line and second."),
        Variable(name="BARE", default="", says=""),
    )


def test_a_cell_holds_what_would_break_a_table() -> None:
    odd = Variable(name="ODD", default="", says="a|b <id> *c*")
    assert "| `ODD` |  | a\\|b &lt;id> \\*c\\* |" in reference_page(commands=[], schedule=[], settings=[odd])
