"""docker-compose.yml and the Dockerfile: no engine runs here, so each command and variable in them is looked up."""

import importlib.util
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from celery.bin.celery import celery as celery_command
from django.core.management import get_commands
from django.utils.module_loading import import_string

from config import gunicorn, live, probe
from config.settings import base

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = sorted(name for name, service in SERVICES.items() if service.get("image") == "aika")


def commands_of(service: dict[str, Any]) -> list[list[str]]:
    """Every command line of a service and of its health check, as words; `a && b` and pipes are several."""
    found: list[str] = []
    for given in (service.get("command"), service.get("healthcheck", {}).get("test")):
        words = shlex.split(given) if isinstance(given, str) else list(given or [])
        if words[:1] == ["CMD-SHELL"] or words[:2] in (["sh", "-c"], ["bash", "-c"]):
            found += re.split(r"&&|\|", words[-1])
        elif words:
            found.append(shlex.join(words[1:] if words[0] == "CMD" else words))
    return [shlex.split(line) for line in found]


ALL = [(name, words) for name in OURS for words in commands_of(SERVICES[name])]


def test_the_server_profile_is_whole() -> None:
    assert set(SERVICES) == {
        "postgres", "redis", "qdrant", "release", "web", "live", "worker", "worker-execution", "beat", "feed", "poller",
        "order-stream", "alarms",
    }  # fmt: skip


@pytest.mark.parametrize(("name", "words"), [pair for pair in ALL if "manage.py" in pair[1]])
def test_each_management_command_exists_and_knows_its_options(name: str, words: list[str]) -> None:
    command = words[words.index("manage.py") + 1]

    assert command in get_commands(), f"{name} runs an unknown command"


@pytest.mark.parametrize(("name", "words"), [pair for pair in ALL if pair[1][0] == "celery"])
def test_each_celery_command_exists_and_finds_the_app(name: str, words: list[str]) -> None:
    assert words[1:3] == ["-A", "config"], name
    command = celery_command.commands[words[3]]
    known = {option for parameter in command.params for option in parameter.opts}
    queues = {queue.name for queue in base.CELERY_TASK_QUEUES}

    assert {word for word in words[4:] if word.startswith("--")} <= known
    if "--queues" in words:
        assert words[words.index("--queues") + 1] in queues


def test_every_queue_has_a_worker_and_orders_have_one_of_their_own() -> None:
    served = [words[words.index("--queues") + 1] for _name, words in ALL if "--queues" in words]

    assert sorted(served) == sorted(queue.name for queue in base.CELERY_TASK_QUEUES)


@pytest.mark.parametrize(("name", "words"), [pair for pair in ALL if pair[1][0] == "gunicorn"])
def test_the_web_server_finds_its_application_and_settings(name: str, words: list[str]) -> None:
    module, _, attribute = words[1].partition(":")
    ended = subprocess.run(
        [sys.executable, "-m", "gunicorn", *words[1:], "--check-config"],
        cwd=ROOT,
        env={"DJANGO_SETTINGS_MODULE": "config.settings.test"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert callable(import_string(f"{module}.{attribute}")), name
    assert ended.returncode == 0, ended.stderr
    assert words[words.index("--bind") + 1].rpartition(":")[2] == gunicorn.bind.rpartition(":")[2], "the probe's port"


def test_the_sockets_have_a_server_of_their_own_which_its_probe_asks() -> None:
    command, probed = (words for name, words in ALL if name == "live")
    (published,) = SERVICES["live"]["ports"]

    assert command[:3] == ["python", "-m", "config.live"]
    host, _, port = command[command.index("--bind") + 1].rpartition(":")
    assert (host, probed[-1], published) == ("0.0.0.0", port, f"127.0.0.1:{port}:{port}")  # noqa: S104  in a container
    assert f"127.0.0.1:{port}" == live.BIND


def test_servers_bind_to_this_machine_and_the_compose_file_alone_says_otherwise() -> None:
    assert gunicorn.bind == "127.0.0.1:8000"
    places = (*(ROOT / "config").rglob("*.py"), ROOT / "Dockerfile")
    elsewhere = [path for path in places if re.search(r"^[^#]*0\.0\.0\.0", path.read_text(), re.MULTILINE)]

    assert elsewhere == []


@pytest.mark.parametrize("words", [words for _name, words in ALL if words[0] == "python"])
def test_each_script_or_module_is_there(words: list[str]) -> None:
    found = importlib.util.find_spec(words[2]) if words[1] == "-m" else (ROOT / words[1]).is_file()

    assert found


@pytest.mark.django_db
def test_the_probe_tells_an_answer_from_none(monkeypatch: pytest.MonkeyPatch, live_server: Any) -> None:
    port = urlsplit(live_server.url).port
    monkeypatch.setattr(gunicorn, "bind", f"127.0.0.1:{port}")

    assert probe.main("/healthz") == 0
    assert probe.main("/no-such-page") == 1
    assert (probe.main("/healthz", str(port)), probe.main("/healthz", "1")) == (0, 1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        monkeypatch.setattr(gunicorn, "bind", f"127.0.0.1:{silent.getsockname()[1]}")
        assert probe.main("/healthz") == 1


@pytest.mark.parametrize("name", OURS)
def test_each_service_gets_variables_that_aika_reads(name: str) -> None:
    documented = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE))

    assert set(SERVICES[name]["environment"]) <= documented


def test_each_documented_variable_reaches_a_service() -> None:
    """A line in .env that changes nothing is a limit somebody believes in."""
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    documented = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE))
    told = {name for service in SERVICES.values() for name in service.get("environment", ())}
    embedded_only = {"AIKA_DATA_DIR", "POLICY_DESK_OF_ONE"}

    assert documented - told - set(re.findall(r"\$\{([A-Z_]+)", text)) == embedded_only


