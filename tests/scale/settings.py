"""How a desk at a million is served: the server profile on this machine's PostgreSQL, without TLS in front."""

from config.settings.base import DATABASES
from tests.benchmarks.settings import *  # noqa: F403  settings modules build on each other

ENVIRONMENT = "test"
ALLOWED_HOSTS = ["testserver"]
# Only the database is measured: neither the disk it waits for, nor what a request says of itself.
DATABASES["default"]["OPTIONS"]["options"] += " -c synchronous_commit=off"
# Who signed in before the past was copied is so after it.
SESSION_IDLE_S = SESSION_COOKIE_AGE = 7 * 86_400
# Databases are copied and dropped: a pool would hold them open.
DATABASES["default"]["OPTIONS"].pop("pool")
LOGGING = {"version": 1, "disable_existing_loggers": False, "root": {"level": "ERROR"}}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
