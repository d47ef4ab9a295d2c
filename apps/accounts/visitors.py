"""Where a request comes from, what its browser calls itself, and where it may be led."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest
from django.http.request import validate_host

from apps.common.client_address import client_address

ADDRESS_CHARS_MAX: Final = 45
DEVICE_CHARS_MAX: Final = 200
_BROWSERS: Final = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS: Final = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "Mac"),
    ("Linux", "Linux"),
)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Where a request comes from, and what its browser calls itself."""

    address: str = ""
    device: str = ""


def visitor_of(request: HttpRequest) -> Visitor:
    """Of this request."""
    device = "".join(sign for sign in request.headers.get("User-Agent", "") if sign.isprintable())
    return Visitor(client_address(request.META)[:ADDRESS_CHARS_MAX], device[:DEVICE_CHARS_MAX])


def device_words(device: str) -> str:
    """`Chrome on Linux`; what the browser calls itself where that says neither."""
    browser = next((name for mark, name in _BROWSERS if mark in device), "")
    system = next((name for mark, name in _SYSTEMS if mark in device), "")
    return (
        " on ".join(part for part in (browser, system) if part)
        or device[:60]
        or "A device that does not say what it is"
    )


def is_ours(origin: str) -> bool:
    """Whether this is an address of this installation, as ALLOWED_HOSTS has them."""
    return validate_host(urlsplit(origin).hostname or "", settings.ALLOWED_HOSTS)
