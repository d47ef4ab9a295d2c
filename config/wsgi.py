"""The door of the production web workers (gunicorn, threads): plain HTTP, no sockets."""

import gc
import os
from importlib import import_module

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.production")

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application

from apps.common.encryption import require_keys
from config import start

if settings.AUDIT_SEAL_KEY_FILE:
    # Whoever takes over a web worker could sign a log of their own.
    raise ImproperlyConfigured("AUDIT_SEAL_KEY_FILE is set for a web worker. Only workers of queue default have it.")

# What rests is probed before this, once a start: config/gunicorn.py.
require_keys()
application = get_wsgi_application()

# Everything a request needs is imported now, and stays: collecting garbage need not look at it again and again.
import_module(settings.ROOT_URLCONF)
start.load_embeddings()
import_module("apps.lessons.index").load()
gc.collect()
gc.freeze()
