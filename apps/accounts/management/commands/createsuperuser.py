"""manage.py createsuperuser: Django's own, and the first administrator is in the audit log as everybody after them."""

from typing import Any

from django.contrib.auth.management.commands import createsuperuser
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.services import people
from apps.audit.types import Actor
from apps.common.commands import StyledCommand


class _Recorded:
    """`User` as Django's command asks it, but for making one: nothing else of that command sees the person it makes,
    and a transaction around it would be held while somebody types."""

    def __init__(self) -> None:
        self._default_manager = self

    def __call__(self, **fields: Any) -> User:
        return User(**fields)

    def __getattr__(self, name: str) -> Any:
        return getattr(User, name)

    def db_manager(self, _alias: str) -> "_Recorded":
        """There is one database."""
        return self

    def get_by_natural_key(self, username: str | None) -> User:
        """Raises User.DoesNotExist."""
        return User.objects.get_by_natural_key(username)

    def create_superuser(self, **fields: Any) -> User:
        """By the service, with its event."""
        actor = Actor.system("manage.py createsuperuser")
        return people.add_superuser(**fields, actor=actor, now=timezone.now())


class Command(StyledCommand, createsuperuser.Command):
    help = "Make a person who may do everything in the console but decide on what they asked for; written to the log."
    codes = "Exit codes: 0 the person is there; 1 stopped by Ctrl-C; 2 refused."

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.UserModel: Any = _Recorded()
