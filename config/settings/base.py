"""Settings every way of running shares. Variables and their meaning: `.env.example`."""

import sys
from pathlib import Path
from typing import Any

import dj_database_url
from kombu import Queue

from config.beat import SCHEDULE
from config.databases import is_owner_command
from config.env import env
from config.settings.alarms import *  # noqa: F403  a list of its own, of settings like these
from config.settings.identity import *  # noqa: F403  as above
from config.settings.layers import *  # noqa: F403  as above
from config.settings.logs import *  # noqa: F403  as above
from config.settings.memory import *  # noqa: F403  as above
from config.settings.sign_in import *  # noqa: F403  likewise

BASE_DIR = Path(__file__).resolve().parent.parent.parent
DATA_DIR = Path(env.text("AIKA_DATA_DIR", str(BASE_DIR / "var"))).resolve()
ENVIRONMENT = "base"

DATABASE_URL = env.url("DATABASE_URL", schemes=frozenset({"postgres", "postgresql"}))
MIGRATION_DATABASE_URL = env.url("MIGRATION_DATABASE_URL", schemes=frozenset({"postgres", "postgresql"}))
CONNECTED_AS_OWNER = bool(MIGRATION_DATABASE_URL) and is_owner_command(sys.argv)
REDIS_URL = env.url("REDIS_URL", schemes=frozenset({"redis", "rediss", "unix"}))
QDRANT_URL = env.url("QDRANT_URL", schemes=frozenset({"http", "https"}))
QDRANT_API_KEY = env.text("QDRANT_API_KEY")
# The vector index where no server is named: a folder, which one process has open.
INDEX_PATH = str(DATA_DIR / "index")
# The first key encrypts, all of them decrypt. There is no fallback to SECRET_KEY.
TOKEN_ENCRYPTION_KEYS = env.words("TOKEN_ENCRYPTION_KEY")
COINBASE_CLIENT_ID = env.text("COINBASE_CLIENT_ID")
COINBASE_CLIENT_SECRET = env.text("COINBASE_CLIENT_SECRET")
COINBASE_REDIRECT_URI = env.url("COINBASE_REDIRECT_URI", schemes=frozenset({"http", "https"}))
COINBASE_SCOPES = env.words("COINBASE_SCOPES")
COINBASE_API_BASE = env.url(
    "COINBASE_API_BASE", schemes=frozenset({"http", "https"}), default="https://api.coinbase.com"
)
COINBASE_WS_URL = env.url(
    "COINBASE_WS_URL", schemes=frozenset({"ws", "wss"}), default="wss://advanced-trade-ws.coinbase.com"
)
# False alone changes nothing: a policy must also have a tier that says so, and never for a live connection.
POLICY_REQUIRE_APPROVAL = env.flag("POLICY_REQUIRE_APPROVAL", default=True)
# A desk with one person: they may decide on what their own key asks, on paper. Never in production.
POLICY_DESK_OF_ONE = env.flag("POLICY_DESK_OF_ONE", default=False)
# An order whose outcome is not known: how far the venue's clock may be from ours when its list is searched, when it may
# be sent again at the earliest, and when a person must look. All counted from when it may have been sent.
VENUE_CLOCK_SKEW_S = env.integer("VENUE_CLOCK_SKEW_S", default=30, minimum=1, maximum=3600)
UNKNOWN_REPLAY_AFTER_S = env.integer("UNKNOWN_REPLAY_AFTER_S", default=15, minimum=0, maximum=3600)
UNKNOWN_HORIZON_S = env.integer("UNKNOWN_HORIZON_S", default=900, minimum=30, maximum=604_800)
# Comparing each connection with its venue: how often, how far a run goes back beyond the last one's beginning (for what
# a venue shows late), and how old the last complete one may be before it is an alarm.
RECONCILE_EVERY_S = env.integer("RECONCILE_EVERY_S", default=60, minimum=5, maximum=3600)
RECONCILE_OVERLAP_S = env.integer("RECONCILE_OVERLAP_S", default=600, minimum=60, maximum=86_400)
RECONCILE_LATE_S = env.integer("RECONCILE_LATE_S", default=600, minimum=30, maximum=86_400)
# What trips by itself: so many rejects of one connection within so long; and, while an order rests, no new price for so
# long, where one that is older than the first bound is none. Limits on losses and on a fall are rules of the policy.
TRIP_REJECTS = env.integer("TRIP_REJECTS", default=5, minimum=1, maximum=1000)
TRIP_REJECTS_WITHIN_S = env.integer("TRIP_REJECTS_WITHIN_S", default=600, minimum=10, maximum=86_400)
TRIP_QUOTE_OLD_S = env.integer("TRIP_QUOTE_OLD_S", default=10, minimum=2, maximum=3600)
TRIP_QUOTES_DEAD_S = env.integer("TRIP_QUOTES_DEAD_S", default=30, minimum=5, maximum=3600)
# Instruments whose whole order book the feed follows: a snapshot has megabytes, and best prices come at once.
FEED_BOOKS = env.words("FEED_BOOKS")

