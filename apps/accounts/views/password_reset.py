"""A forgotten password: allauth's page, and the key of its link is sealed while it waits in the session."""

from typing import Any, Final

from allauth.account.views import INTERNAL_RESET_SESSION_KEY, PasswordResetFromKeyView
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from apps.accounts.services.second_factors import is_sealed
from apps.common.encryption import open_text, seal_text
from apps.common.errors import Misconfigured

_PURPOSE: Final = "password reset"


class FromKeyView(PasswordResetFromKeyView):  # type: ignore[misc]  # allauth is not typed
    """Whoever reads the table of sessions, or a copy of it, sets nobody's password with it."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """The view's answer. A key that does not open is none: the page says that the link is not good."""
        session = request.session
        kept = session.get(INTERNAL_RESET_SESSION_KEY, "")
        if is_sealed(kept):
            session[INTERNAL_RESET_SESSION_KEY] = _opened(kept)
        try:
            response: HttpResponseBase = super().dispatch(request, *args, **kwargs)
        finally:
            waiting = session.get(INTERNAL_RESET_SESSION_KEY, "")
            if waiting:
                session[INTERNAL_RESET_SESSION_KEY] = seal_text(waiting, purpose=_PURPOSE)
        return response


def _opened(sealed: str) -> str:
    try:
        return open_text(sealed, purpose=_PURPOSE)
    except Misconfigured:
        return ""


from_key = FromKeyView.as_view()
