"""Which addresses a venue's API may have."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from apps.common.errors import Misconfigured


def origin_of(api_base: str, *, prefix: str = "") -> str:
    """The origin to call; `prefix` is a path that may stand behind it.

    Raises Misconfigured VENUE_ADDRESS_UNUSABLE unless it is https, or http on this very machine.
    """
    parts = urlsplit(api_base.rstrip("/"))
    host = parts.hostname or ""
    wrong = Misconfigured(
        "VENUE_ADDRESS_UNUSABLE",
        "The address of the venue's API cannot be used.",
        fix="Give https://host, without a path, user or query; http:// only for localhost.",
    )
    if parts.scheme not in {"https", "http"} or not host or "@" in parts.netloc or parts.query or parts.fragment:
        raise wrong
    if parts.path not in {"", prefix} or (parts.scheme == "http" and not is_loopback(host)):
        raise wrong
    return f"{parts.scheme}://{parts.netloc}"


def is_loopback(host: str) -> bool:
    """Whether this host name or address is the machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
