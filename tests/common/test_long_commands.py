"""The one style of commands: how long ones say how far they are, what a program reads, and how all of them end."""

import ast
import inspect
import io
import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.management.commands import createsuperuser
from django.core.management import (
    BaseCommand,
    CommandError,
    call_command,
    execute_from_command_line,
    get_commands,
    load_command_class,
)

from apps.accounts.management.commands import changepassword
from apps.common.commands import Exit, LongCommand, PageCommand, ServiceCommand, StyledCommand, instant_option
from apps.common.errors import Invalid
from apps.common.progress import Progress, line
from apps.policies.rules import reason_codes_page


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def play(stream: io.StringIO, seconds: int, *, total: int | None, what: str = "candles") -> str:
    """Ten of them a second, for so many seconds."""
    now = [100.0]
    with Progress(what, stream=stream, clock=lambda: now[0]) as progress:
        progress(0, total)
        for done in range(1, seconds * 10 + 1):
            now[0] += 0.1
            progress(done, total)
        during = stream.getvalue()
    return during


def test_elsewhere_there_is_a_line_every_five_seconds_and_one_at_the_end() -> None:
    said = play(io.StringIO(), 12, total=120).splitlines()

    assert said == [
        "candles: 51 of 120 (42 %), 10 a second, 7 s left",
        "candles: 102 of 120 (85 %), 10 a second, 2 s left",
        "candles: 120 of 120 (100 %), 10 a second, 0 s left",
    ]


def test_what_is_over_at_once_needs_no_line() -> None:
    assert play(io.StringIO(), 2, total=20) == ""


def test_of_an_unknown_number_the_rate_is_said() -> None:
    assert play(io.StringIO(), 6, total=None).splitlines() == ["candles: 51, 10 a second"]
    assert line("events", 0, 0, 0) == "events: 0 of 0 (0 %), 0 a second"


def test_on_a_terminal_there_is_a_bar_with_rate_and_time_left_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    stream = Terminal()
    during = play(stream, 12, total=240)

    assert "━" in during and "50%" in during and "120 10 a second" in during and "0:00:1" in during
    assert not during.endswith("\n") and len(stream.getvalue()) > len(during)


class Example(LongCommand):
    requires_system_checks: list[str] = []
    code = Exit.WELL
    error: BaseException | None = None

    def handle(self, *args: Any, **options: Any) -> None:
        if self.error is not None:
            raise self.error
        self.finish({"b": 1, "a": [2]}, as_json=options["json"], lines=["one", "two"], code=self.code)


def test_json_is_one_line_and_words_are_lines() -> None:
    out = io.StringIO()
    call_command(Example(), stdout=out)
    assert out.getvalue() == "one\ntwo\n"

    out = io.StringIO()
    call_command(Example(), json=True, stdout=out)
    assert json.loads(out.getvalue()) == {"a": [2], "b": 1} and out.getvalue().count("\n") == 1


def test_the_exit_code_says_how_it_ended() -> None:
    command, out, err = Example(), io.StringIO(), io.StringIO()
    command.code = Exit.DIFFERS
    with pytest.raises(SystemExit) as ended:
        call_command(command, stdout=out, stderr=err)
    assert (ended.value.code, out.getvalue()) == (1, "one\ntwo\n")

    command.error = KeyboardInterrupt()
    with pytest.raises(SystemExit) as ended:
        call_command(command, stdout=out, stderr=err)
    assert (ended.value.code, err.getvalue()) == (130, "Stopped.\n")

    with pytest.raises(CommandError, match="NO: It cannot. Do that.") as refused:
        command.refuse(Invalid("NO", "It cannot.", fix="Do that."))
    assert refused.value.returncode == 2


LONG = {
    *(
        "audit_export",
        "audit_rows",
        "audit_verify",
        "backfill_candles",
        "backfill_lessons",
        "check_reservations",
        "clear_halted",
    ),
    *("evaluate_recall", "ingest_knowledge", "lessons_help", "rebuild_index", "reconcile", "replay_decisions"),
    *("rotate_keys", "seed_demo", "sweep_index"),
}
# What answers nothing a program could read: services have logs, pages are files, and Django's two ask a person.
SPEAKS_NO_JSON = (ServiceCommand, PageCommand, createsuperuser.Command, changepassword.Command)


def ours() -> dict[str, BaseCommand]:
    return {
        name: load_command_class(app, name) for name, app in sorted(get_commands().items()) if app.startswith("apps.")
    }


def calls_of(command: BaseCommand) -> set[str]:
    """The methods of its own that the code of a command calls."""
    tree = ast.parse(Path(inspect.getfile(type(command))).read_text(encoding="utf-8"))
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {one.attr for one in called if isinstance(one, ast.Attribute) and getattr(one.value, "id", "") == "self"}


def faults(name: str, command: BaseCommand, calls: set[str]) -> list[str]:
    """Where a command leaves the style of all of them."""
    if not isinstance(command, StyledCommand):
        return ["it is no StyledCommand"]
    said = " ".join(command.create_parser("manage.py", name).format_help().split())
    found = [] if "Exit codes: 0 " in said else ["--help does not say its exit codes"]
    if not isinstance(command, SPEAKS_NO_JSON):
        found += [] if "--json" in said else ["it has no --json"]
        found += [] if "finish" in calls else ["it does not end with finish, which writes the JSON"]
    if isinstance(command, LongCommand):
        found += [] if "progress" in calls else ["it takes long and does not say how far it is"]
        found += [] if "130 stopped by Ctrl-C" in said else ["--help does not say how Ctrl-C ends it"]
    return found


def test_every_command_has_the_same_style() -> None:
    commands = ours()
    assert len(commands) > 35
    found = {name: faults(name, command, calls_of(command)) for name, command in commands.items()}
    assert {name: told for name, told in found.items() if told} == {}
    assert {name for name, command in commands.items() if isinstance(command, LongCommand)} == LONG


class Bare(BaseCommand):
    pass


class Silent(LongCommand):
    """It takes `--json` away and says nothing of its exit codes."""

    codes = ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """None."""


def test_a_command_without_the_style_is_found() -> None:
    assert faults("bare", Bare(), {"finish", "progress"}) == ["it is no StyledCommand"]
    assert len(faults("silent", Silent(), set())) == 5
    assert faults("example", Example(), {"finish"}) == ["it takes long and does not say how far it is"]
    assert faults("example", Example(), {"finish", "progress"}) == []


class Refused(StyledCommand):
    requires_system_checks: list[str] = []
    returncode = 1

    def handle(self, *args: Any, **options: Any) -> None:
        raise CommandError("No.", returncode=self.returncode)


@pytest.mark.parametrize(("given", "ended"), [(1, 2), (2, 2), (3, 3)])
def test_what_is_refused_is_not_the_code_of_what_differs(given: int, ended: int) -> None:
    command = Refused()
    command.returncode = given
    with pytest.raises(CommandError) as refused:
        call_command(command)
    assert refused.value.returncode == ended


def test_a_page_is_printed_instead_of_written_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    execute_from_command_line(["manage.py", "write_reason_codes", "--print"])
    assert capsys.readouterr().out == reason_codes_page()


def test_a_day_is_its_first_moment() -> None:
    day, moment = instant_option("2026-11-22", "--since"), instant_option("2026-11-22T00:00:00Z", "--since")
    assert day == moment is not None
    assert instant_option(None, "--since") is None
    with pytest.raises(CommandError, match="--since"):
        instant_option("2026-13-45", "--since")
