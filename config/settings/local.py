"""Settings of `make run` and of `manage.py` on a developer's machine: embedded stores, secrets made on first use."""

from importlib.util import find_spec
from pathlib import Path

from config import demo_application
from config.env import env
from config.home import home_secrets, make_home
from config.settings.base import *  # noqa: F403  settings modules build on each other
from config.settings.base import (
    AUDIT_ANCHOR_DIR,
    AUDIT_SEAL_KEY_FILE,
    COINBASE_CLIENT_ID,
    DATA_DIR,
    EMBEDDINGS_PROVIDERS,
    KNOWLEDGE_ROOT,
    LOG_FORMATS,
    LOGGING,
    SESSION_COOKIE_AGE,
    TOKEN_ENCRYPTION_KEYS,
)

ENVIRONMENT = "local"
make_home(DATA_DIR)
_secrets = home_secrets(DATA_DIR)
SECRET_KEY = env.text("SECRET_KEY", _secrets.secret_key)
TOKEN_ENCRYPTION_KEYS = TOKEN_ENCRYPTION_KEYS or (_secrets.token_encryption_key,)
# On one's own machine the screen locks, not the desk.
SESSION_IDLE_S = env.integer("SESSION_IDLE_S", default=SESSION_COOKIE_AGE, minimum=60, maximum=86_400)
ALLOWED_HOSTS = list(env.words("ALLOWED_HOSTS", default=("localhost", "127.0.0.1", "[::1]")))
# The simulator's, for "Connect a Coinbase account" on paper; an application of one's own stands in the environment.
if not COINBASE_CLIENT_ID:
    globals().update(demo_application.kept(DATA_DIR))
# One process is everything here, so it also holds the key that seals its log; `make run` makes one. An auditor who does
# not trust this machine keeps the public keys and the anchors elsewhere.
AUDIT_SEAL_KEY_FILE = AUDIT_SEAL_KEY_FILE or str(DATA_DIR / "audit-seal-key.pem")
AUDIT_SEAL_PUBLIC_KEYS_PATH = DATA_DIR / "audit-seal-keys.txt"
AUDIT_ANCHOR_DIR = AUDIT_ANCHOR_DIR or str(DATA_DIR / "anchors")
KNOWLEDGE_ROOT = KNOWLEDGE_ROOT or str(DATA_DIR / "knowledge")
Path(KNOWLEDGE_ROOT).mkdir(parents=True, exist_ok=True)
# Found by meaning, where the weights could be installed (see requirements/base.in); else by shared words.
EMBEDDINGS_PROVIDER = env.choice(
    "EMBEDDINGS_PROVIDER", default="static" if find_spec("wordllama") else "hash", choices=EMBEDDINGS_PROVIDERS
)
# Without a mail server of its own, mail is shown at the terminal.
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if env.text('EMAIL_HOST') else 'console'}.EmailBackend"

# Every two seconds a periodic task is received and succeeds: at INFO that would bury what a person should read.
LOGGING = {
    **LOGGING,
    "handlers": {
        "console": {
            **LOGGING["handlers"]["console"],
            "formatter": env.choice("LOG_FORMAT", default="line", choices=LOG_FORMATS),
        }
    },
    "loggers": {
        **LOGGING["loggers"],
        "aika.requests": {"level": "WARNING"},
        "aika.tasks": {"level": "WARNING"},
        "aika.venue": {"level": "WARNING"},
        "celery": {"level": "WARNING"},
        "django_celery_beat": {"level": "WARNING"},
        "kombu": {"level": "WARNING"},
        "uvicorn": {"level": "WARNING"},
    },
}
