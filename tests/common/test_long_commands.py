"""How long commands say how far they are, and how they end."""

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command, get_commands, load_command_class

from apps.common.commands import Exit, LongCommand, instant_option
from apps.common.errors import Invalid
from apps.common.progress import Progress, line


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


LONG = (
    *("audit_export", "audit_verify", "backfill_candles", "backfill_lessons", "check_reservations", "demo_agent"),
    *("ingest_knowledge", "lessons_help", "rebuild_index", "reconcile", "replay_decisions", "rotate_keys"),
    "sweep_index",
)


@pytest.mark.parametrize("name", LONG)
def test_every_command_that_takes_long_has_the_same_style(name: str) -> None:
    command = load_command_class(get_commands()[name], name)
    said = command.create_parser("manage.py", name).format_help()

    assert isinstance(command, LongCommand)
    assert "--json" in said and "130 stopped by Ctrl-C" in " ".join(said.split())


def test_a_day_is_its_first_moment() -> None:
    day, moment = instant_option("2026-11-22", "--since"), instant_option("2026-11-22T00:00:00Z", "--since")
    assert day == moment is not None
    assert instant_option(None, "--since") is None
    with pytest.raises(CommandError, match="--since"):
        instant_option("2026-13-45", "--since")
