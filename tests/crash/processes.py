"""Processes that are forked from this warmed one, do their work, and die where they are told to.

A fork has Django, the Celery app and the connector in memory already, so that a run costs milliseconds and not the
seconds of a start. It makes its own connections: the parent closes its own before it forks.
"""

import gc
import importlib
import os
import select
import signal
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from typing import Any

from celery.worker import state
from django.conf import settings
from django.core.cache import caches
from django.db import connections

from apps.common import fault_places as places
from apps.common import faults
from apps.connectors.services import venue
from apps.lessons import index
from config import embedded
from config.celery import app
from tests.crash.cells import How

REACHED = b"r"
HELD = b"h"
WAIT_S_MAX = 20.0
TAKE_S_MAX = 10.0
IDLE_LOOK_S = 0.002
# A worker whose message another one took looks so often before it goes home.
IDLE_LOOKS_UNUSED = 75
WORKERS_LOAD = (
    "celery.concurrency.thread",
    "celery.worker.autoscale",
    "celery.worker.components",
    "celery.worker.consumer",
    "celery.worker.loops",
    "celery.worker.strategy",
    "celery.app.trace",
    "celery.worker.state",
    "celery.worker.pidbox",
)
SOCKET_LABELS = frozenset({places.WRITTEN.label, places.ANSWERED.label})


class Stopped(Exception):
    """The fault that is raised at a point."""


@dataclass
class Child:
    """A forked process. `reached` says that it came to its fault."""

    pid: int
    told: int
    go: int
    reached: bool = False
    ended: bool = False

    def hear(self, *, seconds: float) -> bytes:
        """The next thing it says, b"" where it has ended or says nothing in time."""
        if not select.select([self.told], [], [], seconds)[0]:
            return b""
        said = os.read(self.told, 1)
        self.reached |= said in {REACHED, HELD}
        return said

    def held(self) -> bool:
        """Wait until it stands at its fault; False where it ended without coming there."""
        return self.hear(seconds=WAIT_S_MAX) == HELD

    def release(self) -> None:
        """Let it go on."""
        os.write(self.go, b"g")

    def kill(self) -> None:
        """For one that a failed run left behind."""
        if not self.ended:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.ended = True

    def wait(self) -> int:
        """Until it has ended: 0, the exit code of an error, or minus the signal that killed it."""
        deadline = time.monotonic() + WAIT_S_MAX
        while self.hear(seconds=max(0.0, deadline - time.monotonic())):
            pass
        if time.monotonic() >= deadline:
            os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        self.ended = True
        os.close(self.told)
        os.close(self.go)
        if time.monotonic() >= deadline:
            raise AssertionError(f"A process of the crash matrix hangs; see {settings.DATA_DIR}/crash.log.")
        return os.waitstatus_to_exitcode(status)


@dataclass(frozen=True)
class Fault:
    """Where a process stops, and how. A socket's points count once an order is being placed: reads have them too."""

    label: str
    how: How

    def hook(self, told: int, go: int) -> faults.Hook:
        """What `faults.install` gets in the process."""
        placing = False
        struck = False

        def reached(label: str) -> None:
            nonlocal placing, struck
            placing |= label == places.PLACE.before
            if struck or label != self.label or (label in SOCKET_LABELS and not placing):
                return
            struck = True
            if self.how is How.HOLD:
                os.write(told, HELD)
                os.read(go, 1)
                return
            os.write(told, REACHED)
            if self.how is How.RAISE:
                raise Stopped(label)
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(WAIT_S_MAX)

        return reached


def warm() -> None:
    """Load in this process what every worker forked from it would load for itself."""
    for name in WORKERS_LOAD:
        importlib.import_module(name)
    index.load()


def let_go() -> None:
    """Close what must not be shared with a fork."""
    connections.close_all()
    caches.close_all()
    venue.close_all()
    app._after_fork()


def fork(work: Callable[[], None], fault: Fault | None = None) -> Child:
    """A process that does this work. It never returns into the caller's code."""
    let_go()
    # What the child only reads stays one page of memory with its parent's.
    gc.freeze()
    told, says = os.pipe()
    hears, go = os.pipe()
    pid = os.fork()
    if pid:
        os.close(says)
        os.close(hears)
        return Child(pid=pid, told=told, go=go)
    code = 1
    try:
        os.close(told)
        os.close(go)
        faults.install(fault.hook(says, hears) if fault else None)
        work()
        code = 0
    except Stopped:
        code = 3
    except BaseException:  # noqa: BLE001  whatever it was: the child ends here, and its log says why
        with (Path(settings.DATA_DIR) / "crash.log").open("a") as log:
            traceback.print_exc(file=log)
    finally:
        os._exit(code)


def waiting(queue: str) -> int:
    """Messages that nobody has taken."""
    if settings.REDIS_URL:
        with app.connection_for_read() as broker:
            return int(broker.default_channel.client.llen(queue))
    folder = Path(settings.BROKER_DIR) / "queue"
    return sum(name.endswith(f".{queue}.msg") for name in os.listdir(folder))


def worker(queue: str) -> Callable[[], None]:
    """Work for `fork`: a Celery worker of the kind the embedded desk runs, until its queue is empty."""

    def work() -> None:
        threading.Thread(target=_stop_when_idle, args=(queue,), daemon=True).start()
        embedded.work(app, queue, 1)

    return work


def _stop_when_idle(queue: str) -> None:
    looks = 0
    while True:
        time.sleep(IDLE_LOOK_S)
        busy = state.reserved_requests or state.active_requests or waiting(queue)
        looks = 0 if busy else looks + 1
        if looks > (3 if state.total_count else IDLE_LOOKS_UNUSED):
            state.should_stop = 0
            return


def take(queue: str) -> list[tuple[str, dict[str, Any]]]:
    """Take every waiting message away: the name and arguments of each."""
    taken: list[tuple[str, dict[str, Any]]] = []
    if not waiting(queue):
        return taken
    with app.connection_for_read() as broker, broker.SimpleQueue(app.amqp.queues[queue]) as simple:
        deadline = time.monotonic() + TAKE_S_MAX
        while waiting(queue):
            try:
                message = simple.get(block=True, timeout=1)
            except Empty:
                # A worker has it, which was quicker between the look and the grasp; or the machine is slow.
                if time.monotonic() > deadline:
                    raise
                continue
            taken.append((message.headers["task"], message.payload[1]))
            message.ack()
    return taken