# Checkpoints of the audit log. The private key is read by the sealer (queue `default`) each time it seals: only the
# process that works on that queue may be told where it is.
AUDIT_SEAL_KEY_FILE = env.text("AUDIT_SEAL_KEY_FILE")
AUDIT_SEAL_PUBLIC_KEYS = env.words("AUDIT_SEAL_PUBLIC_KEYS")
AUDIT_SEAL_PUBLIC_KEYS_PATH: Path | None = None
AUDIT_ANCHOR_DIR = env.text("AUDIT_ANCHOR_DIR")

# Halting cancels what is open at the venues, until their lists are empty twice.
HALT_CANCELS_ORDERS = env.flag("HALT_CANCELS_ORDERS", default=True)

DEBUG = False
ALLOWED_HOSTS: list[str] = []
AUTH_USER_MODEL = "accounts.User"
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
WSGI_APPLICATION = "config.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
FORMAT_MODULE_PATH = ["config.formats"]

INSTALLED_APPS = [
    "apps.dashboard",
    "apps.approvals",
    "apps.trades",
    "apps.policies",
    "apps.quotes",
    "apps.lessons",
    "apps.connectors",
    "apps.accounts",
    "apps.audit",
    "apps.dashboard.admin_config.AikaAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "axes",
    "allauth.socialaccount.providers.openid_connect",
    "channels",
    "django_celery_beat",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]


STATEMENT_TIMEOUT_S = env.integer("DATABASE_STATEMENT_TIMEOUT_S", default=30, minimum=0, maximum=3600)


def database(url: str, data_dir: Path) -> dict[str, Any]:
    """The default database: PostgreSQL where a URL is given, else SQLite under `data_dir`.

    SQLite takes its write lock when a transaction begins (IMMEDIATE): with the default, a transaction that reads
    first and writes later dies with "database is locked" as soon as two of them meet.
    """
    if url:
        parsed: dict[str, Any] = dict(dj_database_url.parse(url))
        # A connection is asked whether it lives before it is handed out. After a restart of the database every one that
        # waited in a pool is dead: without this, each of them costs a request, or a round of alarms.
        parsed["CONN_HEALTH_CHECKS"] = True
        parsed["OPTIONS"] = {
            **parsed.get("OPTIONS", {}),
            # While nobody answers, a pool tries again after pauses that double: a database that was away for a minute
            # was found again after two. After `reconnect_timeout` it gives up, and whoever asks next begins anew with
            # the shortest pause.
            "pool": {"min_size": 2, "max_size": 16, "timeout": 10, "reconnect_timeout": 10},
            # Only for the statements of apps/common/statements.py: Django's own cursor never prepares.
            "prepare_threshold": 0,
            # A statement or a lock that hangs would hold every later order behind it. 0 means no bound.
            # What is prepared is planned once for each connection: planning what a proposal asks takes longer than
            # answering it.
            "options": f"-c statement_timeout={STATEMENT_TIMEOUT_S}s -c lock_timeout={min(STATEMENT_TIMEOUT_S, 10)}s"
            " -c plan_cache_mode=force_generic_plan"
            # All that is asked here is read off an index in milliseconds: helpers take longer than that to start.
            " -c max_parallel_workers_per_gather=0",
        }
        return parsed
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": data_dir / "aika.sqlite3",
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON",
        },
    }


