"""How benchmarks serve: the server profile on this machine's PostgreSQL and Redis, without TLS in front."""

from config.settings.base import *  # noqa: F403  settings modules build on each other
from config.settings.base import REST_FRAMEWORK

ENVIRONMENT = "benchmark"
SECRET_KEY = "benchmarks-only-not-a-secret-" + "x" * 40
TOKEN_ENCRYPTION_KEYS = ("dGVzdHMtb25seS10ZXN0cy1vbmx5LXRlc3RzLW9ubHk=",)
ALLOWED_HOSTS = ["localhost"]
# The throttle counts as it always does; only its bound is out of a load's reach.
REST_FRAMEWORK = {**REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": {"read": "1000000/min", "write": "1000000/min"}}
