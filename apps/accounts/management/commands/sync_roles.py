"""`manage.py sync_roles`: make the groups equal to the table of roles."""

from typing import Any

from django.utils import timezone

from apps.accounts.services import roles
from apps.common.commands import AnswerCommand


class Command(AnswerCommand):
    """Run after `migrate`, as often as you like."""

    help = "Give each role exactly the permissions of the table in apps/accounts/services/roles.py."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print what changed, one line a role."""
        changes = roles.sync_roles(now=timezone.now())
        if options["verbosity"] == 0:
            return
        lines = [
            " ".join([f"{role}:", *(f"+{name}" for name in added), *(f"-{name}" for name in removed)])
            for role, (added, removed) in changes.items()
        ]
        record = {role: {"added": list(added), "removed": list(removed)} for role, (added, removed) in changes.items()}
        self.finish(record, as_json=options["json"], lines=lines or ["All roles are as the table says."])
