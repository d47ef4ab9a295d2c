"""manage.py write_reference: docs/reference.md, from the commands, the schedule and .env.example."""

from argparse import Action
from pathlib import Path
from typing import Final

from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand

from apps.common.commands import PageCommand
from apps.dashboard.rules.reference import Described, Option, reference_page, variables

PROGRAM: Final = "manage.py"


class Command(PageCommand):
    help = "Write docs/reference.md from the commands, config/beat.py and .env.example. A test compares the two."
    page_name = "reference.md"

    def page(self) -> str:
        env = (Path(settings.BASE_DIR) / ".env.example").read_text(encoding="utf-8")
        return reference_page(commands=described(), schedule=settings.BEAT_DEFAULTS, settings=variables(env))


def described() -> list[Described]:
    """Every command of our own apps by name, with what its parser takes beside what each command of Django takes."""
    ours = sorted((name, app) for name, app in get_commands().items() if app.startswith("apps."))
    everybodys = {word for action in _actions(BaseCommand(), "") for word in action.option_strings}
    found = []
    for name, app in ours:
        command = load_command_class(app, name)
        own = [action for action in _actions(command, name) if not everybodys.intersection(action.option_strings)]
        found.append(Described(name=name, says=command.help, options=tuple(map(_option, own))))
    return found


def _actions(command: BaseCommand, name: str) -> list[Action]:
    return command.create_parser(PROGRAM, name)._actions


def _option(action: Action) -> Option:
    """A flag is its name; what takes a value names it, and `...` says that it takes more than one."""
    value = str(action.metavar or action.dest.upper())
    several = "..." if action.nargs in ("+", "*") else ""
    written = [*action.option_strings[-1:], *([] if action.nargs == 0 else [value + several])]
    says = [action.help] if action.help else []
    if action.choices is not None:
        says.append(f"one of {', '.join(map(str, action.choices))}")
    return Option(written=" ".join(written), default=_default(action), says="; ".join(says))


def _default(action: Action) -> str:
    """The default as it would be typed; nothing where there is none, as for a flag."""
    if action.required:
        return "required"
    if action.default is None or action.default is False or action.default in ("", []):
        return ""
    return f"`{action.default}`"
