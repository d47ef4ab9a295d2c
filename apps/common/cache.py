"""The caches. The shared one, in Redis: Django's own, but for one client per process instead of one per call.

A client is safe to share among threads, and making one costs more than most of what it is asked. Neither cache looks at
the letters of a key for what memcached would not take: that costs more than a look-up, and there is no memcached.
"""

import pickle
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache, RedisCacheClient


class LocalCache(LocMemCache):
    """Django's cache in the memory of this process."""

    def validate_key(self, key: str) -> None:
        """Every key is one."""

    def get_many(self, keys: Iterable[str], version: int | None = None) -> dict[str, Any]:
        """As Django's, which looks each up by itself."""
        made = {self.make_key(key, version): key for key in keys}
        with self._lock:  # type: ignore[attr-defined]  # the stubs know nothing of what Django's is made of
            kept, has_expired = self._cache, self._has_expired  # type: ignore[attr-defined]
            found = {key: kept[key] for key in made if not has_expired(key)}
        return {made[key]: pickle.loads(pickled) for key, pickled in found.items()}  # noqa: S301  our own

    def set_many(self, data: dict[str, Any], timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> list[Any]:
        """As Django's, which stores each by itself."""
        made = {self.make_key(key, version): pickle.dumps(value, self.pickle_protocol) for key, value in data.items()}
        ends_at = self.get_backend_timeout(timeout)
        with self._lock:  # type: ignore[attr-defined]
            kept, ends = self._cache, self._expire_info  # type: ignore[attr-defined]
            for key, pickled in made.items():
                if len(kept) >= self._max_entries:
                    self._cull()  # type: ignore[attr-defined]
                kept[key] = pickled
                kept.move_to_end(key, last=False)
                ends[key] = ends_at
        return []

    def add_up(self, key: str, amounts: Mapping[str, int]) -> None:
        """As `OneClient.add_up`."""
        self._change(key, lambda kept: {name: kept.get(name, 0) + by for name, by in amounts.items()})

    def put_in(self, key: str, numbers: Mapping[str, int]) -> None:
        """As `OneClient.put_in`."""
        self._change(key, lambda _kept: numbers)

    def numbers(self, key: str) -> dict[str, int]:
        """As `OneClient.numbers`."""
        return dict(self.get(key) or {})

    def _change(self, key: str, made: Callable[[dict[str, int]], Mapping[str, int]]) -> None:
        name = self.make_key(key)
        with self._lock:  # type: ignore[attr-defined]
            kept = {} if self._has_expired(name) else pickle.loads(self._cache[name])  # type: ignore[attr-defined]  # noqa: S301
            self._set(name, pickle.dumps({**kept, **made(kept)}, self.pickle_protocol), None)  # type: ignore[attr-defined]


class OneClient(RedisCacheClient):
    """Keeps the client it reads with, and the one it writes with."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._kept: dict[bool, Any] = {}

    def count(self, key: Any, timeout_s: int, by: int = 1) -> int:
        """So many more under this key, which is forgotten `timeout_s` after its first; how many there are now.

        Both happen or neither, in one round trip: a count that lost its expiry would be kept for good. Django's own
        `incr` asks first whether there is one.
        """
        with self.get_client(key, write=True).pipeline(transaction=True) as both:
            both.set(key, 0, ex=timeout_s, nx=True)
            both.incrby(key, by)
            return int(both.execute()[1])

    def add_up(self, key: Any, amounts: Mapping[str, int]) -> None:
        """So much more under each name of this key, in one round trip; kept for good."""
        with self.get_client(key, write=True).pipeline(transaction=False) as all_of_them:
            for name, by in amounts.items():
                all_of_them.hincrby(key, name, by)
            all_of_them.execute()

    def put_in(self, key: Any, numbers: Mapping[str, int]) -> None:
        """These numbers under these names of this key, in place of what was there."""
        self.get_client(key, write=True).hset(key, mapping=dict(numbers))

    def numbers(self, key: Any) -> dict[str, int]:
        """All names of this key with their numbers."""
        found = self.get_client(key).hgetall(key)
        return {name.decode(): int(number) for name, number in found.items()}

    def get_client(self, key: Any = None, *, write: bool = False) -> Any:
        found = self._kept.get(write)
        if found is None:
            found = self._kept[write] = super().get_client(key, write=write)
        return found


class SharedCache(RedisCache):
    """Django's cache in Redis over `OneClient`."""

    def validate_key(self, key: str) -> None:
        """Every key is one."""

    def __init__(self, server: Any, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = OneClient

    def count(self, key: str, timeout_s: int, by: int = 1) -> int:
        """As `OneClient.count`."""
        return cast(OneClient, self._cache).count(self.make_and_validate_key(key), timeout_s, by)

    def add_up(self, key: str, amounts: Mapping[str, int]) -> None:
        """As `OneClient.add_up`."""
        cast(OneClient, self._cache).add_up(self.make_and_validate_key(key), amounts)

    def put_in(self, key: str, numbers: Mapping[str, int]) -> None:
        """As `OneClient.put_in`."""
        cast(OneClient, self._cache).put_in(self.make_and_validate_key(key), numbers)

    def numbers(self, key: str) -> dict[str, int]:
        """As `OneClient.numbers`."""
        return cast(OneClient, self._cache).numbers(self.make_and_validate_key(key))
