"""What django-axes asks us: who was tried, and from where."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest

from apps.common.client_address import client_address, parse_address

NAME_CHARS_MAX = 254


def name_tried(request: HttpRequest, credentials: Mapping[str, Any] | None = None) -> str:
    """The name or address that was entered, as one spelling of it. Named by `AXES_USERNAME_CALLABLE`."""
    given = credentials or {}
    entered = given.get("username") or given.get("email") or request.POST.get("login") or ""
    return str(entered).strip().lower()[:NAME_CHARS_MAX]


def address_of(request: HttpRequest) -> str | None:
    """Where from; None for what is no address. Named by `AXES_CLIENT_IP_CALLABLE`."""
    address = parse_address(client_address(request.META))
    return None if address is None else str(address)
