"""Settings modules in processes of their own, and each system check beside the setting that makes it fire."""

import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.test import override_settings

ROOT = Path(__file__).resolve().parents[2]
FERNET_KEY = "dGVzdHMtb25seS10ZXN0cy1vbmx5LXRlc3RzLW9ubHk="
PRODUCTION = {
    "DJANGO_SETTINGS_MODULE": "config.settings.production",
    "SECRET_KEY": "k" * 25 + "0123456789abcdefghijklmnopqrstuvwxyz",
    "TOKEN_ENCRYPTION_KEY": FERNET_KEY,
    "ALLOWED_HOSTS": "aika.example",
    "DATABASE_URL": "postgres://aika:password@127.0.0.1:1/aika",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "QDRANT_URL": "http://qdrant:6333",
}
PUBLIC_KEY = "4bb4bb12765f98c680c3ccd465e5a2d54d4c7ce299d3b81e839a4fda12d3a9a4"
PRINT = """
import json
from django.conf import settings
print(json.dumps({name: str(getattr(settings, name)) for name in %r}))
"""


def run_python(variables: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """This Python in the repository with these variables and PATH, and nothing else of ours."""
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **variables}
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(PRODUCTION) - {"DJANGO_SETTINGS_MODULE"}))
def test_production_does_not_start_without(name: str) -> None:
    variables = {key: value for key, value in PRODUCTION.items() if key != name}

    ended = run_python(variables, "-c", "import config.settings.production")

    assert ended.returncode != 0
    assert f"{name} must be set" in ended.stderr


@pytest.mark.slow
def test_production_is_clean_under_every_check_of_a_deployment() -> None:
    command = ("manage.py", "check", "--deploy", "--fail-level", "WARNING")
    ended = run_python({**PRODUCTION, "AUDIT_SEAL_PUBLIC_KEYS": PUBLIC_KEY}, *command)

    assert ended.returncode == 0, ended.stderr
    keyless = run_python(PRODUCTION, *command)
    assert keyless.returncode != 0
    assert "audit.E003" in keyless.stderr


def test_only_commands_that_change_tables_connect_as_their_owner() -> None:
    owner = "postgres://owner:password@127.0.0.1:1/aika"
    user = "from django.conf import settings; print(settings.DATABASES['default']['USER'], settings.CONNECTED_AS_OWNER)"

    def connected_as(*words: str, **variables: str) -> str:
        code = f"import sys; sys.argv = {list(words)!r}; {user}"
        return run_python({**PRODUCTION, **variables}, "-c", code).stdout.strip()

    for command in ("migrate", "grant_roles"):
        assert connected_as("manage.py", command, "--noinput", MIGRATION_DATABASE_URL=owner) == "owner True"
        assert connected_as("manage.py", command) == "aika False"
    for words in (("manage.py", "check"), ("manage.py",), ("gunicorn", "migrate"), ("celery", "-A", "migrate")):
        assert connected_as(*words, MIGRATION_DATABASE_URL=owner) == "aika False", words


def test_a_web_worker_that_is_told_where_the_sealing_key_is_does_not_start() -> None:
    told = {**PRODUCTION, "AUDIT_SEAL_KEY_FILE": "/run/secrets/audit_seal_key"}

    ended = run_python(told, "-c", "import config.wsgi")

    assert ended.returncode != 0
    assert "AUDIT_SEAL_KEY_FILE is set for a web worker" in ended.stderr
    assert run_python(PRODUCTION, "-c", "import config.wsgi").returncode == 0


