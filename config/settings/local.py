"""Settings of `make run` and of `manage.py` on a developer's machine: embedded stores, secrets made on first use."""

from config.env import env
from config.home import home_secrets, make_home
from config.settings.base import *  # noqa: F403  settings modules build on each other
from config.settings.base import DATA_DIR, LOGGING, TOKEN_ENCRYPTION_KEYS

ENVIRONMENT = "local"
make_home(DATA_DIR)
_secrets = home_secrets(DATA_DIR)
SECRET_KEY = env.text("SECRET_KEY", _secrets.secret_key)
TOKEN_ENCRYPTION_KEYS = TOKEN_ENCRYPTION_KEYS or (_secrets.token_encryption_key,)
ALLOWED_HOSTS = list(env.words("ALLOWED_HOSTS", default=("localhost", "127.0.0.1", "[::1]")))
EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"

# Every two seconds a periodic task is received and succeeds: at INFO that would bury what a person should read.
LOGGING = {
    **LOGGING,
    "loggers": {
        **LOGGING["loggers"],
        "celery": {"level": "WARNING"},
        "django_celery_beat": {"level": "WARNING"},
        "kombu": {"level": "WARNING"},
        "uvicorn": {"level": "WARNING"},
    },
}
