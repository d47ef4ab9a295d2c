"""Who is at a WebSocket, whether they still may be, and the one way every socket of Aika opens, listens and ends."""

import asyncio
import io
import logging
import time
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.db import Error as DatabaseError
from django.db import connections
from django.utils import timezone
from django.utils.http import is_same_domain
from redis.exceptions import RedisError

from apps.accounts import selectors
from apps.accounts.errors import Unauthenticated
from apps.accounts.models import ApiKey, User
from apps.accounts.services import api_keys, sessions
from apps.accounts.types import Principal, Scope
from apps.common import sockets, tallies
from apps.common.api import rates
from apps.common.client_address import client_address
from apps.common.errors import AikaError, Forbidden, Unavailable
from apps.common.sockets import Ending, Frame, Outlet, Rate, Send

logger = logging.getLogger(__name__)

SOCKETS_PER_PERSON_MAX: Final = 20
SOCKETS_MAX: Final = 2_000
"""Both for each process."""
RECHECK_S: Final = 5.0
CONNECTION_KEPT_S: Final = 60
UNSURE_ROUNDS_MAX: Final = 5
"""How many rounds the database may be away before nobody is known to be allowed any more."""

Receive = Callable[[], Awaitable[Frame]]
Application = Callable[[Frame, Receive, Send], Awaitable[None]]

# Few: this is asking who somebody is, and what they may see, not the prices themselves.
_threads: Final = ThreadPoolExecutor(max_workers=2, thread_name_prefix="sockets")


