"""The one command in processes of its own: a stranger's way to a filled order, and every way a run may end."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.scenarios.callers import Person, Program, eventually
from tests.scenarios.commands import migrated

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
UP_S_MAX = 300
# What waits would be another thing each time.
WITHOUT_AGENT = ("--without-agent",)
PARTS = ("database", "migrations", "broker", "layer")


class Desk:
    """One `config.serve` on a data folder, as `make run` ends."""

    def __init__(self, home: Path, port: int | None = None, *, with_agent: bool = False) -> None:
        self.home = home
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = port or int(probe.getsockname()[1])
        self.url = f"http://localhost:{self.port}"
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), "AIKA_DATA_DIR": str(home)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "config.serve", "--port", str(self.port), *(() if with_agent else WITHOUT_AGENT)],
            cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip

    def wait_until_ready(self) -> dict[str, Any]:
        """What /readyz says once it says yes."""
        deadline, said = time.monotonic() + UP_S_MAX, "nothing"
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                answer = httpx.get(f"{self.url}/readyz", timeout=30)
            except httpx.TransportError as error:
                said = repr(error)
            else:
                if answer.status_code == 200:
                    return dict(answer.json())
                said = answer.text
            time.sleep(0.2)
        raise AssertionError(f"not ready, /readyz: {said}\n{self.end(signal.SIGKILL)[1]}")

    def end(self, number: signal.Signals) -> tuple[int, str]:
        """Send a signal to the one process that was started; its exit code and everything said."""
        self.process.send_signal(number)
        said, _ = self.process.communicate(timeout=60)
        return self.process.returncode, said

    @property
    def demo(self) -> dict[str, Any]:
        """demo.json."""
        return dict(json.loads((self.home / "demo.json").read_text(encoding="utf-8")))

    def person(self, part: str) -> Person:
        """One of the printed people, signed in through the page."""
        user = self.demo["users"][part]
        return Person(self.url, user["username"], user["password"])

    def program(self) -> Program:
        """The trader's script."""
        return Program(self.url, self.demo["api_key"])


