"""Settings of the tests: no secret of this machine, SQLite in a file of its own unless DATABASE_URL says otherwise."""

import tempfile
from pathlib import Path

from config.env import env
from config.settings.base import *  # noqa: F403  settings modules build on each other
from config.settings.base import (
    CACHES,
    DATABASE_URL,
    INSTALLED_APPS,
    REDIS_URL,
    database,
)

ENVIRONMENT = "test"
SECRET_KEY = "tests-only-not-a-secret-" + "x" * 40
DATA_DIR = Path(tempfile.gettempdir()) / "aika-tests"
DATA_DIR.mkdir(parents=True, exist_ok=True)
DATABASES = {"default": database(DATABASE_URL, DATA_DIR)}
if DATABASE_URL:
    DATABASES["default"]["OPTIONS"].pop("pool")  # the tests open and drop databases; a pool would hold them open
TOKEN_ENCRYPTION_KEYS = ("dGVzdHMtb25seS10ZXN0cy1vbmx5LXRlc3RzLW9ubHk=",)
ALLOWED_HOSTS = ["testserver", "localhost"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
KNOWLEDGE_ROOT = ""
INDEX_PATH = ":memory:"
QDRANT_URL = ""  # what a machine has configured is not for tests; QDRANT_TEST_URL names one that is
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# Every test process has two of Redis's databases to itself: clearing a cache empties a whole one, and must take neither
# the keys of another process nor tasks that wait. The two highest stay free for tests that start a whole installation.
if REDIS_URL:
    _server, _, _last = REDIS_URL.rpartition("/")
    _first = int(_last) - 2 - 2 * int(env.text("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    CELERY_BROKER_URL = f"{_server}/{_first}"
    CACHES = {"default": {**CACHES["default"], "LOCATION": f"{_server}/{_first - 1}"}}
else:
    CELERY_BROKER_URL = "memory://"
    CELERY_BROKER_TRANSPORT = "memory"
    CELERY_BROKER_TRANSPORT_OPTIONS = {}
# Its flush takes the guards off and on again, for tests with transaction=True; nothing else may.
INSTALLED_APPS = ["tests.guarded_flush", *INSTALLED_APPS]
