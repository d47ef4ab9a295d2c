"""`python -m tests.benchmarks.feed_memory --minutes N [--replay FILE]`: whether a feed that runs on keeps its size.

A real `stream_quotes` on a desk of its own follows a real simulator with many products, one of them replayed at sixty
times its speed: a minute of it is an hour of that market. Prints what the process holds of memory as it goes.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.venues.simulator_process import SimulatorProcess

ROOT = Path(__file__).resolve().parents[2]
SETTLE_S = 30


def resident_kb(pid: int) -> int:
    """Resident memory of a process. Linux only."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise RuntimeError(f"{pid} has no memory")


def main(arguments: list[str]) -> int:
    """0 where it grew by less than a tenth after it had settled."""
    parser = argparse.ArgumentParser(prog="tests.benchmarks.feed_memory", description=__doc__)
    parser.add_argument("--minutes", type=int, default=3)
    parser.add_argument("--products", type=int, default=100)
    parser.add_argument("--replay", type=Path)
    chosen = parser.parse_args(arguments)
    replay = () if chosen.replay is None else ("--replay", str(chosen.replay), "--speed", "60", "--replay-wait")
    simulator = SimulatorProcess(arguments=("--products", str(chosen.products), *replay)).start()
    with tempfile.TemporaryDirectory(prefix="aika-feed-") as home:
        environment = {**os.environ, "AIKA_DATA_DIR": home, "DJANGO_SETTINGS_MODULE": "config.settings.local"}
        for words in (
            ["migrate", "--noinput"],
            ["sync_roles"],
            ["seed_demo", "--url", "http://localhost:1", "--simulator-url", simulator.url,
             "--simulator-key-file", str(simulator.key_file)],
        ):  # fmt: skip
            subprocess.run(
                [sys.executable, "manage.py", *words], cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL
            )
        feed = subprocess.Popen(
            [sys.executable, "manage.py", "stream_quotes"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
        )
        try:
            return watch(feed.pid, minutes=chosen.minutes)
        finally:
            feed.terminate()
            feed.wait(20)
            simulator.stop()


def watch(pid: int, *, minutes: int) -> int:
    """Look every half minute after it has settled."""
    time.sleep(SETTLE_S)
    first = last = resident_kb(pid)
    sys.stdout.write(f"settled: {first:,} kB\n")
    for turn in range(minutes * 2):
        time.sleep(30)
        last = resident_kb(pid)
        sys.stdout.write(f"after {(turn + 1) / 2:g} min: {last:,} kB ({100 * last / first - 100:+.1f} %)\n")
        sys.stdout.flush()
    return int(last > first * 1.1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
