"""The vector index of this process: a Qdrant server where QDRANT_URL names one, else a folder of this machine."""

import threading

from django.conf import settings

from apps.lessons.index.local import LocalStore
from apps.lessons.index.server import ServerStore
from apps.lessons.index.vector_store import VectorStore

_lock = threading.Lock()
_store: VectorStore | None = None


def store() -> VectorStore:
    """The one store of this process, opened at the first call. Raises Unavailable INDEX_HELD while another process has
    the folder: ask again, the first to ask after that one ended owns it."""
    global _store
    with _lock:
        if _store is None:
            _store = (
                ServerStore(settings.QDRANT_URL, api_key=settings.QDRANT_API_KEY)
                if settings.QDRANT_URL
                else LocalStore(settings.INDEX_PATH)
            )
        return _store


def close() -> None:
    """Let go of it; the next call of `store` opens it again."""
    global _store
    with _lock:
        if _store is not None:
            _store.close()
            _store = None
