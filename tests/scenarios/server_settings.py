"""The server profile on this machine: PostgreSQL and Redis as in production, without TLS, with paper money."""

from config.env import env
from config.settings.base import *  # noqa: F403  settings modules build on each other
from config.settings.base import CACHES, CELERY_BROKER_TRANSPORT_OPTIONS

ENVIRONMENT = "scenario"
for _name in ("DATABASE_URL", "REDIS_URL", "AIKA_SCENARIO"):
    env.required(_name)
SECRET_KEY = "scenarios-only-not-a-secret-" + "x" * 40
TOKEN_ENCRYPTION_KEYS = ("dGVzdHMtb25seS10ZXN0cy1vbmx5LXRlc3RzLW9ubHk=",)
ALLOWED_HOSTS = ["127.0.0.1"]
# Every run has its own part of one Redis.
_own = env.text("AIKA_SCENARIO")
CACHES = {"default": {**CACHES["default"], "KEY_PREFIX": _own}}
CELERY_BROKER_TRANSPORT_OPTIONS = {**CELERY_BROKER_TRANSPORT_OPTIONS, "global_keyprefix": _own}
