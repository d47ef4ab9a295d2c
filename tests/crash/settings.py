"""A desk of its own under AIKA_DATA_DIR, or on DATABASE_URL and REDIS_URL; without TLS, with paper money."""

import os
from typing import Any

from config.env import env
from config.settings.base import *  # noqa: F403  settings modules build on each other
from config.settings.base import (
    CACHES,
    CELERY_BROKER_TRANSPORT_OPTIONS,
    DATA_DIR,
    DATABASE_URL,
    DATABASES,
    INSTALLED_APPS,
    REDIS_URL,
)

ENVIRONMENT = "test"
# Its migrate copies what the migrations made before.
INSTALLED_APPS = ["tests.guarded_flush", *INSTALLED_APPS]
env.required("AIKA_DATA_DIR")
SECRET_KEY = "crashes-only-not-a-secret-" + "x" * 40
TOKEN_ENCRYPTION_KEYS = ("dGVzdHMtb25seS10ZXN0cy1vbmx5LXRlc3RzLW9ubHk=",)
# The log is sealed in every run. No anchors: a database that goes back is what they are there to find.
AUDIT_SEAL_KEY_FILE = str(DATA_DIR / "seal.pem")
AUDIT_SEAL_PUBLIC_KEYS_PATH = DATA_DIR / "seal.txt"
AUDIT_ANCHOR_DIR = ""
ALLOWED_HOSTS = ["testserver"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# A worker that starts runs Django's checks: half of what a forked one costs, and always the same answer.
os.environ["CELERY_SKIP_CHECKS"] = "1"
if DATABASE_URL:
    # Processes are forked and killed by the thousand, and the database is dropped between runs: a pool has threads,
    # which do not survive a fork, and connections, which would hold the database.
    DATABASES["default"]["OPTIONS"].pop("pool")
    # Processes die here, the server does not: what it has not yet on disk is there for the next process all the same.
    DATABASES["default"]["OPTIONS"]["options"] += " -c synchronous_commit=off"
if REDIS_URL:
    _own = f"crash-{DATA_DIR.name}-"
    CACHES = {"default": {**CACHES["default"], "KEY_PREFIX": _own}}
    CELERY_BROKER_TRANSPORT_OPTIONS = {**CELERY_BROKER_TRANSPORT_OPTIONS, "global_keyprefix": _own}
else:
    # What a worker waits between looks at its folder is most of a run.
    CELERY_BROKER_TRANSPORT_OPTIONS = {**CELERY_BROKER_TRANSPORT_OPTIONS, "polling_interval": 0.002}
# Thousands of workers die here on purpose. What they say goes to a file, for whoever looks into one run.
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{process} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"file": {"class": "logging.FileHandler", "filename": DATA_DIR / "crash.log", "formatter": "line"}},
    "root": {"handlers": ["file"], "level": "WARNING"},
}
