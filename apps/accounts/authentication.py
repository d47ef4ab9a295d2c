"""Who is calling the API: a program with a key, or a signed-in person."""

from typing import cast

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from apps.accounts.errors import Unauthenticated
from apps.accounts.models import ApiKey, User
from apps.accounts.services import api_keys
from apps.accounts.types import Principal
from apps.common.api import rates
from apps.common.client_address import client_address
from apps.common.errors import Forbidden


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer aika_<prefix>_<secret>`; `request.user` is the owner, `request.auth` the key.

    A header that is there but wrong is refused: it never falls through to the session of a browser.
    """

    def authenticate(self, request: Request) -> tuple[User, ApiKey] | None:
        """The owner and the key, or None without the header. Raises `Unauthenticated` and `Forbidden` (see `api_keys`).

        Failures are counted per key and per address, and refused as `RateExceeded` beyond their bounds. The right key
        from an address that others fail from still works.
        """
        header = request.headers.get("Authorization")
        if header is None:
            return None
        address = client_address(request.META)
        try:
            key = api_keys.authenticate(header=header, address=address, now=timezone.now())
        except Unauthenticated:
            rates.count_failure(address=address, name=api_keys.prefix_in(header))
            raise
        return key.owner, key

    def authenticate_header(self, request: Request) -> str:
        """The value of `WWW-Authenticate` on a 401."""
        return 'Bearer realm="aika"'


class SessionPersonAuthentication(SessionAuthentication):
    """A person signed in with the browser. Every unsafe method needs the CSRF token."""

    def enforce_csrf(self, request: Request) -> None:
        """Django's own check. Raises `Forbidden` CSRF_FAILED."""
        try:
            super().enforce_csrf(request)
        except PermissionDenied as error:
            raise Forbidden(
                "CSRF_FAILED", "The CSRF token is missing or wrong.", fix="Reload the page and try again."
            ) from error


def principal_of(request: Request) -> Principal:
    """The caller as a value, for services. Raises `Unauthenticated` NOT_SIGNED_IN for nobody."""
    user, key = request.user, request.auth
    if not isinstance(user, User):
        raise Unauthenticated("NOT_SIGNED_IN", "Sign in, or send an API key.", fix="Authorization: Bearer aika_…")
    if isinstance(key, ApiKey):
        return Principal(user_id=user.pk, api_key_id=key.pk, name=f"{key.name} ({user.shown_name})")
    return Principal(user_id=user.pk, api_key_id=None, name=user.shown_name)


def person_of(request: Request) -> User:
    """The signed-in person, or the owner of the key. Raises `Unauthenticated` NOT_SIGNED_IN for nobody."""
    principal_of(request)
    return cast(User, request.user)
