"""The vector index of this process: a Qdrant server where QDRANT_URL names one, else a folder of this machine."""

import threading
from importlib import import_module
from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    from apps.lessons.index.vector_store import VectorStore

_lock = threading.Lock()
_store: "VectorStore | None" = None


def store() -> "VectorStore":
    """The one store of this process, opened at the first call. Raises Unavailable INDEX_HELD while another process has
    the folder: ask again, the first to ask after that one ended owns it."""
    global _store
    with _lock:
        if _store is None:
            _store = _opened()
        return _store


def _opened() -> "VectorStore":
    # Not before: Qdrant's client is a second of import, which no command and no worker waits for that asks nothing.
    if settings.QDRANT_URL:
        from apps.lessons.index.server import ServerStore

        return ServerStore(settings.QDRANT_URL, api_key=settings.QDRANT_API_KEY)
    from apps.lessons.index.local import LocalStore

    return LocalStore(settings.INDEX_PATH)


def load() -> None:
    """Import now what the first call of `store` would, for a process that answers requests."""
    import_module("apps.lessons.index.server" if settings.QDRANT_URL else "apps.lessons.index.local")


def close() -> None:
    """Let go of it; the next call of `store` opens it again."""
    global _store
    with _lock:
        if _store is not None:
            _store.close()
            _store = None