@pytest.mark.parametrize("name", ["TRIP_REJECTS", "TRIP_REJECTS_WITHIN_S", "TRIP_QUOTE_OLD_S", "TRIP_QUOTES_DEAD_S"])
def test_a_bound_of_what_trips_by_itself_is_read_or_refused_by_its_name(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = str(ROOT / "config" / "settings" / "base.py")
    monkeypatch.setenv(name, "77")
    assert runpy.run_path(base)[name] == 77
    for wrong in ("0", "-5", "ten", "100000"):
        monkeypatch.setenv(name, wrong)
        with pytest.raises(ImproperlyConfigured, match=f"^{name}='{wrong}' must be a whole number"):
            runpy.run_path(base)


@pytest.mark.slow
def test_production_takes_nothing_embedded_and_binds_its_cookies() -> None:
    names = ["CELERY_BROKER_URL", "SESSION_COOKIE_NAME", "CSRF_COOKIE_NAME", "CSRF_TRUSTED_ORIGINS", "DATABASES"]
    over_tls = ["SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_SSL_REDIRECT", "SECURE_HSTS_INCLUDE_SUBDOMAINS"]
    names += [*over_tls, "SECURE_HSTS_SECONDS", "SECOND_FACTOR_REQUIRED", "DEBUG"]

    shown = run_python({**PRODUCTION, "ALLOWED_HOSTS": "aika.example, .desk.example"}, "-c", PRINT % names).stdout

    assert '"redis://127.0.0.1:1/0"' in shown
    assert '"__Host-aika-session"' in shown
    assert '"__Host-aika-csrf"' in shown
    assert "['https://aika.example', 'https://*.desk.example']" in shown
    assert "sqlite" not in shown
    assert [name for name in over_tls if f'"{name}": "True"' not in shown] == []
    assert '"SECURE_HSTS_SECONDS": "31536000"' in shown
    assert '"SECOND_FACTOR_REQUIRED": "True", "DEBUG": "False"' in shown


@pytest.mark.slow
def test_the_proxys_header_counts_only_where_somebody_said_so() -> None:
    silent = run_python(PRODUCTION, "-c", PRINT % ["SECURE_PROXY_SSL_HEADER"])
    told = run_python({**PRODUCTION, "BEHIND_TLS_PROXY": "true"}, "-c", PRINT % ["SECURE_PROXY_SSL_HEADER"])

    assert '"None"' in silent.stdout
    assert "HTTP_X_FORWARDED_PROTO" in told.stdout


@pytest.mark.slow
def test_local_makes_its_folder_and_secrets_once_and_for_the_owner_only(tmp_path: Path) -> None:
    variables = {"DJANGO_SETTINGS_MODULE": "config.settings.local", "AIKA_DATA_DIR": str(tmp_path / "var")}
    names = ["SECRET_KEY", "TOKEN_ENCRYPTION_KEYS"]

    first = run_python(variables, "-c", PRINT % names)
    second = run_python(variables, "-c", PRINT % names)

    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    assert (tmp_path / "var").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "var" / "secrets.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
def test_local_refuses_new_secrets_beside_an_old_database(tmp_path: Path) -> None:
    variables = {"DJANGO_SETTINGS_MODULE": "config.settings.local", "AIKA_DATA_DIR": str(tmp_path)}
    (tmp_path / "aika.sqlite3").touch()

    ended = run_python(variables, "-c", "import config.settings.local")

    assert ended.returncode != 0
    assert "secrets.json is missing" in ended.stderr


def test_local_refuses_a_damaged_secrets_file_by_its_path(tmp_path: Path) -> None:
    variables = {"DJANGO_SETTINGS_MODULE": "config.settings.local", "AIKA_DATA_DIR": str(tmp_path)}
    (tmp_path / "secrets.json").write_text('{"secret_key": "x"', encoding="utf-8")

    ended = run_python(variables, "-c", "import config.settings.local")

    assert ended.returncode != 0
    assert "secrets.json cannot be read" in ended.stderr


def found(**kwargs: Any) -> set[str]:
    """The ids of our own checks that fire now, but for the one that this run's database sets off by itself."""
    ids = {str(message.id) for message in run_checks(**kwargs) if str(message.id).startswith("config.")}
    return ids - {"config.E002"} if connection.vendor == "sqlite" else ids


SAFE_IN_PRODUCTION: dict[str, Any] = {
    "ENVIRONMENT": "production",
    "DEBUG": False,
    "CELERY_BROKER_URL": "redis://redis:6379/0",
    "CACHES": {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://redis"}},
    "CHANNEL_LAYERS": {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer"}},
    "TOKEN_ENCRYPTION_KEYS": (FERNET_KEY,),
    "COINBASE_API_BASE": "https://api.coinbase.com",
    "COINBASE_WS_URL": "wss://advanced-trade-ws.coinbase.com",
    "QDRANT_URL": "http://qdrant:6333",
}
LOCMEM = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
IN_MEMORY = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}


def test_nothing_fires_where_nothing_is_wrong() -> None:
    with override_settings(**SAFE_IN_PRODUCTION):
        assert found() == set()


@pytest.mark.parametrize(
    ("check_id", "wrong"),
    [
        ("config.E001", {"DEBUG": True}),
        ("config.E003", {"CELERY_BROKER_URL": "filesystem://localhost"}),
        ("config.E003", {"CELERY_BROKER_URL": "memory://"}),
        ("config.E004", {"CACHES": LOCMEM}),
        ("config.E004", {"CACHES": {"default": {"BACKEND": "apps.common.cache.LocalCache"}}}),
        ("config.E004", {"CHANNEL_LAYERS": IN_MEMORY}),
        ("config.E007", {"COINBASE_API_BASE": "http://localhost:9000"}),
        ("config.E007", {"COINBASE_API_BASE": "https://127.0.0.1:9000"}),
        ("config.E007", {"COINBASE_API_BASE": "http://api.coinbase.com"}),
        ("config.E007", {"COINBASE_WS_URL": "ws://[::1]:9000"}),
        ("config.E010", {"QDRANT_URL": ""}),
        ("config.E011", {"POLICY_DESK_OF_ONE": True}),
    ],
)
def test_a_check_fires_in_production_and_is_silent_elsewhere(check_id: str, wrong: dict[str, Any]) -> None:
    with override_settings(**{**SAFE_IN_PRODUCTION, **wrong}):
        assert found() == {check_id}
    with override_settings(**{**SAFE_IN_PRODUCTION, **wrong, "ENVIRONMENT": "local"}):
        assert found() == set()


@pytest.mark.parametrize(
    ("check_id", "wrong"),
    [
        ("config.E005", {"TOKEN_ENCRYPTION_KEYS": ()}),
        ("config.E005", {"TOKEN_ENCRYPTION_KEYS": (FERNET_KEY, "short")}),
        ("config.E009", {"CELERY_TASK_ACKS_LATE": False}),
        ("config.E009", {"CELERY_TASK_REJECT_ON_WORKER_LOST": False}),
        ("config.E009", {"CELERY_WORKER_PREFETCH_MULTIPLIER": 4}),
        ("config.E009", {"CELERY_TASK_ALWAYS_EAGER": True}),
        ("config.E009", {"CELERY_BROKER_TRANSPORT_OPTIONS": {"visibility_timeout": 60}}),
    ],
)
def test_a_check_fires_however_aika_runs(check_id: str, wrong: dict[str, Any]) -> None:
    for environment in ("production", "local"):
        with override_settings(**{**SAFE_IN_PRODUCTION, **wrong, "ENVIRONMENT": environment}):
            assert found() == {check_id}


@pytest.mark.skipif(connection.vendor != "sqlite", reason="judges SQLite")
def test_sqlite_is_refused_in_production_and_without_immediate_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    with override_settings(**SAFE_IN_PRODUCTION):
        assert "config.E002" in {message.id for message in run_checks()}
    assert "config.E006" not in found()
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", {"transaction_mode": "DEFERRED"})
    assert "config.E006" in found()


@pytest.mark.django_db
def test_demo_people_are_refused_in_production_until_they_cannot_sign_in() -> None:
    user = apps.get_model("accounts", "User").objects.create_user(username="trader", email="trader@demo.invalid")

    with override_settings(**SAFE_IN_PRODUCTION):
        assert "config.E008" in found(databases=["default"])
        user.is_active = False
        user.save()
        assert "config.E008" not in found(databases=["default"])


@pytest.mark.slow
def test_every_file_a_style_sheet_or_script_names_is_there_when_production_collects(tmp_path: Path) -> None:
    variables = {**PRODUCTION, "AIKA_DATA_DIR": str(tmp_path)}

    ended = run_python(variables, "manage.py", "collectstatic", "--noinput", "--verbosity", "0")

    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "static" / "staticfiles.json").is_file()
