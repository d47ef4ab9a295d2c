"""Sessions of browsers, where no request carries one along."""

from importlib import import_module
from types import SimpleNamespace
from typing import Any, cast

from django.conf import settings
from django.contrib.auth import get_user

from apps.accounts.models import User


def person_of_session(session_key: str) -> User | None:
    """Who is signed in with this session now; None after a sign-out, its end, a new password, or a deactivation.

    Asks as Django's own middleware does for a request.
    """
    store = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    person = get_user(cast(Any, SimpleNamespace(session=store)))
    return person if isinstance(person, User) and person.is_active else None
