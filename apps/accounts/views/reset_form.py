"""The form of who forgot a password: allauth's, whose mail leaves after the answer. Named by `ACCOUNT_FORMS`."""

from typing import Any

from allauth.account.forms import ResetPasswordForm
from django.http import HttpRequest

from apps.accounts.services import reset_links


class AskForLinkForm(ResetPasswordForm):  # type: ignore[misc]  # allauth is not typed
    """An address, whoever's."""

    def save(self, request: HttpRequest, **kwargs: Any) -> str:
        """Ask for the mail; the same steps for an address that nobody has."""
        origin = request.build_absolute_uri("/").removesuffix("/")
        reset_links.ask(person=self.users[0] if self.users else None, origin=origin)
        return str(self.cleaned_data["email"])
