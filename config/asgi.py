"""The ASGI door: requests and sockets. `make run` adds static files and the desk's own threads (config/serve.py)."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")

from django.core.asgi import get_asgi_application
from starlette.types import ASGIApp

from apps.common.encryption import require_keys
from config import start


def _application() -> ASGIApp:
    # What rests is probed before this: config/live.py, and the migrations of config/serve.py.
    require_keys()
    http = get_asgi_application()
    # Not before: that sets Django up, and the consumers reach models.
    from apps.lessons import index
    from config.sockets import with_sockets

    start.load_embeddings()
    index.load()
    return with_sockets(http)


application = _application()
