"""What only a process shows: starting, refusing to start, restarting, and going away."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from apps.connectors.simulator import serve
from tests.connectors.simulator.client import Client
from tests.connectors.simulator.conftest import ROOT, Process

Start = Callable[..., tuple[Process, Client]]
COMMAND = [sys.executable, "-m", "apps.connectors.simulator"]
pytestmark = pytest.mark.slow

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def wait_until(happened: Callable[[], bool]) -> None:
    for _ in range(1000):
        if happened():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen")


@pytest.fixture
def failure(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The one line of a simulator that does not start."""

    def line(*arguments: str) -> str:
        assert serve.main(list(arguments)) == 1
        output = capsys.readouterr()
        assert output.out == "" and output.err.count("\n") == 1
        return output.err

    return line


def test_a_restart_keeps_everything_and_a_second_process_is_refused(
    start: Start, tmp_path: Path, failure: Callable[..., str]
) -> None:
    data = str(tmp_path / "data")
    first, venue = start("--data", data)
    assert first.ready == f"simulator ready {first.url}"
    filled = venue.place({"market_market_ioc": {"quote_size": "100"}})
    resting = venue.place({"limit_limit_gtc": {"base_size": "0.1", "limit_price": "1000"}})
    assert "is in use by another simulator" in failure("--port", "0", "--data", data)
    before = (venue.balances(), venue.order(filled), venue.fills(filled), venue.order(resting))
    first.child.kill()
    first.child.wait(timeout=10)
    _, again = start("--data", data)
    assert (again.balances(), again.order(filled), again.fills(filled), again.order(resting)) == before
    assert again.key == venue.key
    assert again.cancel(resting)[0]["success"]


def test_a_busy_port_is_one_line_that_says_what_to_do(failure: Callable[..., str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        line = failure("--port", str(taken.getsockname()[1]))
    assert "cannot listen on 127.0.0.1:" in line and "choose another --port" in line


def test_a_bad_key_file_is_one_line(tmp_path: Path, failure: Callable[..., str]) -> None:
    (tmp_path / "key.json").write_text("{}")
    assert "is not a CDP key file" in failure("--port", "0", "--key-file", str(tmp_path / "key.json"))


def test_a_spoilt_store_is_one_line(tmp_path: Path, failure: Callable[..., str]) -> None:
    (tmp_path / "venue.sqlite3").write_bytes(b"not a database" * 100)
    assert "cannot open the store" in failure("--port", "0", "--data", str(tmp_path))


def test_the_end_leaves_no_key_behind(tmp_path: Path) -> None:
    process = Process(environment={"TMPDIR": str(tmp_path)})
    assert process.url and list(tmp_path.glob("venue-simulator-*/key.json"))
    process.stop()
    assert process.child.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_interrupt_ends_it_cleanly_even_while_a_request_hangs(start: Start) -> None:
    process, venue = start("--fault", "time:timeout-before:seconds=60,count=1")
    command = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1])"
    hanging = subprocess.Popen(
        [sys.executable, "-c", command, f"{process.url}/api/v3/brokerage/time"], stderr=subprocess.DEVNULL
    )
    wait_until(lambda: bool(venue.admin("GET", "/requests")["requests"]))
    process.child.send_signal(signal.SIGINT)
    assert process.child.wait(timeout=10) in (0, -signal.SIGINT)
    assert process.child.stderr is not None and process.child.stderr.read() == ""
    assert hanging.wait(timeout=10) != 0


def test_it_goes_when_its_parent_is_gone(tmp_path: Path) -> None:
    """The parent here is not the process that started it, so only the polling can see it go."""
    parent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    process = Process("--parent-pid", str(parent.pid), "--key-file", str(tmp_path / "key.json"))
    assert process.url
    parent.communicate(b"\n", timeout=10)
    assert process.child.wait(timeout=10) == 0
    process.stop()


def test_it_dies_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    script = (
        "import os, subprocess, sys\n"
        "child = subprocess.Popen([*sys.argv[1:], '--parent-pid', str(os.getpid())], stdout=subprocess.PIPE)\n"
        "print(child.pid, child.stdout.readline().decode(), flush=True)\n"
        "input()\n"
    )
    arguments = [*COMMAND, "--port", "0", "--key-file", str(tmp_path / "key.json")]
    parent = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert parent.stdout is not None
    pid = int(parent.stdout.readline().split()[0])
    parent.kill()
    parent.wait(timeout=10)
    stat = Path(f"/proc/{pid}/stat")
    wait_until(lambda: not stat.exists() or stat.read_text().split()[2] == "Z")
    parent.communicate()


def test_it_starts_without_django() -> None:
    code = (
        "import sys, apps.connectors.simulator.serve; sys.exit(any(name.startswith('django') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=ENVIRONMENT, timeout=20).returncode == 0
