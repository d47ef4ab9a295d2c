"""The demo's program as a child process: it proposes over the public API, and is gone when its parent goes."""

import os
import subprocess
import sys
from pathlib import Path

from config.venue_process import end


class AgentProcess:
    """`manage.py demo_agent` on one data folder. What it says goes to `agent.log` there."""

    def __init__(self, home: Path) -> None:
        self._log = home / "agent.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def greeting(self) -> str:
        """What the person at the terminal is told of it."""
        return (
            "A demo agent proposes over the API every 20 s while fewer than six wait. "
            f"What it says: {self._log}. Without it: make run AGENT=no"
        )

    def start(self) -> None:
        """Start it once the server listens."""
        manage = Path(__file__).resolve().parent.parent / "manage.py"
        command = [sys.executable, str(manage), "demo_agent", "--parent-pid", str(os.getpid())]
        with self._log.open("wb") as log:
            # A session of its own, as the venue has: Ctrl-C reaches us only, and we end it.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def stop(self) -> None:
        """End it; by force if it does not listen. It has nothing in hand that matters: a write is done once or not."""
        if self._process is not None:
            end(self._process)
