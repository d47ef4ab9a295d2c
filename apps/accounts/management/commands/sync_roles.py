"""`manage.py sync_roles`: make the groups equal to the table of roles."""

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from apps.accounts.services import roles


class Command(BaseCommand):
    """Run after `migrate`, as often as you like."""

    help = "Give each role exactly the permissions of the table in apps/accounts/services/roles.py."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print what changed, one line a role."""
        changes = roles.sync_roles(now=timezone.now())
        if options["verbosity"] == 0:
            return
        for role, (added, removed) in changes.items():
            self.stdout.write(
                " ".join([f"{role}:", *(f"+{name}" for name in added), *(f"-{name}" for name in removed)])
            )
        if not changes:
            self.stdout.write("All roles are as the table says.")
