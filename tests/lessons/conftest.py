"""A memory to ask: the vector index of this process, with all cases in it."""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from apps.lessons import index
from apps.lessons.models import IndexSpace
from apps.lessons.services import indexing, spaces

Fill = Callable[..., IndexSpace]


@pytest.fixture
def fill(settings: Any, tmp_path: Path, now: datetime) -> Iterator[Fill]:
    """Put all cases there are into the index, as the worker does."""
    settings.EMBEDDINGS_PROVIDER = "static"
    settings.INDEX_PATH = str(tmp_path / "index")
    index.close()

    def put(*_: object) -> IndexSpace:
        space = spaces.ensure(now=now)
        indexing.embed_pending(clock=lambda: now)
        return space

    yield put
    index.close()
