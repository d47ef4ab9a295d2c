"""Management commands as processes of their own, on a data folder of their own."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from config.home import home_secrets, make_home
from tests.guarded_flush.management.commands.migrate import kept_at
from tests.venues.simulator_process import SimulatorProcess

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120.0

Process = subprocess.Popen[str]
Manage = Callable[..., Process]


@contextmanager
def managing(home: Path, variables: Mapping[str, str]) -> Iterator[Manage]:
    """What starts a command on `home`. Whatever still runs at the end is killed."""
    environment = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
    environment |= {"AIKA_DATA_DIR": str(home), "DJANGO_SETTINGS_MODULE": "config.settings.local", **variables}
    migrated(home)
    with ExitStack() as stack:

        def begin(*words: str) -> Process:
            # What goes wrong is said into a file: a command that runs on would stop at a pipe that nobody reads.
            wrong = stack.enter_context((home.parent / f"{words[0]}.log").open("a"))
            process = subprocess.Popen(
                [sys.executable, "manage.py", *words],
                cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=wrong, text=True,
            )  # fmt: skip
            stack.enter_context(process)  # closes its pipe and waits for its end
            stack.callback(process.kill)
            return process

        yield begin


def done(process: Process) -> str:
    """What a command said that ended well. What it said of its trouble is in a log beside its data folder."""
    said, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, (process.args, said)
    return said


def migrated(home: Path) -> Path:
    """A data folder, with a database that the migrations have made where another process of the tests has kept one for
    this state of the code; else they run when the folder is first used."""
    make_home(home)
    home_secrets(home)  # never made later beside a database
    kept = kept_at(ROOT)
    if kept.exists():
        shutil.copyfile(kept, home / "aika.sqlite3")
    return home


def seeded(manage: Manage, simulator: SimulatorProcess) -> None:
    """A demo desk at this venue."""
    done(manage("migrate", "--noinput"))
    done(manage("sync_roles"))
    done(
        manage(
            *("seed_demo", "--url", "http://localhost:1", "--simulator-url", simulator.url),
            *("--simulator-key-file", str(simulator.key_file)),
        )
    )


def wait_until(happened: Callable[[], bool], *, while_running: Process | None = None, times: int = 1) -> None:
    """Look again and again, as long as the process runs where one is named; `times` as long where more is due."""
    deadline = time.monotonic() + PATIENCE_S * times
    while not happened():
        assert while_running is None or while_running.poll() is None, "the process has ended"
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)
