"""manage.py changepassword: asks as Django's own does, and the new password is in the audit log as everywhere else."""

import getpass
from argparse import ArgumentParser
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.services import people
from apps.audit.types import Actor
from apps.common.commands import StyledCommand

TRIES_MAX: Final = 3


class Command(StyledCommand):
    help = "Give a person a new password, which is asked for twice; their sessions end, and the audit log has it."
    requires_migrations_checks = True
    # A wrong setting must not keep an operator from a way in.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username", nargs="?", help="whose; by default the name of who runs this")

    def handle(self, *args: Any, **options: Any) -> None:
        username = options["username"] or getpass.getuser()
        try:
            person = User.objects.get_by_natural_key(username)
        except User.DoesNotExist as error:
            raise CommandError(f"There is nobody with the user name {username!r}.") from error
        self.stdout.write(f"A new password for {username}")
        for _ in range(TRIES_MAX):
            if self._is_set(person, _typed("Password: "), _typed("Password (again): ")):
                self.stdout.write(f"{username} has a new password, and is signed out everywhere.")
                return
        raise CommandError(f"{TRIES_MAX} passwords were refused: {username} keeps the old one.")

    def _is_set(self, person: User, first: str, second: str) -> bool:
        """The transaction is short: nothing is held while somebody types."""
        if first != second:
            self.stderr.write("The two are not the same. Try again.")
            return False
        actor = Actor.system("manage.py changepassword")
        try:
            people.set_password(person=person, password=first, actor=actor, now=timezone.now())
        except ValidationError as error:
            self.stderr.write("\n".join(error.messages))
            return False
        return True


def _typed(prompt: str) -> str:
    """Raises CommandError where nothing is typed: somebody changed their mind."""
    password = getpass.getpass(prompt)
    if not password:
        raise CommandError("Nothing was typed: the password stays as it is.")
    return password
