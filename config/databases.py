"""Which of the two PostgreSQL roles a process connects as.

The owner of the tables may change and drop them, triggers included. So the application connects as another role, and
only the commands that need the owner get `MIGRATION_DATABASE_URL` in place of `DATABASE_URL`.
"""

from collections.abc import Sequence
from pathlib import PurePath

OWNER_COMMANDS = frozenset({"migrate", "grant_roles"})


def is_owner_command(command_line: Sequence[str]) -> bool:
    """Whether `python manage.py COMMAND ...` is one that changes tables or rights."""
    return (
        len(command_line) > 1
        and PurePath(command_line[0]).name in {"manage.py", "django-admin"}
        and command_line[1] in OWNER_COMMANDS
    )
