"""The embedded way to run: what a server installation runs as processes, here as threads of the one web process.

Two Celery workers (queue `execution` alone in one, so that nothing slow stands before an order), beat, the live feed
and the poller below it, and the user channel. The ASGI lifespan owns them: they run exactly as long as the server
answers. A part that ends by itself ends the whole process: a desk whose sweeps stand still must not look alive.
"""

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from celery import Celery
from celery.beat import Service
from celery.worker import WorkController, state
from django.conf import settings
from django.utils import timezone
from django.utils.module_loading import import_string
from django_celery_beat.schedulers import DatabaseScheduler
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from config.celery import app, make_app
from config.venue_process import VenueProcess

logger = logging.getLogger(__name__)

EXECUTION_THREADS = 2
DEFAULT_THREADS = 2
BEAT_TURN_S = 1  # how long beat may sleep, and so how soon it sees an edit or a stop
PARTS_STOP_S_MAX = 1.0
WATCH_EVERY_S = 1


class Part(threading.Thread):
    """One thread of the desk. If it ends before it was asked to, the process is told to end too."""

    def __init__(self, name: str, work: Callable[[], None], asked_to_stop: threading.Event) -> None:
        super().__init__(name=name, daemon=True)
        self._work = work
        self._asked_to_stop = asked_to_stop

    def run(self) -> None:
        try:
            self._work()
        finally:
            if not self._asked_to_stop.is_set():
                logger.critical("%s ended by itself; Aika stops. The lines above say why.", self.name)
                os.kill(os.getpid(), signal.SIGTERM)


class Desk:
    """Everything that runs beside the web server in its process."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        default_app = make_app(current=False)
        for celery_app in (app, default_app):
            # Before the threads: a task that one of them makes known would change the list another goes through.
            celery_app.loader.import_default_modules()
            celery_app.finalize()
        self._beat = Service(app, max_interval=BEAT_TURN_S, scheduler_cls=DatabaseScheduler)
        poll_quotes = import_string(settings.QUOTE_POLLER)
        follow_orders = import_string(settings.ORDER_STREAM)
        follow_markets = import_string(settings.MARKET_FEED)
        self._parts = [
            self._part("worker-execution", lambda: work(app, "execution", EXECUTION_THREADS)),
            self._part("worker-default", lambda: work(default_app, "default", DEFAULT_THREADS)),
            self._part("beat", self._beat.start),
            self._part("quotes", lambda: poll_quotes(self._stop, clock=timezone.now)),
            self._part("feed", lambda: follow_markets(self._stop, clock=timezone.now)),
            self._part("orders", lambda: follow_orders(self._stop, clock=timezone.now)),
        ]

    def _part(self, name: str, target: Callable[[], None]) -> Part:
        return Part(name, target, self._stop)

    def start(self) -> None:
        """Start all parts."""
        state.should_stop = None
        # Before the threads, or two workers would create kombu's exchange file at once, one of them reading it empty.
        with app.connection_for_write() as broker:
            for queue in app.amqp.queues.values():
                queue(broker.default_channel).declare()
        for part in self._parts:
            part.start()

    def stop(self) -> None:
        """Ask all to stop, and wait a bounded time.

        What a part is doing that does not end in time is left as a crash would leave it: the next run's sweeps find it.
        """
        self._stop.set()
        self._beat.stop()
        state.should_stop = 0  # type: ignore[assignment]  # the stub knows only what it begins with
        deadline = time.monotonic() + PARTS_STOP_S_MAX
        for part in self._parts:
            part.join(max(0.0, deadline - time.monotonic()))
        for part in self._parts:
            if part.is_alive():
                logger.warning("%s was stopped at work; the next run looks up what came of it.", part.name)


def work(celery_app: Celery, queue: str, threads: int) -> None:
    """One Celery worker for one queue, until it is told to stop."""
    WorkController(
        app=celery_app,
        hostname=f"{queue}@embedded",
        queues=[queue],
        pool="threads",
        concurrency=threads,
        use_eventloop=False,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    ).start()


def with_desk(inner: ASGIApp, venue: VenueProcess) -> ASGIApp:
    """`inner` under a lifespan that owns the desk's parts and watches the venue."""

    @asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        desk = Desk()
        desk.start()
        watching = asyncio.create_task(watch(venue))
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.to_thread(desk.stop)

    life = Router(lifespan=lifespan)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await (life if scope["type"] == "lifespan" else inner)(scope, receive, send)

    return application


async def watch(venue: VenueProcess) -> None:
    """Keep the venue running, from the main thread's event loop (see VenueProcess.start)."""
    while True:
        await asyncio.sleep(WATCH_EVERY_S)
        venue.revive()
