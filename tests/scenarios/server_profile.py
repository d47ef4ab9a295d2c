"""The server profile as processes of this machine: the commands are those of docker-compose.yml, word for word."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import psycopg
import redis
import yaml
from celery import Celery
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.scenarios.callers import Person, Program, eventually
from tests.venues.simulator_process import SimulatorProcess

ROOT = Path(__file__).resolve().parents[2]
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
OURS = ("web", "live", "worker", "worker-execution", "beat", "feed", "poller", "order-stream")
# Beside the one of .ci/run, which is the last; nothing in it is touched but what this run wrote.
REDIS_DATABASE = 14
STOP_S_MAX = 90
RELEASE_S_MAX = 300


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def local(words: list[str]) -> list[str]:
    """A command of the image as this environment runs it."""
    programs = {"python": [sys.executable], "celery": [sys.executable, "-m", "celery"]}
    programs["gunicorn"] = [sys.executable, "-m", "gunicorn"]
    return [*programs[words[0]], *words[1:]]


def _connected_to(port: int) -> set[str]:
    """The sockets of this machine that are connected to a port, by the kernel's numbers."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[9] for row in rows if row[3] == "01" and row[2].endswith(f":{port:04X}")}


def _sockets_of(pid: int) -> set[str]:
    """The sockets a process has open, by the kernel's numbers. One that has just ended has none."""
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
        with suppress(FileNotFoundError):
            found.add(os.readlink(descriptor).removeprefix("socket:[").removesuffix("]"))
    return found


