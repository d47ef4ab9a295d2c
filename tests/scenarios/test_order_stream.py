"""Two `stream_orders` processes on one database: one follows, and when it is killed the other takes over."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.venues.simulator_process import SimulatorProcess

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0


@pytest.fixture
def manage(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a management command on a data folder of its own; what still runs at the end is killed."""
    home = tmp_path / "home"
    environment = {**os.environ, "AIKA_DATA_DIR": str(home), "DJANGO_SETTINGS_MODULE": "config.settings.local"}
    for name in ("DATABASE_URL", "REDIS_URL"):
        environment.pop(name, None)
    with ExitStack() as stack:

        def begin(*words: str) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(
                [sys.executable, "manage.py", *words],
                cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            )  # fmt: skip
            stack.callback(process.communicate)
            stack.callback(process.kill)
            return process

        yield begin


def done(process: subprocess.Popen[bytes]) -> None:
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said.decode()


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)


def test_a_killed_follower_is_replaced_and_two_never_listen(
    manage: Callable[..., subprocess.Popen[bytes]], simulator: SimulatorProcess
) -> None:
    done(manage("migrate", "--noinput"))
    done(manage("sync_roles"))
    done(
        manage(
            *("seed_demo", "--url", "http://localhost:1", "--simulator-url", simulator.url),
            *("--simulator-key-file", str(simulator.key_file)),
        )
    )

    def listening() -> list[object]:
        return [row for row in simulator.sockets()["connections"] if "user" in row["subscriptions"]]

    def connects() -> int:
        return int(simulator.sockets()["connects"]["user"])

    simulator.reset()
    one = manage("stream_orders", "--connection", "coinbase-paper")
    wait_until(lambda: len(listening()) == 1)
    two = manage("stream_orders", "--connection", "coinbase-paper")
    time.sleep(3)
    assert (len(listening()), connects(), two.poll()) == (1, 1, None)
    one.kill()
    wait_until(lambda: connects() == 2 and len(listening()) == 1)
    two.terminate()
    done(two)
    wait_until(lambda: listening() == [])


def test_an_unknown_connection_is_one_line(manage: Callable[..., subprocess.Popen[bytes]]) -> None:
    done(manage("migrate", "--noinput"))
    process = manage("stream_orders", "--connection", "nowhere")
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1 and said.decode().strip().splitlines()[-1].startswith("CommandError: There is no")
