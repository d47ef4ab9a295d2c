"""The door of the production web workers (gunicorn, threads): plain HTTP, no sockets."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.production")

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
