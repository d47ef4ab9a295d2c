"""A PostgreSQL cluster, a Redis and a vector index of their own: what is restarted or emptied here is nobody else's."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import redis

from tests.scenarios.server_profile import ROOT, SERVICES, free_port

BINARIES = "/usr/lib/postgresql/*/bin/initdb"
START_S_MAX = 60
PASSWORD = "of-this-run-only"
OWNER = "postgres"


def newest_binaries() -> Path:
    """Where Debian keeps PostgreSQL's programs. Raises FileNotFoundError where there are none."""
    found = sorted(Path("/").glob(BINARIES.removeprefix("/")), key=lambda path: int(path.parts[-3]))
    if not found:
        raise FileNotFoundError(f"There is no {BINARIES}: install postgresql.")
    return found[-1].parent


class Postgres:
    """A cluster on a port of its own. It refuses to run as root, so that root runs it as the system's `postgres`."""

    def __init__(self) -> None:
        self._binaries = newest_binaries()
        self.home = Path(tempfile.mkdtemp(prefix="aika-load-pg-"))
        self.port = free_port()
        self.url = f"postgres://{OWNER}:{PASSWORD}@127.0.0.1:{self.port}/{OWNER}"
        self._as = ["runuser", "-u", OWNER, "--"] if os.geteuid() == 0 else []

    def start(self) -> "Postgres":
        """Make the cluster and start it."""
        secret = self.home / "password"
        secret.write_text(PASSWORD, encoding="utf-8")
        if self._as:
            shutil.chown(self.home, OWNER)
            shutil.chown(secret, OWNER)
        self._run(
            "initdb", "--username", OWNER, "--pwfile", str(secret), "--auth", "scram-sha-256", "--encoding", "UTF8"
        )
        self.up()
        return self

    def up(self) -> None:
        """Start it as it was left; comes back once it takes connections."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.home}"
        self._run("pg_ctl", "start", "-w", "-t", str(START_S_MAX), "-l", str(self.home / "log"), "-o", options)

    def down(self) -> None:
        """As a machine that is switched off: sessions are cut, and the next start recovers from the log."""
        self._run("pg_ctl", "stop", "-w", "-m", "immediate")

    def stop(self) -> None:
        """End it and remove it."""
        if (self.home / "data" / "postmaster.pid").exists():
            self.down()
        shutil.rmtree(self.home, ignore_errors=True)

    @property
    def pid(self) -> int:
        """Of the first process; all others are its children."""
        return int((self.home / "data" / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])

    def _run(self, program: str, *words: str) -> None:
        command = [*self._as, str(self._binaries / program), "--pgdata", str(self.home / "data"), *words]
        # The server inherits what it is started with: a pipe would never come to its end.
        with (self.home.parent / f"{self.home.name}.out").open("wb") as out:
            ended = subprocess.run(command, cwd="/", stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False)
        said = Path(out.name).read_text(encoding="utf-8", errors="replace")
        Path(out.name).unlink()
        if ended.returncode:
            raise RuntimeError(f"{program} ended with {ended.returncode}: {said[-2000:]}")


class Redis:
    """A Redis on a port of its own, started as docker-compose.yml starts it."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="aika-load-redis-"))
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Redis":
        """Comes back once it answers."""
        here = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.home)]
        with (self.home / "log").open("ab") as out:
            self._process = subprocess.Popen(
                [*SERVICES["redis"]["command"], *here], stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        client, deadline = redis.Redis(port=self.port), time.monotonic() + START_S_MAX
        while True:
            try:
                client.ping()
                return self
            except redis.ConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            finally:
                client.close()

    def flush(self) -> None:
        """Everything it knew is gone: queues, bindings, cache, groups."""
        with redis.Redis(port=self.port) as client:
            client.flushall()

    def stop(self) -> None:
        """End it and remove it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(START_S_MAX)
        shutil.rmtree(self.home, ignore_errors=True)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid


class Qdrant:
    """The tests' stand-in for a Qdrant server: with a folder instead, one process would have the index for itself, and
    where that is a web server what waits would never be indexed."""

    def __init__(self) -> None:
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self._command = [sys.executable, "-m", "tests.lessons.index.qdrant_server", str(port)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Qdrant":
        """Does not wait: the processes of the installation take longer."""
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        return self

    def wait_until_ready(self) -> None:
        """Raises httpx.ConnectError where it did not come up."""
        deadline = time.monotonic() + START_S_MAX
        while True:
            try:
                httpx.get(f"{self.url}/collections").raise_for_status()
                return
            except httpx.ConnectError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def stop(self) -> None:
        """End it; what it held goes with it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(START_S_MAX)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid
