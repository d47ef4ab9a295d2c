"""`python -m tests.benchmarks.feed_memory --minutes N --replay FILE [--report PAGE]`: whether a feed that runs on
keeps its size.

A real `stream_quotes` on a desk of its own follows a real simulator with many products and one whole order book, one
product replayed at sixty times its speed: a minute of it is an hour of that market. Its sockets are dropped now and
then. Prints what the process holds of memory as it goes.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.venues.simulator_process import SimulatorProcess

ROOT = Path(__file__).resolve().parents[2]
SETTLE_S = 30
LOOK_S = 30
DROP_EVERY = 10
"""Looks between two times that the venue drops every socket."""
REPORT_EVERY = 10
BOOK = "BTC-USD"
GROWTH_MAX = 0.1


@dataclass(frozen=True, kw_only=True)
class Look:
    """So many seconds after it had settled: resident memory, and messages that the venue had sent by then."""

    after_s: int
    kb: int
    messages: int


class Venue:
    """The simulator, and how many messages it has sent to sockets that are open or that it has dropped."""

    def __init__(self, simulator: SimulatorProcess) -> None:
        self._simulator = simulator
        self._sent_before = 0
        self.drops = 0

    def messages(self) -> int:
        """Sent so far; those between the last look at a socket and its drop are left out."""
        return self._sent_before + sum(row["sequence_num"] for row in self._simulator.sockets()["connections"])

    def drop(self) -> None:
        """Reset every connection; the feed connects again by itself."""
        self._sent_before = self.messages()
        self._simulator.add_socket_fault("drop", "market")
        self._simulator.clear_socket_faults()
        self.drops += 1


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
    parser.add_argument("--replay", type=Path, required=True)
    parser.add_argument("--report", type=Path, help="write what was seen to this page")
    chosen = parser.parse_args(arguments)
    replay = ("--replay", str(chosen.replay), "--speed", "60", "--replay-wait")
    simulator = SimulatorProcess(arguments=("--products", str(chosen.products), *replay)).start()
    with tempfile.TemporaryDirectory(prefix="aika-feed-") as home:
        environment = {
            **os.environ, "AIKA_DATA_DIR": home, "DJANGO_SETTINGS_MODULE": "config.settings.local", "FEED_BOOKS": BOOK,
        }  # fmt: skip
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
        venue = Venue(simulator)
        try:
            looks = watch(feed.pid, venue, minutes=chosen.minutes)
        finally:
            feed.terminate()
            feed.wait(20)
            simulator.stop()
    if chosen.report is not None:
        chosen.report.write_text(page(looks, drops=venue.drops, products=chosen.products), encoding="utf-8")
    return int(looks[-1].kb > looks[0].kb * (1 + GROWTH_MAX))


def watch(pid: int, venue: Venue, *, minutes: int) -> list[Look]:
    """Look every half minute after it has settled."""
    time.sleep(SETTLE_S)
    begun, before = time.monotonic(), venue.messages()
    looks = [Look(after_s=0, kb=resident_kb(pid), messages=0)]
    sys.stdout.write(f"settled: {looks[0].kb:,} kB\n")
    for turn in range(1, minutes * 60 // LOOK_S + 1):
        time.sleep(max(begun + turn * LOOK_S - time.monotonic(), 0))
        looks.append(Look(after_s=turn * LOOK_S, kb=resident_kb(pid), messages=venue.messages() - before))
        sys.stdout.write(f"after {turn * LOOK_S / 60:g} min: {_words(looks[-1], looks[0])}\n")
        sys.stdout.flush()
        if turn % DROP_EVERY == 0:
            venue.drop()
    return looks


def _growth(look: Look, first: Look) -> str:
    return f"{100 * look.kb / first.kb - 100:+.1f} %"


def _words(look: Look, first: Look) -> str:
    return f"{look.kb:,} kB ({_growth(look, first)}), {look.messages:,} messages"


def page(looks: Sequence[Look], *, drops: int, products: int) -> str:
    """The whole page, as it is committed."""
    first, last = looks[0], looks[-1]
    half = looks[len(looks) // 2]
    lines = [
        "# Memory of a feed that runs on",
        "",
        "Written by `python -m tests.benchmarks.feed_memory --minutes N --report docs/feed-memory.md`; not edited by "
        f"hand. A real `stream_quotes` follows a real simulator: its own products and {products} further ones, tickers "
        "(one message tells all that moved) and trades, one market replayed at sixty times its speed, and the whole "
        f"order book of {BOOK}. Every {DROP_EVERY * LOOK_S // 60} minutes all its sockets are reset. Resident memory "
        f"is read every {LOOK_S} s, the first time {SETTLE_S} s after the start.",
        "",
        f"- Machine: {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        f"- Date: {datetime.now(UTC):%Y-%m-%d}",
        f"- {last.after_s // 60} minutes, {last.messages:,} messages, {drops} times every socket reset",
        f"- From first to last: {_growth(last, first)}; from half time to last: {_growth(last, half)}; largest: "
        f"{max(look.kb for look in looks):,} kB",
        "",
        "| after | resident | against the first | messages so far |",
        "|---|---|---|---|",
        *(
            f"| {look.after_s // 60} min | {look.kb:,} kB | {_growth(look, first)} | {look.messages:,} |"
            for look in looks[::REPORT_EVERY]
        ),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
