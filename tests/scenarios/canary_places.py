"""The places where a secret could be read, as bytes: what rests, what waits, what is said, what is shown."""

import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from celery import current_app
from django.conf import settings
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from apps.accounts.models import BrowserSession
from apps.accounts.session_store import SessionStore
from tests.scenarios.callers import eventually
from tests.sockets.process import SocketServer

FILE = "aika.sqlite3"
BROKER = ("broker_url", "broker_transport", "broker_transport_options")


@contextmanager
def database_on_disk(folder: Path) -> Iterator[None]:
    """The tests' SQLite as a file with its write-ahead log, as an installation has it. PostgreSQL stays where it is."""
    if connection.vendor != "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("VACUUM INTO %s", [str(folder / FILE)])
    held, name = connection.connection, connection.settings_dict["NAME"]
    connection.connection, connection.settings_dict["NAME"] = None, str(folder / FILE)
    try:
        yield
    finally:
        connection.close()
        connection.connection, connection.settings_dict["NAME"] = held, name


@contextmanager
def broker_on_disk(folder: Path) -> Iterator[None]:
    """What is published waits as an installation's does: in files, or at the Redis of the settings."""
    if settings.REDIS_URL:
        forget_tasks()
        yield
        forget_tasks()
        return
    for name in ("queue", "taken"):
        (folder / name).mkdir(parents=True)
    options = {
        **{"data_folder_in": str(folder / "queue"), "data_folder_out": str(folder / "queue")},
        **{"processed_folder": str(folder / "taken"), "control_folder": str(folder)},
    }
    before = {name: getattr(current_app.conf, name) for name in BROKER}
    _connect_anew(dict(zip(BROKER, ("filesystem://localhost", "config.broker:Transport", options), strict=True)))
    yield
    _connect_anew(before)


def _connect_anew(values: dict[str, Any]) -> None:
    app: Any = current_app
    app.conf.update(values)
    app._pool = app.amqp._producer_pool = None


def forget_tasks() -> None:
    """Nothing waits at the broker: a server keeps what an earlier run planted."""
    redis.Redis.from_url(settings.CELERY_BROKER_URL).flushdb()


def files_below(folder: Path) -> bytes:
    """The bytes of every file there."""
    return b"\n".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def kept_by_redis(urls: set[str]) -> bytes:
    """Every key of these databases with all that it holds, each value as its own command gives it."""
    found: list[bytes] = []
    for url in sorted(urls):
        server = redis.Redis.from_url(url)
        read: dict[bytes, Any] = {
            b"string": server.get,
            b"list": lambda key, of=server: of.lrange(key, 0, -1),
            b"hash": server.hgetall,
            b"set": server.smembers,
            b"zset": lambda key, of=server: of.zrange(key, 0, -1, withscores=True),
            # One that ran out while the others were read.
            b"none": lambda key: [],
        }
        for key in server.scan_iter():
            found += [key, *_flat(read[server.type(key)](key))]
    return b"\n".join(found)


def _flat(value: Any) -> list[bytes]:
    if isinstance(value, dict):
        return [part for pair in value.items() for part in _flat(list(pair))]
    if isinstance(value, list | tuple | set):
        return [part for inner in value for part in _flat(inner)]
    return [value if isinstance(value, bytes) else str(value).encode()]


def cached() -> bytes:
    """Every value of the cache as it is kept; with Redis, all it holds but the broker's part."""
    if isinstance(kept := getattr(cache, "_cache", None), dict):
        return b"\n".join(part for pair in kept.items() for part in _flat(list(pair)))
    return kept_by_redis({settings.CACHES["default"]["LOCATION"], settings.REDIS_URL})


def broker(folder: Path) -> bytes:
    """All messages, and their bodies decoded."""
    raw = kept_by_redis({settings.CELERY_BROKER_URL}) if settings.REDIS_URL else files_below(folder)
    bodies = [piece for piece in raw.split(b'"') if len(piece) > 40 and not piece.strip(_BASE64)]
    return b"\n".join([raw, *(b64decode(body) for body in bodies if len(body) % 4 == 0)])


_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="


def rows_of_everything() -> bytes:
    """Every value of every row of every table."""
    found: list[bytes] = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608  names of our tables
            for row in cursor.fetchall():
                found += [
                    bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode() for value in row
                ]
    return b"\n".join(found)


def database_files(folder: Path) -> bytes:
    """SQLite: the file and its write-ahead log, pages that were freed included. PostgreSQL: COPY of every table."""
    if connection.vendor == "sqlite":
        return b"\n".join(path.read_bytes() for path in sorted(folder.glob(f"{FILE}*")))
    found: list[bytes] = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            with cursor.copy(f"COPY {connection.ops.quote_name(table)} TO STDOUT") as copy:
                found += [bytes(block) for block in copy]
    return b"\n".join(found)


def sessions() -> bytes:
    """What each session holds, unpacked."""
    return b"\n".join(str(SessionStore().decode(row.data)).encode() for row in BrowserSession.objects.all())


def dumps(folder: Path) -> bytes:
    """What the commands write that hand out all there is."""
    for name, command in (("dump.json", ("dumpdata",)), ("audit.jsonl", ("audit_export",))):
        path = folder / name
        path.unlink(missing_ok=True)
        call_command(*command, "--output", str(path), verbosity=0)
    return (folder / "dump.json").read_bytes() + (folder / "audit.jsonl").read_bytes()


class Sockets:
    """A server of its own on this database, and clients that keep every frame it sends them."""

    def __init__(self, folder: Path) -> None:
        more = {}
        if connection.vendor != "sqlite":
            parts = connection.settings_dict
            place = f"{parts['USER']}:{parts['PASSWORD']}@{parts['HOST']}:{parts['PORT']}"
            more["DATABASE_URL"] = f"postgres://{place}/{parts['NAME']}"
        if settings.REDIS_URL:
            more["REDIS_URL"] = settings.REDIS_URL
        self.server = SocketServer(folder, seed=False, **more)
        self.frames: list[bytes] = []
        self._open: list[Any] = []
        self._threads: list[threading.Thread] = []

    def listen(self, path: str, *, cookie: str = "", authorization: str = "") -> Any:
        """A client of this path; what comes is kept until the end."""
        headers = {"Cookie": f"sessionid={cookie}"} if cookie else {"Authorization": authorization}
        origin: Any = self.server.origin if cookie else None
        url = f"ws://127.0.0.1:{self.server.port}{path}"
        client = connect(url, additional_headers=headers, origin=origin, proxy=None)
        self.frames.append(str(client.response.headers if client.response else "").encode())
        self._open.append(client)
        self._threads.append(threading.Thread(target=self._keep, args=(client,), daemon=True))
        self._threads[-1].start()
        return client

    def _keep(self, client: Any) -> None:
        try:
            for frame in client:
                self.frames.append(frame if isinstance(frame, bytes) else frame.encode())
        except ConnectionClosed:
            return

    def wait_for(self, text: bytes) -> None:
        """Until somebody was sent this."""
        assert eventually(lambda: any(text in frame for frame in tuple(self.frames))), self.frames[-1:]

    def stop(self) -> None:
        for client in self._open:
            client.close()
        for thread in self._threads:
            thread.join()
        self.server.stop()
