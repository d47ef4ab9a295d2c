"""The ASGI door. `make run` adds static files and the desk's own threads around it (config/serve.py)."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")

from django.core.asgi import get_asgi_application

application = get_asgi_application()
