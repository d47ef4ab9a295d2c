"""The venue simulator as a child process: one address for good, started, watched, and gone when its parent goes."""

import json
import logging
import os
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path

logger = logging.getLogger(__name__)

SEED = 7
READY_S_MAX = 30
STOP_S_MAX = 0.5
PORT_WAIT_S_MAX = 3
# Below the ports that the system hands to outgoing connections: one of those may be anybody's at the next start.
PORTS = range(21_000, 29_000)


class VenueUnavailable(Exception):
    """The simulator did not start. The message says why and where its log is."""


def is_free(port: int) -> bool:
    """Whether nobody listens on that port of this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class VenueProcess:
    """The simulator of one data folder.

    Its port is chosen once and kept in `simulator.json`: the demo's connections are rows that hold the address, and
    an address never changes under a connection.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._log = home / "simulator.log"
        self.key_file = home / "simulator-key.json"
        self.port = self._kept_port() or self._new_port()
        self.url = f"http://localhost:{self.port}"
        self.arguments: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def _note(self) -> Path:
        return self._home / "simulator.json"

    def _kept_port(self) -> int | None:
        """The port of earlier runs. After a kill the last simulator may need a moment to let go of it."""
        try:
            port = int(json.loads(self._note.read_text(encoding="utf-8"))["port"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if port not in PORTS:
            return None
        deadline = time.monotonic() + PORT_WAIT_S_MAX
        while not is_free(port):
            if time.monotonic() > deadline:
                raise VenueUnavailable(
                    f"Port {port} of the venue simulator is taken by another program. Free it, or set AIKA_DATA_DIR "
                    "to begin with an empty desk."
                )
            time.sleep(0.05)
        return port

    def _new_port(self) -> int:
        port = next(port for port in secrets.SystemRandom().sample(PORTS, len(PORTS)) if is_free(port))
        self._note.write_text(json.dumps({"port": port}), encoding="utf-8")
        return port

    def start(self) -> None:
        """Start it; `wait_until_ready` waits. From the main thread only: the kernel's signal at the parent's death
        comes when the *thread* that started the child ends.
        """
        command = [sys.executable, "-m", "apps.connectors.simulator", "--port", str(self.port), "--seed", str(SEED)]
        command += ["--key-file", str(self.key_file), "--data", str(self._home / "simulator")]
        command += ["--parent-pid", str(os.getpid()), *self.arguments]
        with self._log.open("wb") as log:
            # A session of its own: Ctrl-C at the terminal reaches us only, so that an order in hand gets its answer.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def wait_until_ready(self) -> None:
        """Return once it says that it is ready; VenueUnavailable when it ends first or takes too long."""
        deadline = time.monotonic() + READY_S_MAX
        while b"simulator ready" not in self._log.read_bytes():
            if not self.alive:
                raise VenueUnavailable(f"The venue simulator ended at once: {self._last_line()} Its log: {self._log}")
            if time.monotonic() > deadline:
                raise VenueUnavailable(f"The venue simulator was not ready in {READY_S_MAX} s. Its log: {self._log}")
            time.sleep(0.02)

    def _last_line(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing.")

    @property
    def alive(self) -> bool:
        """Whether the child runs."""
        return self._process is not None and self._process.poll() is None

    def revive(self) -> None:
        """Start it again if it has ended: the desk shows "venue away" meanwhile, as it would for a real one."""
        if not self.alive:
            logger.error("The venue simulator ended; starting it again. Its log: %s", self._log)
            self.start()

    def stop(self) -> None:
        """End it; by force if it does not listen."""
        if self._process is not None:
            end(self._process)


def end(child: "subprocess.Popen[bytes]") -> None:
    """Tell a child process to end; by force if it does not listen."""
    child.terminate()
    try:
        child.wait(STOP_S_MAX)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
