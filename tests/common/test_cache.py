"""The shared cache counts, and forgets."""

from uuid import uuid4

import pytest
from django.conf import settings

from apps.common.cache import SharedCache

pytestmark = pytest.mark.postgres


def test_a_count_begins_at_one_and_is_forgotten_after_its_time() -> None:
    cache, key = SharedCache(settings.REDIS_URL, {}), f"count:{uuid4()}"
    assert [cache.count(key, 60) for _ in range(3)] == [1, 2, 3]
    left = cache._cache.get_client(key).ttl(cache.make_key(key))
    assert 0 < left <= 60
    assert cache.get(key) == 3
    assert cache.count(key, 60, 4) == 7
    cache.delete(key)
    assert cache.count(key, 60) == 1


def test_a_count_never_lacks_its_expiry_wherever_a_process_dies() -> None:
    cache, key = SharedCache(settings.REDIS_URL, {}), f"count:{uuid4()}"
    stored = cache.make_key(key)
    client = cache._cache.get_client(key, write=True)
    with client.monitor() as watched:
        assert cache.count(key, 60) == 1
        client.echo(stored)
        seen = []
        for one in watched.listen():
            seen.append((one["client_port"], one["command"]))
            if one["command"] == f"ECHO {stored}":
                break
    ours = [command for port, command in seen if port == seen[-1][0]]
    assert ours[-5:-1] == ["MULTI", f"SET {stored} 0 NX EX 60", f"INCRBY {stored} 1", "EXEC"]


def test_counting_on_does_not_put_off_the_end() -> None:
    cache, key = SharedCache(settings.REDIS_URL, {}), f"count:{uuid4()}"
    assert cache.count(key, 5) == 1
    assert cache.count(key, 500) == 2
    assert cache._cache.get_client(key).ttl(cache.make_key(key)) <= 5
