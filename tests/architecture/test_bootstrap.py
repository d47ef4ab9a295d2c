"""Expected trouble at the start is one line that says what to do; what is there already is not made again."""

import ast
import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config import bootstrap, serve, venue_process
from config.venue_process import VenueProcess, VenueUnavailable

SOURCE = Path(bootstrap.__file__)


@pytest.fixture
def busy_port() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield int(taken.getsockname()[1])


@pytest.fixture
def venv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The bootstrap's paths, moved to an empty folder."""
    folder = tmp_path / ".venv"
    monkeypatch.setattr(bootstrap, "VENV", folder)
    monkeypatch.setattr(bootstrap, "PYTHON", folder / "bin" / "python")
    monkeypatch.setattr(bootstrap, "STAMP", folder / "aika-installed.json")
    return folder


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[str]]:
    """The lines said so far."""
    return lambda: capsys.readouterr().out.splitlines()


def test_an_old_python_can_read_it_far_enough_to_be_told() -> None:
    old = (3, 7)
    assert ast.parse(SOURCE.read_text(encoding="utf-8"), feature_version=old).body
    with pytest.raises(SyntaxError):
        ast.parse("(new := 1)", feature_version=old)


def test_it_needs_nothing_that_is_not_in_every_python() -> None:
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

    assert {name.partition(".")[0] for name in imported} <= set(sys.stdlib_module_names)


@pytest.mark.parametrize("text", ["", "abc", "0", "65536", "-1", "80 80", "８０"])
def test_a_port_that_is_none_is_one_line(text: str, said: Callable[[], list[str]]) -> None:
    assert bootstrap.main(["run", "--port", text]) == 1
    assert said() == [f"PORT={text!r} is not a port. Use a number from 1 to 65535: make run PORT=8001"]


def test_a_busy_port_is_one_line_that_names_another(busy_port: int, said: Callable[[], list[str]]) -> None:
    assert bootstrap.main(["run", "--port", str(busy_port)]) == 1
    assert said() == [f"Port {busy_port} is taken by another program. Choose another: make run PORT={busy_port + 1}"]


def test_an_agent_that_is_neither_yes_nor_no_is_one_line(said: Callable[[], list[str]]) -> None:
    assert bootstrap.main(["run", "--agent", "maybe"]) == 1
    assert said() == ["AGENT='maybe' is neither yes nor no. Without the demo agent: make run AGENT=no"]


def test_a_python_too_old_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: Callable[[], list[str]]
) -> None:
    shim = tmp_path / "python3.12"
    shim.write_text("#!/bin/sh\nexit 127\n", encoding="utf-8")  # a name on PATH without a Python behind it
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "version_info", (3, 9, 18))

    assert bootstrap.main(["run"]) == 1
    assert said() == ["Aika needs Python 3.11 or newer and this is 3.9. Install python3.11, then run make again."]


def test_a_python_too_old_gives_way_to_a_newer_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "python3.11").symlink_to(sys.executable)
    started: list[list[str]] = []
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "version_info", (3, 9, 18))
    monkeypatch.setattr(os, "execv", lambda _path, arguments: started.append(arguments))

    with pytest.raises(bootstrap.Stop):  # the real execv would not come back
        bootstrap.require_python(["run", "--port", "8001"])

    assert started == [[str(tmp_path / "python3.11"), str(SOURCE), "run", "--port", "8001"]]


@pytest.mark.parametrize("missing", ["venv", "ensurepip"])
def test_a_python_without_venv_is_one_line(
    missing: str, venv: Path, monkeypatch: pytest.MonkeyPatch, said: Callable[[], list[str]]
) -> None:
    find_spec = bootstrap.importlib.util.find_spec
    monkeypatch.setattr(bootstrap, "find_uv", lambda: None)
    monkeypatch.setattr(
        bootstrap.importlib.util, "find_spec", lambda name: None if name == missing else find_spec(name)
    )

    assert bootstrap.main(["environment"]) == 1
    assert said()[-1].startswith("This Python has no venv module. Install it (Debian: apt install python3-venv)")


def test_an_install_that_fails_is_one_line_and_is_tried_again(
    venv: Path, monkeypatch: pytest.MonkeyPatch, said: Callable[[], list[str]]
) -> None:
    monkeypatch.setattr(bootstrap, "make_venv", lambda _uv: venv.mkdir(exist_ok=True))
    monkeypatch.setattr(bootstrap, "find_uv", lambda: "false")

    assert bootstrap.main(["environment"]) == 1
    assert said()[-1].endswith("failed; the lines above say why. Run make again when it is mended.")
    assert not bootstrap.STAMP.exists()


