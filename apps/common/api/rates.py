"""How often a caller may ask, and how often anybody may fail to say who they are: by the minute."""

import ipaddress
import time
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

from django.core.cache import cache, caches
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import BaseThrottle

from apps.common.cache import SharedCache
from apps.common.client_address import parse_address
from apps.common.errors import AikaError

if TYPE_CHECKING:
    # The framework imports whoever authenticates while it is imported itself, and that counts failures here.
    from rest_framework.views import APIView

WINDOW_S: Final = 60
_KEPT_MAX: Final = 4096
_over: dict[str, int] = {}
_heard: dict[str, tuple[int, int, float]] = {}
READS: Final = ("GET", "HEAD", "OPTIONS")
# Failed authentications a minute. No secret can be guessed; this tells a program gone astray, and slows it.
FAILURES_PER_ADDRESS_MAX: Final = 60
FAILURES_PER_NAME_MAX: Final = 20
_IPV6_NETWORK_BITS: Final = 64  # what one customer is usually given: the rest of the address is theirs to change


class RateExceeded(AikaError):
    """Too much within a minute (HTTP 429); `details["retry_after"]` are the seconds to wait."""

    http_status: ClassVar[int] = 429


class _Minute(NamedTuple):
    """The fixed minute that is running, and how many of its seconds are over."""

    number: int
    into_s: float

    @classmethod
    def now(cls) -> "_Minute":
        number, into_s = divmod(time.time(), WINDOW_S)
        return cls(int(number), into_s)

    @property
    def wait_s(self) -> float:
        return WINDOW_S - self.into_s

    def counted(self, name: str, by: int = 1) -> float:
        """Count so many more; what was counted in the last 60 s with them."""
        return self._used(name, _count(f"rate:{name}:{self.number}", by))

    def told(self, name: str) -> float:
        """What was counted in the last 60 s."""
        return self._used(name, cache.get(f"rate:{name}:{self.number}", 0))

    def _used(self, name: str, count: int) -> float:
        """The minute before counts with the part of it that lies within the last 60 s."""
        return count + _before(f"rate:{name}:{self.number - 1}") * (1 - self.into_s / WINDOW_S)


class CallerRate(BaseThrottle):
    """A sliding count over two fixed minutes: one atomic increment of the cache per request, and one read of it
    per minute, caller and process, besides one per second and key for its failures.

    Rates are REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"], `read` and `write`; a key may have a lower one of its own, for
    each of the two. Refused requests count too. A key under whose name too many have failed is refused here and not
    where it is recognised: whoever halts is not asked.
    """

    def __init__(self) -> None:
        self._wait_s: float | None = None

    def allow_request(self, request: Request, view: "APIView") -> bool:
        """Whether this request is within the rate of its caller. Raises RateExceeded AUTHENTICATION_FAILURES."""
        name, allowed = _bucket(request)
        minute = _Minute.now()
        prefix = getattr(request.auth, "prefix", None)
        if prefix is not None and _failures_heard(str(prefix), minute) >= FAILURES_PER_NAME_MAX:
            raise _too_many_failures(minute)
        if minute.counted(name) <= allowed:
            return True
        self._wait_s = minute.wait_s
        return False

    def wait(self) -> float | None:
        """Seconds until it is worth asking again."""
        return self._wait_s


def count_more(request: Request, count: int) -> None:
    """Count `count` more requests of this caller, for one that does the work of several. Raises RateExceeded
    RATE_EXCEEDED beyond the rate of the caller: then none of them is done, and they are counted all the same."""
    name, allowed = _bucket(request)
    minute = _Minute.now()
    if count and minute.counted(name, count) > allowed:
        raise RateExceeded(
            "RATE_EXCEEDED",
            f"Each of these counts as a request, and at most {allowed} are taken a minute.",
            fix="Send fewer at once, or wait as long as Retry-After says.",
            retry_after=str(max(int(minute.wait_s), 1)),
        )


def _bucket(request: Request) -> tuple[str, int]:
    """Where the requests of this caller are counted, and how many there may be a minute."""
    verb = "read" if request.method in READS else "write"
    allowed = int(str(api_settings.DEFAULT_THROTTLE_RATES[verb]).partition("/")[0])
    allowed = min(allowed, getattr(request.auth, "requests_per_minute", None) or allowed)
    return f"{verb}:{getattr(request.auth, 'pk', None) or request.user.pk}", allowed


def count_failure(*, address: str, name: str | None) -> None:
    """Count one failed authentication for the address it came from, and the name it was tried under, if it had one.

    Raises RateExceeded AUTHENTICATION_FAILURES where there were too many of either.
    """
    minute = _Minute.now()
    used = [minute.counted(f"failed:address:{_network(address)}") > FAILURES_PER_ADDRESS_MAX]
    if name is not None:
        used.append(minute.counted(_failed_name(name)) > FAILURES_PER_NAME_MAX)
        _heard.pop(name, None)
    if any(used):
        raise _too_many_failures(minute)


def count_use(name: str, *, allowed: int) -> None:
    """Count one use of what has a rate of its own. Raises RateExceeded RATE_EXCEEDED beyond `allowed` a minute."""
    minute = _Minute.now()
    if minute.counted(f"use:{name}") > allowed:
        raise RateExceeded(
            "RATE_EXCEEDED",
            f"At most {allowed} requests a minute are taken here.",
            fix="Wait as long as Retry-After says.",
            retry_after=str(max(int(minute.wait_s), 1)),
        )


def _failures_heard(name: str, minute: _Minute) -> float:
    """How many failed under the name lately. What other processes counted is heard within a second."""
    second = int(minute.into_s)
    heard = _heard.get(name)
    if heard is None or heard[:2] != (minute.number, second):
        if len(_heard) >= _KEPT_MAX:
            _heard.clear()
        heard = _heard[name] = (minute.number, second, minute.told(_failed_name(name)))
    return heard[2]


def _failed_name(name: str) -> str:
    return f"failed:name:{name}"


def _too_many_failures(minute: _Minute) -> RateExceeded:
    return RateExceeded(
        "AUTHENTICATION_FAILURES",
        "Too many requests with a key that is not valid have come from here, or named this key.",
        fix="Stop the program that sends the wrong key, and wait as long as Retry-After says.",
        retry_after=str(max(int(minute.wait_s), 1)),
    )


def _network(address: str) -> str:
    parsed = parse_address(address)
    if not isinstance(parsed, ipaddress.IPv6Address):
        # A unix socket has no address: who comes through it shares one bound.
        return "none" if parsed is None else str(parsed)
    return str(ipaddress.ip_network((parsed, _IPV6_NETWORK_BITS), strict=False).network_address)


def _before(key: str) -> int:
    """The count of the minute before. It is over, so this process asks once."""
    found = _over.get(key)
    if found is None:
        if len(_over) >= _KEPT_MAX:
            _over.clear()
        found = _over[key] = cache.get(key, 0)
    return found


def _count(key: str, by: int) -> int:
    shared = caches["default"]
    if isinstance(shared, SharedCache):
        return shared.count(key, 2 * WINDOW_S, by)
    try:
        return cache.incr(key, by)
    except ValueError:
        # Two may find none at once: only one adds it, and both count.
        cache.add(key, 0, timeout=2 * WINDOW_S)
        return cache.incr(key, by)
