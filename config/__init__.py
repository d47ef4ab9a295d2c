"""What the parts share: settings, URLs, the ASGI and WSGI doors, Celery, and how to start."""

# Imported here so that every process that reads the settings publishes through this app and not Celery's default one.
from config.celery import app as celery_app

__all__ = ["celery_app"]