def test_what_is_installed_is_not_installed_again_until_the_lock_changes(
    venv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installs: list[str] = []
    monkeypatch.setattr(bootstrap, "install", lambda name, _uv: installs.append(name))
    monkeypatch.setattr(bootstrap, "find_uv", lambda: None)
    monkeypatch.setattr(bootstrap, "make_venv", lambda _uv: (venv / "bin").mkdir(parents=True, exist_ok=True))

    bootstrap.ensure_environment("dev")
    (venv / "bin" / "python").symlink_to(sys.executable)
    bootstrap.ensure_environment("dev")
    bootstrap.ensure_environment("base")  # contained in dev
    assert installs == ["dev"]

    stamp = json.loads(bootstrap.STAMP.read_text(encoding="utf-8"))
    bootstrap.STAMP.write_text(json.dumps({**stamp, "base": "of another lock"}), encoding="utf-8")
    bootstrap.ensure_environment("base")
    assert installs == ["dev", "base"]


def test_a_damaged_stamp_or_python_means_to_install(venv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installs: list[str] = []
    monkeypatch.setattr(bootstrap, "install", lambda name, _uv: installs.append(name))
    monkeypatch.setattr(bootstrap, "make_venv", lambda _uv: None)
    venv.mkdir()

    for content in ("", "[]", json.dumps({"base": bootstrap.lock_digest("base")})):  # the last: no python there
        bootstrap.STAMP.write_text(content, encoding="utf-8")
        bootstrap.ensure_environment("base")

    assert installs == ["base"] * 3


def test_a_test_run_means_the_same_whatever_the_shell_has_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "DATABASE_URL",
        "SECRET_KEY_FILE",
        "POLICY_REQUIRE_APPROVAL",
        "PYTHONDONTWRITEBYTECODE",
        "OF_ANOTHER_PROGRAM",
    ):
        monkeypatch.setenv(name, "x")

    environment = bootstrap.quiet_environment()

    assert not {"DATABASE_URL", "SECRET_KEY_FILE", "POLICY_REQUIRE_APPROVAL"} & set(environment)
    assert "PYTHONDONTWRITEBYTECODE" not in environment
    assert environment["OF_ANOTHER_PROGRAM"] == "x"
    assert environment["DJANGO_SETTINGS_MODULE"] == "config.settings.test"


def test_a_port_taken_during_the_preparation_is_trouble(busy_port: int) -> None:
    with pytest.raises(serve.Trouble, match=f"make run PORT={busy_port + 1}"):
        serve.take_port(busy_port)


def test_one_data_folder_has_one_desk_at_a_time(tmp_path: Path) -> None:
    with serve.take_home(tmp_path), pytest.raises(serve.Trouble, match="runs already"):
        serve.take_home(tmp_path)
    with serve.take_home(tmp_path):
        pass


def test_the_venue_keeps_its_port_and_says_when_somebody_else_took_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(venue_process, "PORT_WAIT_S_MAX", 0)
    first = VenueProcess(tmp_path).port
    assert VenueProcess(tmp_path).port == first

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first))
        taken.listen()
        with pytest.raises(VenueUnavailable, match=f"Port {first} of the venue simulator is taken"):
            VenueProcess(tmp_path)

    assert VenueProcess(tmp_path).port == first


def test_the_venue_waits_for_the_last_one_to_let_go_of_the_port(tmp_path: Path) -> None:
    first = VenueProcess(tmp_path).port
    taken = socket.socket()
    taken.bind(("127.0.0.1", first))
    taken.listen()
    threading.Timer(0.2, taken.close).start()

    assert VenueProcess(tmp_path).port == first


@pytest.mark.parametrize("content", ["", "{}", '{"port": "x"}', '{"port": 99999999}', '{"port": null}', "[]"])
def test_a_damaged_note_of_the_venues_port_is_written_anew(content: str, tmp_path: Path) -> None:
    (tmp_path / "simulator.json").write_text(content, encoding="utf-8")

    port = VenueProcess(tmp_path).port

    assert json.loads((tmp_path / "simulator.json").read_text(encoding="utf-8")) == {"port": port}