DATABASES = {"default": database(MIGRATION_DATABASE_URL if CONNECTED_AS_OWNER else DATABASE_URL, DATA_DIR)}

CACHES: dict[str, Any] = {
    "default": (
        {"BACKEND": "apps.common.cache.SharedCache", "LOCATION": REDIS_URL}
        if REDIS_URL
        else {
            "BACKEND": "apps.common.cache.LocalCache",
            "LOCATION": "aika",
            "OPTIONS": {"MAX_ENTRIES": 200_000},
        }
    )
}
# The layer waits 5 s for a message, and then asks again. The client's own limit for an answer is 5 s too: with that,
# a process that heard nothing for so long would take Redis to be away, and lose what came at that very moment.
CHANNEL_READ_S_MAX = 15
# Who is in the group says so every few seconds (quotes.hub); a process that was killed is written to no longer.
CHANNEL_MEMBER_S = 60
CHANNEL_LAYERS: dict[str, Any] = {
    "default": (
        {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            "CONFIG": {
                "hosts": [{"address": REDIS_URL, "socket_timeout": CHANNEL_READ_S_MAX, "socket_connect_timeout": 5}],
                "group_expiry": CHANNEL_MEMBER_S,
            },
        }
        if REDIS_URL
        else {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    )
}

# Tasks. What makes them safe is the database (a claim is a compare-and-swap, a sweep finds what was lost); these
# settings make a loss rare and a repeat harmless. Messages carry ids only.
BROKER_DIR = DATA_DIR / "broker"
CELERY_BROKER_URL = REDIS_URL or "filesystem://localhost"
if not REDIS_URL:
    CELERY_BROKER_TRANSPORT = "config.broker:Transport"
    CELERY_WORKER_ENABLE_REMOTE_CONTROL = False  # its queues are files that nobody would read
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = (
    # A message not acknowledged for this long is delivered again, also while its task still runs: far above the limits.
    {
        "visibility_timeout": 3600,
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        # Whoever publishes gives up soon: a person waits for that request, and a sweep finds what was not published.
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0.2,
        "interval_max": 0.2,
    }
    if REDIS_URL
    else {
        "data_folder_in": str(BROKER_DIR / "queue"),
        "data_folder_out": str(BROKER_DIR / "queue"),
        "processed_folder": str(BROKER_DIR / "taken"),
        "control_folder": str(BROKER_DIR),
        # The default of one second would be most of the time from approval to venue.
        "polling_interval": 0.02,
    }
)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 2, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.4}
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_QUEUES = (Queue("default"), Queue("execution"))
CELERY_TASK_CREATE_MISSING_QUEUES = False
CELERY_TASK_ROUTES = {
    "trades.execute_trade": {"queue": "execution"},
    "trades.cancel_order": {"queue": "execution"},
    "trades.cancel_halted": {"queue": "execution"},
    "trades.clear_halted": {"queue": "execution"},
    "trades.show_life_execution": {"queue": "execution"},
}
CELERY_TASK_SERIALIZER = "json"
CELERY_RESULT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# Above every deadline in the code; they end a worker process that hangs (a thread pool ignores them).
CELERY_TASK_SOFT_TIME_LIMIT = 90
CELERY_TASK_TIME_LIMIT = 120
# No result backend: results are rows. A None here also keeps a clean-up task for results out of the schedule.
CELERY_TASK_IGNORE_RESULT = True
CELERY_RESULT_EXPIRES = None
# Celery closes the database after so many tasks, by default after each. When it has to be is seen in config/celery.py.
CELERY_DB_REUSE_MAX = 1_000_000_000
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "config.scheduler:Scheduler"
BEAT_DEFAULTS = SCHEDULE
# Runs in its own thread or process until the event it is given is set: fills the quote cache.
QUOTE_POLLER = "apps.trades.services.market.run_poller"
# Likewise: follows what the venue tells of our orders.
ORDER_STREAM = "apps.trades.services.user_channel.run"
# Likewise: follows the markets' own news of prices.
MARKET_FEED = "apps.quotes.feed.run"
# Takes ticks on to the sockets.
QUOTE_HUB = "apps.quotes.hub.publish"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
# It is Django's ModelBackend too: one door, with one count of failed attempts.
# The first says no to who is locked out, and nothing else.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "allauth.account.auth_backends.AuthenticationBackend"]

LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "account_login"
# People are made by an administrator; they sign in with either name. apps.accounts.adapter refuses a sign-up.
ACCOUNT_ADAPTER = "apps.accounts.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_EMAIL_SUBJECT_PREFIX = "[Aika] "
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"

# How many proxies of ours stand before the web server: what they say of a visitor's address is believed.
TRUSTED_PROXY_COUNT = 0

# Scripts never need the CSRF token from the cookie: every form carries its own.
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
MESSAGE_STORAGE = "apps.common.cookies.MessageStorage"
SECURE_REFERRER_POLICY = "same-origin"

API_READS_PER_MINUTE = env.integer("API_READS_PER_MINUTE", default=1200, minimum=1, maximum=1_000_000)
API_WRITES_PER_MINUTE = env.integer("API_WRITES_PER_MINUTE", default=300, minimum=1, maximum=1_000_000)
# apps/common/api has the rest of it: views answer plain JSON, so renderers and parsers here only name the media type.
REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "apps.accounts.authentication.ApiKeyAuthentication",
        "apps.accounts.authentication.SessionPersonAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_SCHEMA_CLASS": "apps.common.api.schema.ApiSchema",
    # Requests a minute and caller: a key, or a person where there is none.
    "DEFAULT_THROTTLE_RATES": {
        "read": f"{API_READS_PER_MINUTE}/min",
        "write": f"{API_WRITES_PER_MINUTE}/min",
    },
    "EXCEPTION_HANDLER": "apps.common.api.problems.problem_handler",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Aika",
    "DESCRIPTION": (
        "Propose trades, follow them to the fill. Programs and people propose, policy says what may be asked, people "
        "decide. Decimals are texts, times are UTC. A proposal answers 201 also when it is DENIED, with every reason "
        "and what would pass. Every refusal is `application/problem+json` with a stable `code` and a `fix`."
    ),
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "PREPROCESSING_HOOKS": ["apps.trades.api.hook_schema.with_hooks"],
    "APPEND_COMPONENTS": {
        "securitySchemes": {
            "hook_signature": {
                "type": "apiKey",
                "in": "header",
                "name": "Aika-Signature",
                "description": "`t=SECONDS,v1=HMAC`: HMAC-SHA256 in hex, under the hook's secret, over the seconds "
                "since 1970, a full stop and the body.",
            }
        }
    },
    "POSTPROCESSING_HOOKS": [],  # enums stay where they are: names for them would change with every new one
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "persistAuthorization": False, "validatorUrl": None},
}

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = DATA_DIR / "static"

# No page needs more than this. An injected script, style, frame or form target has nowhere to come from or go to.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "font-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
    }
}
X_FRAME_OPTIONS = "DENY"

DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576
# Nothing here takes a file, and without this one of any size would be written to the disk first.
FILE_UPLOAD_HANDLERS = ["apps.common.uploads.NoUploads"]

DEFAULT_EXCEPTION_REPORTER_FILTER = "apps.common.redaction.ReporterFilter"