class Service:
    """One process of the profile, with its own group, so that a signal may take the children too."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], log: Path) -> None:
        self.name, self.log = name, log
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True,
            )  # fmt: skip

    def send(self, number: signal.Signals) -> None:
        """To the whole group."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it as compose does (one signal to the first process), by force at last; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not stop:\n{self.said}") from None

    @property
    def children(self) -> list[int]:
        """The processes it forked, that have not ended."""
        pid = self.process.pid
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def child_talking_to(self, port: int) -> int | None:
        """The child with an open connection to that port of this machine; None where none has one now."""
        return next((pid for pid in self.children if _sockets_of(pid) & _connected_to(port)), None)

    def kill(self) -> None:
        """As a machine that loses power."""
        self.send(signal.SIGKILL)
        self.process.wait(STOP_S_MAX)

    @property
    def said(self) -> str:
        """Its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")


class Server:
    """A database, a part of Redis, a simulator and the processes, from `start` to `stop`.

    Without a Qdrant server the index is a folder, and whichever process asks first has it for itself.
    """

    def __init__(self, database_url: str, redis_url: str, *, qdrant_url: str = "") -> None:
        self._qdrant_url = qdrant_url
        self._maintenance = database_url
        self._mark = uuid4().hex[:10]
        self._database = f"aika_scenario_{self._mark}"
        self._folder = tempfile.TemporaryDirectory(prefix="aika-scenario-")
        self.home = Path(self._folder.name)
        self.prefix = f"scenario-{self._mark}-"
        owner = urlsplit(database_url)._replace(path=f"/{self._database}")
        self.owner_url = owner.geturl()
        # The application connects as a role that owns nothing, as in docker-compose.yml; grant_roles makes it, and the
        # auditor's. Roles belong to the whole cluster: these are this database's, and go with it.
        self._role = self._database
        self._auditor = f"{self._database}_auditor"
        place = owner.netloc.rpartition("@")[2]
        self.database_url = owner._replace(netloc=f"{self._role}:{self._mark}@{place}").geturl()
        self._seal_key = Ed25519PrivateKey.generate()
        self.redis_url = urlsplit(redis_url)._replace(path=f"/{REDIS_DATABASE}").geturl()
        self.url = f"http://127.0.0.1:{free_port()}"
        self.live = f"127.0.0.1:{free_port()}"
        self.services: dict[str, Service] = {}
        self.simulator = SimulatorProcess()
        self.redis = redis.Redis.from_url(self.redis_url)
        self._celery = Celery("scenario", broker=self.redis_url, set_as_current=False)
        self._celery.conf.broker_transport_options = {"global_keyprefix": self.prefix}

    @property
    def environment(self) -> dict[str, str]:
        """What every process gets, and nothing of the tests' own."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "PYTHONUNBUFFERED": "1",
            "DJANGO_SETTINGS_MODULE": "tests.scenarios.server_settings",
            "DATABASE_URL": self.database_url,
            "AUDIT_SEAL_PUBLIC_KEYS": self._seal_key.public_key().public_bytes_raw().hex(),
            "REDIS_URL": self.redis_url,
            "QDRANT_URL": self._qdrant_url,
            "AIKA_SCENARIO": self.prefix,
            "AIKA_DATA_DIR": str(self.home),
        }

    def start(self) -> "Server":
        """Everything, in the order compose would; what was begun is ended where it does not come up."""
        try:
            with psycopg.connect(self._maintenance, autocommit=True) as connection:
                connection.execute(f'CREATE DATABASE "{self._database}"'.encode())
            self.simulator.start()
            pem = self._seal_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            (self.home / "seal.pem").write_bytes(pem)
            self.release()
            key_file = self.home / "simulator-key.json"
            key_file.write_text(json.dumps({"name": self.simulator.key_name, "privateKey": self.simulator.secret}))
            seeded = ("--simulator-url", self.simulator.url, "--simulator-key-file", str(key_file))
            assert self.manage("seed_demo", "--url", self.url, *seeded) == 0
            for name in OURS:
                self.start_service(name)
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def release(self) -> None:
        """The release service's steps but the check of a deployment: that one is about production."""
        script = shlex.split(SERVICES["release"]["command"])[-1]
        for line in script.split("&&"):
            words = [self._auditor if word == "aika_auditor" else word for word in shlex.split(line)]
            if words[2] != "check":
                assert self.manage(*words[2:]) == 0, line

    def start_service(self, name: str, *, named: str = "") -> Service:
        """One more process of a service; `named` for a second one beside the first."""
        words = list(SERVICES[name]["command"])
        if "--bind" in words:
            words[words.index("--bind") + 1] = self.live if name == "live" else urlsplit(self.url).netloc
        if named and "--hostname" in words:
            words[words.index("--hostname") + 1] = f"{named}@%h"
        log = self.home / f"{named or name}.log"
        told = {"AUDIT_SEAL_KEY_FILE": "seal.pem", "AUDIT_ANCHOR_DIR": "anchors"}
        own = {key: str(self.home / told[key]) for key in told if key in SERVICES[name]["environment"]}
        environment = self.environment | own
        self.services[named or name] = service = Service(named or name, local(words), environment, log)
        return service

    def kill(self, *names: str) -> None:
        """Those processes at once, as a machine that loses power."""
        for name in names:
            self.services[name].send(signal.SIGKILL)
        for name in names:
            self.services[name].kill()

    def wait_until_ready(self) -> None:
        """The web server says it is ready and both kinds of worker answer."""
        ready = eventually(lambda: self._answers("/readyz"))
        assert ready, self.services["web"].said
        for name in ("worker", "worker-execution"):
            self.wait_for_worker(name)

    def wait_for_worker(self, name: str) -> None:
        """Until it says that it takes messages."""
        service = self.services[name]
        assert eventually(lambda: " ready." in service.said), service.said

    def _answers(self, path: str) -> bool:
        try:
            return httpx.get(f"{self.url}{path}", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    @contextmanager
    def put_back(self) -> Iterator[str]:
        """A backup of the database as it is, put back beside it as docs/deployment.md says; the name of the copy."""
        copy, dump = f"{self._database}_back", self.home / "aika.dump"
        there = urlsplit(self.owner_url)._replace(path=f"/{copy}").geturl()
        words = ["pg_dump", "--format=custom", f"--file={dump}", self.owner_url]
        subprocess.run(words, check=True, capture_output=True, timeout=RELEASE_S_MAX)
        with psycopg.connect(self._maintenance, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{copy}"'.encode())
            try:
                words = ["pg_restore", "--exit-on-error", "--single-transaction", f"--dbname={there}", str(dump)]
                subprocess.run(words, check=True, capture_output=True, timeout=RELEASE_S_MAX)
                yield copy
            finally:
                connection.execute(f'DROP DATABASE "{copy}" WITH (FORCE)'.encode())

    def manage(self, *words: str, at: str = "") -> int:
        """A management command's exit code, run with what the release service is told; its output goes to a log. `at`
        names another database than the one that is served."""
        environment = self.environment | {"MIGRATION_DATABASE_URL": self.owner_url}
        if at:
            environment["DATABASE_URL"] = urlsplit(self.database_url)._replace(path=f"/{at}").geturl()
        with (self.home / "manage.log").open("ab") as out:
            ended = subprocess.run(
                [sys.executable, "manage.py", *words], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
                stdout=out, stderr=out, timeout=RELEASE_S_MAX, check=False,
            )  # fmt: skip
        return ended.returncode

    @property
    def managed(self) -> str:
        """What the management commands said."""
        return (self.home / "manage.log").read_text(encoding="utf-8", errors="replace")

    @property
    def demo(self) -> dict[str, Any]:
        """Names, passwords and the key."""
        return dict(json.loads((self.home / "demo.json").read_text(encoding="utf-8")))

    def person(self, part: str) -> Person:
        """One of the desk's people, signed in."""
        user = self.demo["users"][part]
        return Person(self.url, user["username"], user["password"])

    def program(self) -> Program:
        """The trader's script."""
        return Program(self.url, self.demo["api_key"])

    def publish(self, order_id: str, *, times: int = 1) -> None:
        """The execution message of an order, again."""
        for _ in range(times):
            self._celery.send_task("trades.execute_trade", kwargs={"order_id": order_id}, queue="execution")

    def waiting_messages(self) -> int:
        """Execution messages that nobody has taken yet."""
        return int(self.redis.llen(f"{self.prefix}execution"))  # type: ignore[arg-type]

    def messages_of(self, order_id: str) -> int:
        """Execution messages of that order nobody has taken yet; what beat sends by the clock is not counted."""
        waiting: list[bytes] = self.redis.lrange(f"{self.prefix}execution", 0, -1)  # type: ignore[assignment]
        return sum(order_id in json.loads(message)["headers"]["kwargsrepr"] for message in waiting)

    def taken_messages(self) -> int:
        """Messages of any queue that somebody took and has not acknowledged."""
        return int(self.redis.hlen(f"{self.prefix}unacked"))  # type: ignore[arg-type]

    def lose_messages(self) -> int:
        """Drop what waits in the execution queue, as a broker that lost its memory; 1 where something was there."""
        return int(self.redis.delete(f"{self.prefix}execution"))  # type: ignore[arg-type]

    def venue_orders(self, client_order_id: str) -> int:
        """How many orders the venue has under that name."""
        return sum(order["client_order_id"] == client_order_id for order in self.simulator.orders())

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """What the database says, for what no page or API shows."""
        with psycopg.connect(self.owner_url) as connection:
            return list(connection.execute(query.encode(), values))

    def stop(self) -> None:
        """End every process, drop the database, remove what was written to Redis."""
        for service in self.services.values():
            service.send(signal.SIGCONT)
            service.send(signal.SIGTERM)
        try:
            for service in self.services.values():
                service.stop()
        finally:
            for service in self.services.values():
                service.send(signal.SIGKILL)
            self.simulator.stop()
            self._celery.close()
            for key in self.redis.scan_iter(match=f"{self.prefix}*", count=1000):
                self.redis.delete(key)
            self.redis.close()
            with psycopg.connect(self._maintenance, autocommit=True) as connection:
                connection.execute(f'DROP DATABASE IF EXISTS "{self._database}" WITH (FORCE)'.encode())
                for role in (self._role, self._auditor):
                    connection.execute(f'DROP ROLE IF EXISTS "{role}"'.encode())
            self._folder.cleanup()
