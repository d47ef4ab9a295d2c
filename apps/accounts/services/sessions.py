"""Sessions of browsers, where no request carries one along."""

from importlib import import_module
from types import SimpleNamespace
from typing import Any, cast

from django.conf import settings
from django.contrib.auth import get_user

from apps.accounts.models import User
from apps.accounts.services import second_factors


def person_of_session(session_key: str) -> User | None:
    """Who is signed in with this session now; None after a sign-out, its end, a new password, or a deactivation,
    and before a second factor that their roles need.

    Asks as Django's own middleware does for a request.
    """
    store = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    person = get_user(cast(Any, SimpleNamespace(session=store)))
    if not isinstance(person, User) or not person.is_active:
        return None
    return person if second_factors.is_settled(store, person) else None