def test_no_secret_is_written_in_the_file() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    secret = [line for line in text.splitlines() if re.search(r"(SECRET|PASSWORD|_KEY)\w*(?<!_FILE):", line)]

    assert secret
    assert all("${" in line for line in secret)


def test_each_required_variable_stops_a_start_without_it() -> None:
    environment = SERVICES["web"]["environment"]

    for name in ("SECRET_KEY", "TOKEN_ENCRYPTION_KEY", "ALLOWED_HOSTS", "QDRANT_API_KEY"):
        assert environment[name].startswith(f"${{{name}:?"), name
    assert "${POSTGRES_APP_PASSWORD:?" in environment["DATABASE_URL"]


def test_who_may_change_tables_and_who_may_sign_are_told_to_nobody_else() -> None:
    told = {name: set(SERVICES[name]["environment"]) for name in OURS}

    assert {name for name, names in told.items() if "MIGRATION_DATABASE_URL" in names} == {"release"}
    assert {name for name, names in told.items() if "AUDIT_SEAL_KEY_FILE" in names} == {"worker"}
    assert {name for name in OURS if SERVICES[name].get("secrets")} == {"worker"}
    owner = SERVICES["release"]["environment"]["MIGRATION_DATABASE_URL"]
    owner_name = SERVICES["postgres"]["environment"]["POSTGRES_USER"]
    assert owner.startswith(f"postgres://{owner_name}:")
    assert not SERVICES["web"]["environment"]["DATABASE_URL"].startswith(f"postgres://{owner_name}:")


def test_what_keeps_data_has_a_volume_and_what_serves_has_a_health_check() -> None:
    for name in ("postgres", "redis", "qdrant"):
        volume = SERVICES[name]["volumes"][0].partition(":")[0]
        assert volume in COMPOSE["volumes"], name
    assert {name for name, service in SERVICES.items() if "healthcheck" in service} == set(SERVICES) - {
        "release",  # runs once and ends
        "feed",  # says itself how it does: in /readyz, in /metrics, on the pages
        "poller",  # as old as the prices and balances it asks for, on every page
        "order-stream",  # says itself how it does, on the page of each connection
        "alarms",  # beside beat's own sweeps: /metrics says how long ago the last one was
    }


def test_nothing_is_reachable_from_outside_but_by_the_proxy() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert ports == ["127.0.0.1:8000:8000", "127.0.0.1:8001:8001"]


def test_the_image_copies_only_what_is_there_and_runs_as_nobody_special() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = [line.split()[1] for line in lines if line.startswith("COPY") and "--from" not in line]

    assert copied
    assert all((ROOT / path).exists() for path in copied)
    assert "USER aika" in lines


@pytest.mark.parametrize("name", [name for name in OURS if name != "release"])
def test_the_page_about_deployment_starts_the_same_processes(name: str) -> None:
    page = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8").replace('""', "").split()
    words = [re.sub(r"^0(\.0){3}:", "127.0.0.1:", word) for word in SERVICES[name]["command"] if word]
    assert any(page[at : at + len(words)] == words for at in range(len(page))), words
