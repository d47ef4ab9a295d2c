"""What is said to whoever is locked out."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from apps.accounts.lockouts import address_of, name_tried
from apps.accounts.services import lockouts


def locked(
    request: HttpRequest, response: HttpResponse | None = None, credentials: Mapping[str, Any] | None = None
) -> HttpResponse:
    """The same page for everybody, whether there is such a person or not. Named by `AXES_LOCKOUT_CALLABLE`."""
    lockouts.record_locked(name=name_tried(request, credentials), address=address_of(request) or "", now=timezone.now())
    return render(request, "account/locked.html", {"minutes": lockouts.minutes()}, status=429)
