"""What must never run in production, and what no way to run may lack: system checks with ids.

They judge the settings as they are, not the module they came from, so that an own settings module is judged too.
`ENVIRONMENT` is what says that a process is production.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import connections

# Everybody seed_demo makes has an address here (RFC 2606 keeps the domain free for ever).
DEMO_EMAIL_DOMAIN = "demo.invalid"
METRICS_TOKEN_CHARS_MIN = 32

Check = Callable[..., list[CheckMessage]]


def only_in_production(check: Check) -> Check:
    """A check that is silent elsewhere."""

    def judged(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
        return check(app_configs, **kwargs) if settings.ENVIRONMENT == "production" else []

    return judged


@register(Tags.security)
@only_in_production
def debug_is_off(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """config.E001"""
    if not settings.DEBUG:
        return []
    return [Error("DEBUG is on in production.", hint="Set DEBUG = False: its pages show secrets.", id="config.E001")]


@register(Tags.database)
@only_in_production
def database_is_a_server(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """config.E002"""
    return [
        Error(
            f"Database {alias!r} is an embedded one in production.",
            hint="Set DATABASE_URL to a PostgreSQL server.",
            id="config.E002",
        )
        for alias in connections
        if connections[alias].vendor == "sqlite"
    ]


@register
@only_in_production
def broker_is_a_server(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """config.E003"""
    if settings.CELERY_BROKER_URL.partition("://")[0] in {"redis", "rediss", "unix"}:
        return []
    return [
        Error("The task broker is an embedded one in production.", hint="Set REDIS_URL to a server.", id="config.E003")
    ]


@register(Tags.caches)
@only_in_production
def memory_is_shared(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """config.E004"""
    private = {
        "django.core.cache.backends.locmem.LocMemCache": "quote cache",
        "apps.common.cache.LocalCache": "quote cache",
        "channels.layers.InMemoryChannelLayer": "channel layer",
    }
    used = [settings.CACHES["default"]["BACKEND"], settings.CHANNEL_LAYERS["default"]["BACKEND"]]
    return [
        Error(
            f"The {private[backend]} lives in one process's memory in production: workers would not see one quote.",
            hint="Set REDIS_URL to a server.",
            id="config.E004",
        )
        for backend in used
        if backend in private
    ]


@register(Tags.security)
def encryption_keys_are_there(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """config.E005"""
    hint = "Set TOKEN_ENCRYPTION_KEY to 32 random bytes in URL-safe base64, newest first. There is no fallback."
    if not settings.TOKEN_ENCRYPTION_KEYS:
        return [Error("No key to encrypt venue secrets with.", hint=hint, id="config.E005")]
    return [
        Error(f"Key {number} of TOKEN_ENCRYPTION_KEY is not a Fernet key.", hint=hint, id="config.E005")
        for number, key in enumerate(settings.TOKEN_ENCRYPTION_KEYS, start=1)
        if not is_fernet_key(key)
    ]


def is_fernet_key(key: str) -> bool:
    """Whether it is 32 bytes in URL-safe base64."""
    try:
        return len(base64.b64decode(key, altchars=b"-_", validate=True)) == 32
    except (binascii.Error, ValueError):
        return False


@register(Tags.database)
def sqlite_locks_at_once(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """config.E006"""
    return [
        Error(
            f"SQLite database {alias!r} does not take its write lock when a transaction begins.",
            hint='OPTIONS["transaction_mode"] must be "IMMEDIATE", or two writers deadlock and limits can be passed.',
            id="config.E006",
        )
        for alias in connections
        if connections[alias].vendor == "sqlite"
        and connections[alias].settings_dict.get("OPTIONS", {}).get("transaction_mode") != "IMMEDIATE"
    ]


@register(Tags.security)
@only_in_production
def venue_is_real(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """config.E007"""
    addresses = {"COINBASE_API_BASE": ("https", "http"), "COINBASE_WS_URL": ("wss", "ws")}
    return [
        Error(
            f"{name} is not a venue reached over TLS.",
            hint=f"Production talks to a venue by {secure}://, never to a simulator on this machine.",
            id="config.E007",
        )
        for name, (secure, _plain) in addresses.items()
        if (url := urlsplit(getattr(settings, name))).scheme != secure or is_this_machine(url.hostname or "")
    ]


def is_this_machine(host: str) -> bool:
    """Whether a host name means the machine itself."""
    return host in {"", "localhost", "::1", "0.0.0.0"} or host.startswith("127.")  # noqa: S104  compared, not bound


@register(Tags.database)
@only_in_production
def nobody_is_a_demo(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """config.E008. Runs where a database may be asked: `migrate`, and `check --database default`."""
    users = get_user_model()._default_manager
    if "default" not in (databases or ()) or "accounts_user" not in connections["default"].introspection.table_names():
        return []
    names = users.filter(email__iendswith=f"@{DEMO_EMAIL_DOMAIN}", is_active=True).order_by("username")
    return [
        Error(
            f"Demo person {name!r} can sign in in production.",
            hint="Deactivate everybody that seed_demo made.",
            id="config.E008",
        )
        for name in names.values_list("username", flat=True)
    ]


@register
def tasks_survive_a_crash(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """config.E009"""
    options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
    wrong = {
        "a task is acknowledged before it ran": not settings.CELERY_TASK_ACKS_LATE,
        "a task whose worker was killed is dropped": not settings.CELERY_TASK_REJECT_ON_WORKER_LOST,
        "a worker hoards tasks": settings.CELERY_WORKER_PREFETCH_MULTIPLIER != 1,
        "tasks run inside the request": getattr(settings, "CELERY_TASK_ALWAYS_EAGER", False),
        "a running task is delivered again": (
            options.get("visibility_timeout", 3600) < 10 * settings.CELERY_TASK_TIME_LIMIT
        ),
    }
    return [
        Error(f"Celery settings: {meaning}.", hint="See CELERY_* in config/settings/base.py.", id="config.E009")
        for meaning, found in wrong.items()
        if found
    ]


@register(Tags.security)
@only_in_production
def somebody_else_decides(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """config.E011"""
    if not settings.POLICY_DESK_OF_ONE:
        return []
    return [
        Error(
            "A person may approve what their own key asks, in production.",
            hint="Set POLICY_DESK_OF_ONE=false: it is for one person who tries Aika on paper, on their own machine.",
            id="config.E011",
        )
    ]


@register
@only_in_production
def vectors_are_a_server(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """config.E010"""
    if settings.QDRANT_URL:
        return []
    return [Error("The vector index is an embedded one in production.", hint="Set QDRANT_URL.", id="config.E010")]


@register(Tags.security)
def metrics_token_is_long(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """config.E011"""
    if not settings.METRICS_TOKEN or len(settings.METRICS_TOKEN) >= METRICS_TOKEN_CHARS_MIN:
        return []
    hint = "32 random bytes in hex are enough: openssl rand -hex 32."
    return [Error("METRICS_TOKEN could be guessed: it is short.", hint=hint, id="config.E011")]
