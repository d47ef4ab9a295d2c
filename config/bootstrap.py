"""`make run` and `make test`: from a bare Python to a running Aika, or one line that says what to do.

Started by whatever `python3` there is, before anything is installed: only the standard library, and syntax that an
old Python 3 can read far enough to say that it is too old. Imports nothing of Aika.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

OLDEST = (3, 11)
NEWER = ("python3.14", "python3.13", "python3.12", "python3.11")
ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "aika-installed.json"
REQUIREMENTS = ROOT / "requirements"
# A larger lock contains the smaller ones, pin for pin: installing it satisfies them too.
CONTAINS = {
    "base": ("base",),
    "dev": ("base", "dev"),
    "browser": ("base", "dev", "browser"),
    "bench": ("base", "dev", "bench"),
}
# What takes long is left to .ci/run; pytest by itself runs the thorough ones too.
FAST = "not postgres and not browser and not slow and not thorough"
TEST_STEPS = (
    ("ruff", (str(PYTHON), "-m", "ruff", "check", ".")),
    ("mypy", (str(PYTHON), "-m", "mypy")),
    ("import contracts", (str(VENV / "bin" / "lint-imports"), "--no-logo")),
    ("missing migrations", (str(PYTHON), "manage.py", "makemigrations", "--check", "--dry-run")),
    ("system check", (str(PYTHON), "manage.py", "check", "--fail-level", "WARNING")),
    # tests/browser imports what only requirements/browser.txt installs.
    ("pytest", (str(PYTHON), "-m", "pytest", "-n", "2", "-m", FAST, "--ignore=tests/browser")),
)


class Stop(Exception):
    """Expected trouble. The message is the one line that a person reads."""


def say(line: str) -> None:
    """One line for the person at the terminal, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def require_python(arguments: list[str]) -> None:
    """Return if this Python is new enough; else start again with one that is."""
    if sys.version_info[:2] >= OLDEST:
        return
    for name in NEWER:
        found = shutil.which(name)
        # A name on PATH may be a shim without a Python behind it: it must also run.
        if found and succeeds([found, "-c", "import sys; sys.exit(sys.version_info[:2] < (3, 11))"]):
            os.execv(found, [found, str(Path(__file__).resolve()), *arguments])
    raise Stop(
        "Aika needs Python 3.11 or newer and this is {}.{}. Install python3.11, then run make again.".format(
            *sys.version_info[:2]
        )
    )


def succeeds(command: list[str]) -> bool:
    """True where the command exists and ends with 0; its output is dropped."""
    try:
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError:
        return False
    return ended.returncode == 0


def find_uv() -> str | None:
    """A uv that runs, or None."""
    found = shutil.which("uv")
    return found if found and succeeds([found, "--version"]) else None


def lock_digest(name: str) -> str:
    """SHA-256 of a lock file's content."""
    path = REQUIREMENTS / f"{name}.txt"
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise Stop(f"{path} cannot be read ({error.strerror}). Is this a whole clone?") from error


def installed() -> dict[str, str]:
    """Lock name -> digest of what the stamp says is installed; empty where there is no readable stamp."""
    try:
        content = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def ensure_environment(name: str) -> None:
    """`.venv` with everything of requirements/NAME.txt, hashes checked. Does nothing when it is there already."""
    with (ROOT / "Makefile").open("rb") as gate:
        exclusively(gate.fileno())
        if installed().get(name) == lock_digest(name) and succeeds([str(PYTHON), "-c", ""]):
            return
        uv = find_uv()
        STAMP.unlink(missing_ok=True)
        make_venv(uv)
        install(name, uv)
        STAMP.write_text(json.dumps({lock: lock_digest(lock) for lock in CONTAINS[name]}), encoding="utf-8")


def exclusively(descriptor: int) -> None:
    """Wait for another make in this clone; the lock goes when this process does, however it ends."""
    import fcntl  # not on every platform: imported where it is needed, so that the error can be a sentence

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("Another make is installing in this folder; waiting for it.")
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def make_venv(uv: str | None) -> None:
    """Make `.venv`, or make it again where it cannot be used."""
    usable = [str(PYTHON), "-c", "import sys; sys.exit(sys.version_info[:2] < (3, 11))"]
    if succeeds(usable) and (uv or succeeds([str(PYTHON), "-m", "pip", "--version"])):
        return
    say("Making .venv with Python {}.{} ...".format(*sys.version_info[:2]))
    if uv:
        command = [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(VENV)]
    else:
        if not importlib.util.find_spec("venv") or not importlib.util.find_spec("ensurepip"):
            raise Stop(
                "This Python has no venv module. Install it (Debian: apt install python3-venv) or install uv, "
                "then run make again."
            )
        command = [sys.executable, "-m", "venv", "--clear", str(VENV)]
    if subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode:
        raise Stop(f"Making {VENV} failed; the lines above say why. Remove that folder and run make again.")


