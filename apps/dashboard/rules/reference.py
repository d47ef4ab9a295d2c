"""The reference page of operators: commands, what runs by the clock, settings. Written so that it cannot drift."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

_HEAD: Final = """# Reference

Written by `manage.py write_reference`; a test compares it with the code, `config/beat.py` and `.env.example`.

## Commands

`manage.py NAME`. Options that every command of Django has (`--settings`, `--verbosity` and so on) are left out.
"""
_BEAT: Final = """
## What runs by the clock

`manage.py sync_beat` creates these rows; `manage.py beat_status` says which of them are late. A person may change how
often one runs, or switch it off, in the admin.

| name | task | every, seconds | what its stop breaks |
|---|---|---|---|
"""
_SETTINGS: Final = """
## Settings

Variables of the environment, with the defaults and in the order of `.env.example`; any `NAME` may be given as
`NAME_FILE`, the path of a file that holds the value.

| variable | default | what it says |
|---|---|---|
"""
_VARIABLE: Final = re.compile(r"([A-Z][A-Z0-9_]*)=(.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One argument of a command: how it is written, its default in words, and what it says."""

    written: str
    default: str
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """One command: its name, its help and its own options in the order in which it takes them."""

    name: str
    says: str
    options: tuple[Option, ...]


class Row(Protocol):
    """What the page needs of a row of the schedule."""

    @property
    def name(self) -> str: ...
    @property
    def task(self) -> str: ...
    @property
    def every_s(self) -> int: ...
    @property
    def why(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One setting of `.env.example`: its default there and the comment above it."""

    name: str
    default: str
    says: str


def variables(text: str) -> tuple[Variable, ...]:
    """Every variable of an `.env` file, with the comment lines that stand directly above it."""
    found, comment = [], list[str]()
    for line in text.splitlines():
        match = _VARIABLE.fullmatch(line)
        if line.startswith("#"):
            comment.append(line.removeprefix("#").strip())
            continue
        if match is not None:
            found.append(Variable(name=match[1], default=match[2], says=" ".join(comment)))
        comment = []
    return tuple(found)


def reference_page(*, commands: Sequence[Described], schedule: Iterable[Row], settings: Sequence[Variable]) -> str:
    """docs/reference.md as it must be."""
    beat = "".join(f"| {row.name} | `{row.task}` | {row.every_s:,} | {_cell(row.why)} |\n" for row in schedule)
    env = "".join(
        f"| `{one.name}` | {f'`{one.default}`' if one.default else ''} | {_cell(one.says)} |\n" for one in settings
    )
    return _HEAD + "".join(map(_command, commands)) + _BEAT + beat + _SETTINGS + env


def _command(command: Described) -> str:
    page = f"\n### {command.name}\n\n{_plain(command.says)}\n"
    if not command.options:
        return page
    page += "\n| option | default | meaning |\n|---|---|---|\n"
    return page + "".join(f"| `{one.written}` | {one.default} | {_cell(one.says)} |\n" for one in command.options)


def _plain(text: str) -> str:
    """Words in which no Markdown or HTML is hidden: `<id>` is read, not swallowed."""
    return " ".join(text.split()).replace("<", "&lt;").replace("*", "\\*")


def _cell(text: str) -> str:
    """The same in one cell of a table."""
    return _plain(text).replace("|", "\\|")