def run_agent(home: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """`manage.py demo_agent` on that data folder, to its end."""
    return subprocess.run(
        [sys.executable, "manage.py", "demo_agent", *options], cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "AIKA_DATA_DIR": str(home)},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def processes_of(home: Path) -> set[int]:
    """Every process of this machine that was started on that data folder, however it came about."""
    mark = f"AIKA_DATA_DIR={home}".encode()
    found = set()
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and mark in (folder / "environ").read_bytes().split(b"\0"):
                found.add(int(folder.name))
        except OSError:
            continue  # it ended meanwhile, or is somebody else's
    return found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    """Starts a desk on the test's data folder; whatever still runs at the end is killed."""
    desks: list[Desk] = []

    def begin(**options: Any) -> Desk:
        desks.append(Desk(tmp_path, **options))
        return desks[-1]

    yield begin
    for desk in desks:
        if desk.process.poll() is None:
            desk.end(signal.SIGKILL)


def waiting_tags(approver: Person) -> list[str]:
    """The tags of what waits, in order."""
    return sorted(tag for item in approver.waiting() for tag in item["tags"] if tag != "demo")


def approve_the_plain_one(desk: Desk) -> dict[str, Any]:
    """What a stranger does first; the story of that proposal once its order is filled."""
    approver, program = desk.person("approver"), desk.program()
    try:
        assert waiting_tags(approver) == ["demo-like-a-loss", "demo-near-limit", "demo-plain"]
        (plain,) = [item for item in approver.waiting() if "demo-plain" in item["tags"]]
        page = approver.browser.get(f"/admin/decide/{plain['id']}/")
        assert (page.status_code, "BTC-USD" in page.text) == (200, True)
        approver.approve(plain["id"])
        story = program.followed_to(plain["id"], "FILLED")
        assert approver.browser.get(f"/admin/decide/{plain['id']}/").status_code == 200
        positions = program.client.get("/positions").json()["items"]
        assert "BTC-USD" in {position["instrument"] for position in positions}
    finally:
        approver.close()
        program.close()
    return story


def test_a_stranger_approves_kills_starts_again_and_stops(start: Callable[..., Desk]) -> None:
    first = start()
    parts = first.wait_until_ready()["parts"]
    assert {name: parts[name]["state"] for name in PARTS} == dict.fromkeys(PARTS, "ok")
    demo = first.demo
    assert stat.S_IMODE((first.home / "demo.json").stat().st_mode) == 0o600
    assert set(demo) == {"url", "users", "api_key"}
    assert demo["url"] == first.url
    assert set(demo["users"]) == {"trader", "approver", "approver2", "operator", "admin"}
    assert all(set(user) == {"username", "password"} for user in demo["users"].values())
    assert httpx.get(f"{first.url}/static/admin/css/base.css").status_code == 200
    filled = approve_the_plain_one(first)
    assert eventually(lambda: first.wait_until_ready()["feeds"] == {"LIVE": 1}), "the feed is a part of the process"

    # The simulator is a child of it: two processes, and after the kill none.
    assert len(processes_of(first.home)) == 2
    first.end(signal.SIGKILL)
    assert eventually(lambda: not processes_of(first.home), seconds=20), "the simulator outlived its parent"

    second = start()
    second.wait_until_ready()
    assert second.demo == demo | {"url": second.url}
    approver, program = second.person("approver"), second.program()
    # The one that was approved is asked for again; the two that still wait are not.
    assert waiting_tags(approver) == ["demo-like-a-loss", "demo-near-limit", "demo-plain"]
    assert program.story(filled["id"])["order"]["state"] == "FILLED"
    assert sorted(program.story(filled["id"])["fills"], key=str) == sorted(filled["fills"], key=str)
    waited = {item["id"] for item in approver.waiting()}
    approver.close()

    status, said = second.end(signal.SIGINT)
    program.close()
    assert status == 0, said
    assert said.rstrip().endswith("Stopped.")
    assert "Traceback" not in said
    assert second.url in said
    assert all(f"{user['username']} " in said and user["password"] in said for user in demo["users"].values())
    assert eventually(lambda: not processes_of(second.home), seconds=20)

    third = start(with_agent=True)
    third.wait_until_ready()
    approver = third.person("approver")
    assert {item["id"] for item in approver.waiting()} >= waited
    # Another one by hand beside the one that was started: it asks by the same key, three times, and ends.
    agent = run_agent(third.home, "--count", "3", "--every", "0", "--waiting", "20", "--seed", "1")
    assert (agent.returncode, agent.stdout.splitlines()[-1]) == (0, "Asked for 3."), agent.stdout
    log = third.home / "agent.log"
    assert eventually(lambda: "AWAITING_APPROVAL" in log.read_text(encoding="utf-8")), log.read_text(encoding="utf-8")
    asked = {item["id"] for item in approver.waiting()} - waited
    assert 3 <= len(asked) <= 5
    assert all(f"/admin/decide/{one}/" in agent.stdout + log.read_text(encoding="utf-8") for one in asked)
    approver.close()
    assert len(processes_of(third.home)) == 3
    status, said = third.end(signal.SIGTERM)
    assert status == 0
    assert f"What it says: {log}. Without it: make run AGENT=no" in said
    assert eventually(lambda: not processes_of(third.home), seconds=20)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_sockets_are_on_the_same_port_and_hold_up_no_stop(
    start: Callable[..., Desk], tmp_path: Path, number: signal.Signals
) -> None:
    migrated(tmp_path)
    desk = start()
    desk.wait_until_ready()
    headers = {"Authorization": f"Bearer {desk.demo['api_key']}"}
    watching = desk.person("trader")
    session = f"sessionid={watching.browser.cookies['sessionid']}"
    url = f"ws://localhost:{desk.port}/ws"
    items = [{"connection": "coinbase-paper", "instrument": "BTC-USD"}]
    with (
        connect(f"{url}/quotes", additional_headers=headers, proxy=None) as prices,
        connect(f"{url}/desk", additional_headers={"Cookie": session}, origin=desk.url, proxy=None) as news,
    ):
        prices.send(json.dumps({"action": "subscribe", "items": items}))
        bids: set[str] = set()
        while len(bids) < 3:
            told = json.loads(prices.recv(60))
            bids |= {quote["bid"] for quote in told["quotes"]} if told["type"] == "quotes" else set()
        assert json.loads(news.recv(60))["type"] == "hello"
        beat = json.loads(news.recv(60))
        while beat["type"] != "heartbeat" or not beat["feeds"]:
            beat = json.loads(news.recv(60))
        assert "coinbase-paper" in beat["feeds"][0]["connections"]
        status, said = desk.end(number)
        codes = []
        for client in (prices, news):
            with pytest.raises(ConnectionClosed):
                while True:
                    client.recv(10)
            codes.append(client.close_code)
    watching.close()

    assert (status, codes) == (0, [1012, 1012]), said
    assert "Traceback" not in said
    # Nothing had to be cut short: the sockets ended by themselves.
    assert "Cancel" not in said


def test_a_start_that_is_killed_anywhere_can_be_repeated(start: Callable[..., Desk], tmp_path: Path) -> None:
    """Killed once the file with the passwords is there, that is, in the middle of making the desk."""
    half = start()
    assert eventually(lambda: (tmp_path / "demo.json").exists() or half.process.poll() is not None)
    half.end(signal.SIGKILL)
    known = half.demo["users"]

    again = start()
    again.wait_until_ready()

    assert again.demo["users"] == known
    approver = again.person("approver")
    assert waiting_tags(approver) == ["demo-like-a-loss", "demo-near-limit", "demo-plain"]
    approver.close()
    assert again.end(signal.SIGINT)[0] == 0


def test_a_busy_port_is_one_line_that_says_what_to_do(start: Callable[..., Desk], tmp_path: Path) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = int(busy.getsockname()[1])
        desk = start(port=port)
        said, _ = desk.process.communicate(timeout=60)

    assert desk.process.returncode == 1
    assert len(said.splitlines()) == 1
    assert f"Port {port} cannot be used" in said
    assert f"make run PORT={port + 1}" in said
    assert not processes_of(tmp_path)


def test_two_on_one_folder_is_one_line(start: Callable[..., Desk], tmp_path: Path) -> None:
    first = start()
    assert eventually(lambda: (tmp_path / "simulator.json").exists())
    second = start()
    said, _ = second.process.communicate(timeout=60)

    assert second.process.returncode == 1
    assert len(said.splitlines()) == 1
    assert "Aika runs already" in said
    assert first.process.poll() is None
    assert first.end(signal.SIGINT)[0] == 0
    assert eventually(lambda: not processes_of(tmp_path), seconds=20)


def test_trouble_at_the_start_is_one_line_and_not_a_trace(start: Callable[..., Desk], tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("{", encoding="utf-8")

    said, _ = start().process.communicate(timeout=60)

    assert "Traceback" not in said
    assert len(said.splitlines()) == 1
    assert "secrets.json cannot be read" in said
