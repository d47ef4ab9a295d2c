"""What must be in order before anything is remembered."""

from typing import Any

from django.core import checks

from apps.common.errors import Misconfigured
from apps.lessons import embeddings


@checks.register("lessons")
def check_embeddings(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """lessons.E001: the provider of EMBEDDINGS_PROVIDER cannot be loaded, or fails its self-test. No other one stands
    in for it: a desk that believes its lessons are found by meaning must not be given keyword match."""
    try:
        embeddings.provider().self_test()
    except Misconfigured as error:
        return [checks.Error(error.message, hint=error.fix, id="lessons.E001")]
    return []
