"""The embedded broker: messages as files under the data folder, each put and taken by one atomic rename.

kombu's own file transport creates a message under its final name and fills it afterwards, so that a reader which
polls fifty times a second can take an empty file, and it takes messages by way of the machine's shared /tmp. This
one differs in those two methods, and in that who waits in the process that puts a message learns of it at once.
"""

import os
import threading
import time
import uuid
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import filesystem
from kombu.transport.virtual import BrokerState
from kombu.utils.json import dumps, loads

WAIT_S_MAX = 0.2


class News:
    """How many messages this process has put, for those of its threads that wait for the next one."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.count = 0

    def tell(self) -> None:
        """One more message is there."""
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def wait(self, seen: int, timeout_s: float) -> None:
        """Until there are more than `seen`, or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self.count != seen, timeout_s)


NEWS = News()


class Channel(filesystem.Channel):
    """A channel whose messages are whole or not there."""

    def _put(self, queue: str, message: Any, **_options: Any) -> None:  # type: ignore[override]  # two stubs, two names
        name = f"{time.time_ns():020d}_{uuid.uuid4()}.{queue}.msg"
        folder = Path(self.data_folder_out)
        draft = folder / f"{name}.draft"
        draft.write_bytes(dumps(message).encode("utf-8"))
        draft.rename(folder / name)
        NEWS.tell()

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        suffix = f"{queue}.msg"
        for name in sorted(os.listdir(self.data_folder_in)):
            if name.partition(".")[2] != suffix:
                continue
            taken = Path(self.processed_folder) / name
            try:
                (Path(self.data_folder_in) / name).rename(taken)
            except FileNotFoundError:
                continue  # another consumer was faster
            content = taken.read_bytes()
            taken.unlink()
            return loads(content)
        raise Empty


class Transport(filesystem.Transport):
    """kombu's file transport with the channel above."""

    Channel = Channel

    def __init__(self, client: Any, **options: Any) -> None:
        super().__init__(client, **options)
        # kombu remembers bindings per process and then trusts that they are in the files, whichever folder that was.
        self.state = BrokerState()

    def drain_events(self, connection: Any, timeout: float | None = None, **_options: Any) -> None:
        """Wait for one message, a fifth of a second at most: a worker looks whether it should stop between waits.

        What another process put is found at the next look, `polling_interval` later at most. Raises TimeoutError.
        """
        cycle: Any = self.cycle
        look_every_s = self.polling_interval or WAIT_S_MAX
        deadline = time.monotonic() + (WAIT_S_MAX if timeout is None else min(timeout, WAIT_S_MAX))
        while True:
            seen = NEWS.count  # before the look, so that what is put after it ends the wait
            try:
                cycle.get(self._deliver, timeout=timeout)
                return
            except Empty:
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    raise TimeoutError from None
                NEWS.wait(seen, min(left_s, look_every_s))
