"""How a webhook is signed, and which addresses and secrets are refused. Values in, values out.

docs/alarms.md has the recipe by which a receiver verifies it; a test runs that very recipe.
"""

import hashlib
import hmac
import ipaddress
from typing import Final
from urllib.parse import urlsplit

SECRET_CHARS_MIN: Final = 32
PRODUCTION: Final = "production"


def signature(*, secret: str, timestamp: int, body: bytes) -> str:
    """`t=1764362677,v1=5f...`: HMAC-SHA256 over the timestamp (Unix seconds), a full stop and the body, in hex."""
    signed = str(timestamp).encode("ascii") + b"." + body
    return f"t={timestamp},v1={hmac.new(secret.encode('utf-8'), signed, hashlib.sha256).hexdigest()}"


def why_not(*, url: str, secret: str, environment: str) -> str:
    """Why nothing is sent to this address with this secret; "" where it is. Repeats neither of them."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "ALARM_WEBHOOK_URL is no address."
    if parts.scheme not in {"http", "https"} or not host or port == 0:
        return "ALARM_WEBHOOK_URL is no address of a web server."
    if parts.username or parts.password:
        return "ALARM_WEBHOOK_URL holds a name or password; who sends is proved by the signature."
    if parts.fragment:
        return "ALARM_WEBHOOK_URL has a part after #, which never reaches a server."
    if parts.scheme == "http" and environment == PRODUCTION:
        return "ALARM_WEBHOOK_URL must begin with https:// in production."
    if parts.scheme == "http" and not _is_this_machine(host):
        return "ALARM_WEBHOOK_URL must begin with https://, unless it is on this machine."
    if len(secret) < SECRET_CHARS_MIN:
        return f"ALARM_WEBHOOK_SECRET must have {SECRET_CHARS_MIN} characters or more."
    return ""


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
