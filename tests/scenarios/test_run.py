"""The one command in processes of its own: it comes up, keeps what it has, survives kill -9, and stops at once."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
UP_S_MAX = 60
GONE_S_MAX = 5


class Desk:
    """One `config.serve` on a data folder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), "AIKA_DATA_DIR": str(home)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "config.serve", "--port", str(self.port)],
            cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip

    def wait_until_ready(self) -> dict[str, Any]:
        """What /readyz says once it says yes."""
        deadline = time.monotonic() + UP_S_MAX
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                answer = httpx.get(f"{self.url}/readyz", headers={"Host": "localhost"}, timeout=5)
            except httpx.TransportError:
                time.sleep(0.1)
                continue
            if answer.status_code == 200:
                return dict(answer.json())
        raise AssertionError(f"not ready: {self.end(signal.SIGKILL)[1]}")

    def end(self, number: signal.Signals) -> tuple[int, str]:
        """Send a signal; the exit code and everything said."""
        self.process.send_signal(number)
        said, _ = self.process.communicate(timeout=30)
        return self.process.returncode, said

    @property
    def demo(self) -> dict[str, Any]:
        """demo.json."""
        return dict(json.loads((self.home / "demo.json").read_text(encoding="utf-8")))

    @property
    def venue_port(self) -> int:
        """Where its simulator listens."""
        return int(json.loads((self.home / "simulator.json").read_text(encoding="utf-8"))["port"])


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Desk]]:
    """Starts a desk on the test's data folder; whatever still runs at the end is killed."""
    desks: list[Desk] = []

    def begin() -> Desk:
        desks.append(Desk(tmp_path))
        return desks[-1]

    yield begin
    for desk in desks:
        if desk.process.poll() is None:
            desk.end(signal.SIGKILL)


def listens(port: int) -> bool:
    """Whether somebody answers there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def eventually(what: Callable[[], bool]) -> bool:
    """Whether it comes true within a time that is plenty."""
    deadline = time.monotonic() + GONE_S_MAX
    while not what() and time.monotonic() < deadline:
        time.sleep(0.05)
    return what()


def test_a_desk_comes_up_keeps_its_data_over_a_kill_and_stops_with_everything(start: Callable[[], Desk]) -> None:
    first = start()
    assert first.wait_until_ready()["parts"] == {"database": "ok", "migrations": "ok", "broker": "ok"}
    people, key = first.demo["users"], first.demo["api_key"]
    assert set(people) == {"trader", "approver", "approver2", "operator", "admin"}
    assert key
    assert (first.home / "demo.json").stat().st_mode & 0o777 == 0o600
    assert first.demo["url"] == f"http://localhost:{first.port}"
    assert httpx.get(f"{first.url}/static/admin/css/base.css").status_code == 200

    first.end(signal.SIGKILL)
    assert eventually(lambda: not listens(first.venue_port)), "the simulator outlived its parent"

    second = start()
    second.wait_until_ready()
    assert second.demo["users"] == people
    assert second.demo["api_key"] == key
    assert second.demo["url"] == f"http://localhost:{second.port}"

    status, said = second.end(signal.SIGINT)
    assert status == 0
    assert said.rstrip().endswith("Stopped.")
    assert "Traceback" not in said
    assert f"http://localhost:{second.port}" in said
    assert all(person["password"] in said for person in people.values())
    assert eventually(lambda: not listens(second.venue_port))


def test_trouble_at_the_start_is_one_line_and_not_a_trace(start: Callable[[], Desk], tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("{", encoding="utf-8")

    said, _ = start().process.communicate(timeout=30)

    assert "Traceback" not in said
    assert len(said.splitlines()) == 1
    assert "secrets.json cannot be read" in said
