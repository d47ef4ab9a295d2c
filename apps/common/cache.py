"""The shared cache, in Redis: Django's own, but for one client per process instead of one per call.

A client is safe to share among threads, and making one costs more than most of what it is asked.
"""

from typing import Any, cast

from django.core.cache.backends.redis import RedisCache, RedisCacheClient


class OneClient(RedisCacheClient):
    """Keeps the client it reads with, and the one it writes with."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._kept: dict[bool, Any] = {}

    def count(self, key: Any, timeout_s: int) -> int:
        """One more under this key, which is forgotten `timeout_s` after its first; how many there are now.

        Both happen or neither, in one round trip: a count that lost its expiry would be kept for good. Django's own
        `incr` asks first whether there is one.
        """
        with self.get_client(key, write=True).pipeline(transaction=True) as both:
            both.set(key, 0, ex=timeout_s, nx=True)
            both.incr(key)
            return int(both.execute()[1])

    def get_client(self, key: Any = None, *, write: bool = False) -> Any:
        found = self._kept.get(write)
        if found is None:
            found = self._kept[write] = super().get_client(key, write=write)
        return found


class SharedCache(RedisCache):
    """Django's cache in Redis over `OneClient`."""

    def __init__(self, server: Any, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = OneClient

    def count(self, key: str, timeout_s: int) -> int:
        """As `OneClient.count`."""
        return cast(OneClient, self._cache).count(self.make_and_validate_key(key), timeout_s)
