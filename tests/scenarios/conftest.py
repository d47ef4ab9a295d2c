"""Fixtures of the runs in processes of their own."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.conf import settings

from tests.scenarios.commands import Manage, managing
from tests.scenarios.server_profile import Server
from tests.venues.simulator_process import SimulatorProcess

if TYPE_CHECKING:
    from tests.scenarios.test_state_machine import Desk

ROOT = Path(__file__).resolve().parents[2]
RUN = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)[0]
UP_S_MAX = 300


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One server installation for a module."""
    if not settings.DATABASE_URL or not settings.REDIS_URL:
        pytest.fail("Set DATABASE_URL and REDIS_URL; .ci/run does.")
    started = Server(settings.DATABASE_URL, settings.REDIS_URL).start()
    yield started
    started.stop()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def variables() -> dict[str, str]:
    """What a module wants its commands' environment to say besides."""
    return {}


@pytest.fixture
def manage(home: Path, variables: dict[str, str]) -> Iterator[Manage]:
    """Start a management command on a data folder of its own."""
    with managing(home, variables) as begin:
        yield begin


@pytest.fixture
def demo_desk(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The desk of the README's first command, without the demo agent: the variables of its folder, and its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # Not the variables that .ci/run sets for the tests: whoever reads the page has none.
    variables = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path),
        "AIKA_DATA_DIR": str(tmp_path / "var"),
    }  # fmt: skip
    log = (tmp_path / "run.log").open("w")
    process = subprocess.Popen(
        [*RUN.split(), f"PORT={port}", "AGENT=no"], cwd=ROOT, env=variables, stdout=log, stderr=log,
        start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + UP_S_MAX
    while time.monotonic() < deadline and process.poll() is None:
        if f"http://localhost:{port}" in (tmp_path / "run.log").read_text(encoding="utf-8"):
            break
        time.sleep(0.2)
    yield {**variables, "ADDRESS": f"http://localhost:{port}"}
    os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(30)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        log.close()


@pytest.fixture
def day(db: None, simulator: SimulatorProcess) -> Iterator["Desk"]:
    """A day of which a test takes the steps, and breaks a promise by hand."""
    # Here and not above: only what needs a day waits for its machinery.
    from tests.scenarios.test_state_machine import Desk

    Desk.simulator, Desk.kinds_judged = simulator, set()
    desk = Desk()
    yield desk
    desk.end()
