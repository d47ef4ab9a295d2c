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
    cache.delete(key)
    assert cache.count(key, 60) == 1