def install(name: str, uv: str | None) -> None:
    """Install one lock file into `.venv`, byte-compiled, so that the first start is not the slow one."""
    lock = str(REQUIREMENTS / f"{name}.txt")
    say("Installing requirements/{}.txt with {} ...".format(name, "uv" if uv else "pip"))
    if uv:
        command = [uv, "pip", "install", "--quiet", "--python", str(PYTHON), "--require-hashes", "--compile-bytecode"]
    else:
        command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--require-hashes", "--no-input"]
        command += ["--disable-pip-version-check", "--no-warn-script-location"]
    if subprocess.run([*command, "-r", lock], stdin=subprocess.DEVNULL, check=False).returncode:
        raise Stop(f"Installing {lock} failed; the lines above say why. Run make again when it is mended.")


def require_port(text: str) -> int:
    """The port as a number, free on both loopback addresses."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise Stop(f"PORT={text!r} is not a port. Use a number from 1 to 65535: make run PORT=8001")
    port = int(text)
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        refuse_if_taken(family, address, port)
    return port


def refuse_if_taken(family: socket.AddressFamily, address: str, port: int) -> None:
    """Raise Stop if somebody listens there. A machine without that address family has nobody."""
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except PermissionError as error:
        raise Stop(f"Port {port} is only for root. Choose another: make run PORT=8001") from error
    except OSError as error:
        if error.errno == 98:  # EADDRINUSE
            raise Stop(f"Port {port} is taken by another program. Choose another: make run PORT={port + 1}") from error


def run(port_text: str, agent: str) -> None:
    """Environment, then the server in this very process, so that Ctrl-C reaches it and nothing else."""
    if agent not in ("yes", "no"):
        raise Stop(f"AGENT={agent!r} is neither yes nor no. Without the demo agent: make run AGENT=no")
    port = require_port(port_text)
    ensure_environment("base")
    os.chdir(str(ROOT))
    without = ["--without-agent"] if agent == "no" else []
    os.execv(str(PYTHON), [str(PYTHON), "-m", "config.serve", "--port", str(port), *without])


# A container's image may forbid it. Each process of the tests then compiles Aika, the tests and pytest's plugins again.
KEEP_NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"


def quiet_environment() -> dict[str, str]:
    """This process's variables without Aika's own: a test run means the same on every machine, and compiles once."""
    names = {
        line.split("=", 1)[0].lstrip("# ").strip()
        for line in (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
        if "=" in line
    }
    kept = {name: value for name, value in os.environ.items() if not {name, name.replace("_FILE", "")} & names}
    kept.pop(KEEP_NO_BYTECODE, None)
    return {**kept, "DJANGO_SETTINGS_MODULE": "config.settings.test"}


def test() -> int:
    """Every check of the fast part, all of them even when one fails; pytest's closing lines come last."""
    ensure_environment("dev")
    failed = []
    for title, command in TEST_STEPS:
        say(f"== {title}")
        ended = subprocess.run(command, cwd=ROOT, env=quiet_environment(), stdin=subprocess.DEVNULL, check=False)
        if ended.returncode:
            failed.append(title)
    if failed:
        say("make test failed in: {}".format(", ".join(failed)))
    return 1 if failed else 0


def main(arguments: list[str]) -> int:
    """0, or 1 after one line that says what is wrong."""
    parser = argparse.ArgumentParser(prog="bootstrap", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    serving = verbs.add_parser("run", help="make the environment and serve")
    serving.add_argument("--port", default="8000")
    serving.add_argument("--agent", default="yes", help="yes, or no: without the demo agent")
    verbs.add_parser("test", help="make the environment and run every fast check")
    verbs.add_parser("environment", help="make the environment only").add_argument(
        "lock", choices=sorted(CONTAINS), nargs="?", default="base"
    )
    try:
        require_python(arguments)
        chosen = parser.parse_args(arguments)
        if chosen.verb == "test":
            return test()
        if chosen.verb == "environment":
            ensure_environment(chosen.lock)
        else:
            run(chosen.port, chosen.agent)
    except Stop as trouble:
        say(str(trouble))
        return 1
    except KeyboardInterrupt:
        say("Stopped.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
