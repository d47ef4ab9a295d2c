"""What must be in order before anything is remembered."""

from typing import Any

from django.conf import settings
from django.core import checks
from django.db import connection

from apps.common.errors import Misconfigured
from apps.lessons import embeddings
from apps.lessons.models import IndexSpace
from apps.lessons.selectors.index import active_space
from apps.lessons.services import spaces


@checks.register("lessons")
def check_embeddings(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """lessons.E001: the provider of EMBEDDINGS_PROVIDER cannot be loaded, or fails its self-test. No other one stands
    in for it: a desk that believes its lessons are found by meaning must not be given keyword match."""
    try:
        embeddings.provider().self_test()
    except Misconfigured as error:
        return [checks.Error(error.message, hint=error.fix, id="lessons.E001")]
    return []


@checks.register("lessons", checks.Tags.database)
def check_index_space(app_configs: Any, databases: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """lessons.E002: the space that questions are asked in was filled by other embeddings than the ones installed."""
    if not databases or IndexSpace._meta.db_table not in connection.introspection.table_names():
        return []
    space = active_space()
    try:
        if space is not None and space.provider == settings.EMBEDDINGS_PROVIDER:
            spaces.provider_of(space)
    except Misconfigured as error:
        return [checks.Error(error.message, hint=error.fix, id="lessons.E002")]
    return []