@dataclass(frozen=True, slots=True)
class Credential:
    """What a socket was opened with: the id of an API key, or the key of a browser's session."""

    key_id: UUID | None = None
    session: str = ""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is at a socket, by what."""

    credential: Credential
    principal: Principal
    person: User


async def in_thread(work: Callable[[], Any]) -> Any:
    """`work` in a thread that may ask the database."""

    def worked() -> Any:
        try:
            return work()
        finally:
            _keep_connections()

    return await asyncio.get_running_loop().run_in_executor(_threads, worked)


def _keep_connections() -> None:
    """Django would connect anew for every question. One that failed, or is a minute old, is closed."""
    for connection in connections.all(initialized_only=True):
        if connection.errors_occurred or time.monotonic() > (connection.close_at or 0) + CONNECTION_KEPT_S:
            connection.close()


def request_of(scope: Mapping[str, Any]) -> ASGIRequest:
    """The handshake as the request that it is: host, TLS and cookies are read as for every other."""
    scheme = "https" if scope.get("scheme") == "wss" else "http"
    return ASGIRequest({**scope, "type": "http", "method": "GET", "scheme": scheme}, io.BytesIO())


def check_origin(request: ASGIRequest) -> None:
    """Refuse a page of another site that opens a socket with this browser's cookie.

    Only with an API key may the header be absent: browsers always send it and never send a key. Raises Forbidden
    HOST_REFUSED, TLS_REQUIRED or ORIGIN_REFUSED.
    """
    try:
        host = request.get_host()
    except DisallowedHost:
        raise Forbidden("HOST_REFUSED", "This server does not answer to that name.", fix="See ALLOWED_HOSTS.") from None
    if settings.SECURE_SSL_REDIRECT and not request.is_secure():
        raise Forbidden("TLS_REQUIRED", "A key or a session is never sent in clear text.", fix="Connect to wss://.")
    origin = request.headers.get("Origin")
    if origin is None and "Authorization" in request.headers:
        return
    if origin is None or not _is_ours(origin, f"{request.scheme}://{host}"):
        raise Forbidden(
            "ORIGIN_REFUSED",
            "A socket is opened by a page of this server, or by a program with an API key.",
            fix="Open it from the same origin; other origins of ours: CSRF_TRUSTED_ORIGINS.",
        )


def _is_ours(origin: str, own: str) -> bool:
    if origin == own or origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    try:
        said = urlsplit(origin)
    except ValueError:
        return False
    patterns = (urlsplit(trusted) for trusted in settings.CSRF_TRUSTED_ORIGINS if "*" in trusted)
    return any(
        said.scheme == pattern.scheme and is_same_domain(said.netloc, pattern.netloc.lstrip("*"))
        for pattern in patterns
    )


def authenticate(request: ASGIRequest, *, now: datetime) -> Caller:
    """The caller, who may read. A key that is there but wrong never falls through to a session.

    Raises Unauthenticated (see `api_keys.authenticate`; NOT_SIGNED_IN), Forbidden SCOPE_MISSING or NOT_PERMITTED,
    RateExceeded AUTHENTICATION_FAILURES.
    """
    header = request.headers.get("Authorization")
    if header is None:
        credential = Credential(session=request.COOKIES.get(settings.SESSION_COOKIE_NAME, ""))
        return _by_session(credential, _person_of(credential))
    address = client_address(request.META)
    try:
        key = api_keys.authenticate(header=header, address=address, now=now)
    except Unauthenticated:
        rates.count_failure(address=address, name=api_keys.prefix_in(header))
        raise
    return _by_key(key)


def standings(credentials: Collection[Credential], *, now: datetime) -> dict[Credential, Caller | AikaError]:
    """The callers as they stand now, or why they may no longer read: a few queries for all keys, two for a session."""
    keys = api_keys.as_they_are({one.key_id for one in credentials if one.key_id is not None})
    persons = {one: _person_of(one) for one in credentials if one.key_id is None}
    selectors.learn_what_is_held([*(key.owner for key in keys.values()), *filter(None, persons.values())])
    found: dict[Credential, Caller | AikaError] = {}
    for one in credentials:
        try:
            if one.key_id is None:
                found[one] = _by_session(one, persons[one])
            else:
                api_keys.refuse_ended(keys[one.key_id], now)
                found[one] = _by_key(keys[one.key_id])
        except AikaError as error:
            found[one] = error
    return found


def _person_of(credential: Credential) -> User | None:
    return sessions.person_of_session(credential.session) if credential.session else None


def _by_session(credential: Credential, person: User | None) -> Caller:
    if person is None:
        raise Unauthenticated("NOT_SIGNED_IN", "Sign in, or send an API key.", fix="Authorization: Bearer aika_…")
    return _allowed(Caller(credential, Principal(user_id=person.pk, api_key_id=None, name=person.shown_name), person))


def _by_key(key: ApiKey) -> Caller:
    if Scope.READ.value not in key.scopes:
        raise Forbidden("SCOPE_MISSING", "This API key does not have the scope read.", fix="Use a key that has it.")
    name = f"{key.name} ({key.owner.shown_name})"
    principal = Principal(user_id=key.owner_id, api_key_id=key.pk, name=name)
    return _allowed(Caller(Credential(key_id=key.pk), principal, key.owner))


def _allowed(caller: Caller) -> Caller:
    if not selectors.may_use_scope(caller.person, Scope.READ):
        name = caller.principal.name
        raise Forbidden("NOT_PERMITTED", f"No role of {name} allows this.", fix="Ask an operator for a role.")
    return caller


class SocketConsumer(ABC):
    """One WebSocket from its handshake to its end. A subclass says what its caller may see and what it answers."""

    def __init__(self, scope: Frame, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._rate = Rate()
        self.outlet = Outlet(send)
        self.caller: Caller

    @classmethod
    def as_asgi(cls) -> Application:
        """The application that routes lead to."""

        async def application(scope: Frame, receive: Receive, send: Send) -> None:
            await cls(scope, receive, send).run()

        return application

    @staticmethod
    @abstractmethod
    def sights_of(callers: Sequence[Caller]) -> Mapping[Credential, Any]:
        """What each may see now. Runs in a thread, when a socket opens and, for all at once, every RECHECK_S after."""

    @abstractmethod
    def see(self, sight: Any) -> None:
        """Go by what may be seen from now on; called in the event loop, first before `opened`."""

    @abstractmethod
    async def opened(self) -> None:
        """The caller is known and may come in."""

    @abstractmethod
    async def heard(self, message: Frame) -> None:
        """Answer a message. An AikaError is told to the client, and the socket stays."""

    @abstractmethod
    def closed(self) -> None:
        """The socket is over; called once for each `opened`."""

    async def run(self) -> None:
        """Until the client, the server, or a lost right ends it."""
        if (await self._receive())["type"] != "websocket.connect":
            return
        await self._send({"type": "websocket.accept"})
        try:
            request = request_of(self._scope)
            check_origin(request)
        except AikaError as error:
            await self.outlet.close(Ending(sockets.ORIGIN, error))
            return
        try:
            self.caller, sight = await in_thread(lambda: self._admit(request))
            doorkeeper.enter(self)
        except rates.RateExceeded as error:
            await self.outlet.close(Ending(sockets.TOO_MANY, error))
        except AikaError as error:
            await self.outlet.close(Ending(sockets.SIGNED_OUT, error))
        except (DatabaseError, RedisError):
            await self.outlet.close(Ending(1013, _away()))
        else:
            await self._attend(sight)

    def _admit(self, request: ASGIRequest) -> tuple[Caller, Any]:
        caller = authenticate(request, now=timezone.now())
        return caller, self.sights_of([caller])[caller.credential]

    async def _attend(self, sight: Any) -> None:
        listening: asyncio.Task[None] | None = None
        try:
            self.see(sight)
            await self.opened()
            listening = asyncio.create_task(self._listen())
            await asyncio.wait(
                cast("set[asyncio.Future[Any]]", {listening, self.outlet.ended}), return_when=asyncio.FIRST_COMPLETED
            )
        except (DatabaseError, RedisError):
            self.outlet.end(Ending(1013, _away()))
        finally:
            doorkeeper.leave(self)
            self.closed()
            if listening is not None and not listening.done():
                listening.cancel()
        if self.outlet.ended.done():
            await self.outlet.close(self.outlet.ended.result())
        elif listening is not None:
            listening.result()

    async def _listen(self) -> None:
        """Every message of the client until it goes, or says too much."""
        loop = asyncio.get_running_loop()
        while (message := await self._receive())["type"] == "websocket.receive":
            if self._rate.is_exceeded(loop.time()):
                self.outlet.end(Ending(sockets.TOO_MANY, _too_many_messages()))
                return
            try:
                await self.heard(sockets.read_message(message.get("text")))
            except AikaError as error:
                self.outlet.say(sockets.error_text(error))
            except (DatabaseError, RedisError):
                self.outlet.say(sockets.error_text(_away()))


class Doorkeeper:
    """Counts the sockets of this process and asks again and again whether who is at them still may be."""

    def __init__(self) -> None:
        self._inside: set[SocketConsumer] = set()
        self._of_person: Counter[UUID] = Counter()
        self._rounds: asyncio.Task[None] | None = None
        self._unsure = 0

    def enter(self, socket: SocketConsumer) -> None:
        """Let one in. Raises RateExceeded TOO_MANY_SOCKETS."""
        person = socket.caller.principal.user_id
        if len(self._inside) >= SOCKETS_MAX or self._of_person[person] >= SOCKETS_PER_PERSON_MAX:
            raise rates.RateExceeded(
                "TOO_MANY_SOCKETS",
                f"One person and their keys may have {SOCKETS_PER_PERSON_MAX} sockets open here.",
                fix="Close one: a single socket carries every instrument.",
            )
        self._inside.add(socket)
        self._of_person[person] += 1
        if self._rounds is None or self._rounds.done():
            rounds = asyncio.get_running_loop().create_task(self._go_round())
            self._rounds = sockets.must_go_on(rounds, lambda: [one.outlet for one in tuple(self._inside)])

    def leave(self, socket: SocketConsumer) -> None:
        """One is gone."""
        self._inside.discard(socket)
        person = socket.caller.principal.user_id
        self._of_person[person] -= 1
        if not self._of_person[person]:
            del self._of_person[person]

    async def _go_round(self) -> None:
        while self._inside:
            await asyncio.sleep(RECHECK_S)
            groups: dict[tuple[type[SocketConsumer], Credential], list[SocketConsumer]] = defaultdict(list)
            for socket in self._inside:
                groups[type(socket), socket.caller.credential].append(socket)
            try:
                await in_thread(lambda: _say_how_many(len(self._inside)))
                answers = await in_thread(lambda asked=tuple(groups): _look(asked))  # type: ignore[misc]
            except (DatabaseError, RedisError):
                self._stay_unsure()
                continue
            self._unsure = 0
            for key, answer in answers.items():
                for socket in groups[key]:
                    if isinstance(answer, AikaError):
                        socket.outlet.end(Ending(sockets.SIGNED_OUT, answer))
                    else:
                        socket.see(answer)

    def _stay_unsure(self) -> None:
        self._unsure += 1
        if self._unsure == 1:
            logger.warning("Who may stay at a socket cannot be asked: the database or Redis is away.")
        if self._unsure >= UNSURE_ROUNDS_MAX:
            for socket in tuple(self._inside):
                socket.outlet.end(Ending(1013, _away()))


def _say_how_many(inside: int) -> None:
    """For `/metrics`, which another process answers. In a thread."""
    tallies.hold("sockets", inside, at_s=int(timezone.now().timestamp()))


def _look(asked: Sequence[tuple[type[SocketConsumer], Credential]]) -> dict[Any, Any]:
    """What each may see now, or why no longer. In a thread."""
    callers = standings({credential for _consumer, credential in asked}, now=timezone.now())
    found: dict[Any, Any] = {(consumer, credential): callers[credential] for consumer, credential in asked}
    for consumer in {consumer for consumer, _credential in asked}:
        allowed = [
            caller for one, credential in asked if one is consumer and isinstance(caller := callers[credential], Caller)
        ]
        found |= {(consumer, credential): sight for credential, sight in consumer.sights_of(allowed).items()}
    return found


doorkeeper: Final = Doorkeeper()


def _too_many_messages() -> AikaError:
    bound, window = sockets.MESSAGES_PER_WINDOW_MAX, int(sockets.WINDOW_S)
    return rates.RateExceeded(
        "TOO_MANY_MESSAGES",
        f"A client sends at most {bound} messages within {window} s.",
        fix="Put many items into one message.",
    )


def _away() -> AikaError:
    return Unavailable("TRY_AGAIN", "Aika cannot look this up at the moment.", fix="Try again in a few seconds.")
