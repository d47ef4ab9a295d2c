"""Signed requests to Coinbase: reads are retried within their deadline, writes are sent once."""

from collections.abc import Callable, Iterable
from typing import Protocol
from urllib.parse import quote, urlencode, urlsplit

from apps.common.errors import AikaError, NotFound, OutcomeUnknown, Unavailable
from apps.connectors.errors import CredentialsRefused, RateLimited, Rejected
from apps.connectors.venues import addresses
from apps.connectors.venues.coinbase import wire
from apps.connectors.venues.coinbase.auth import EARLY_S
from apps.connectors.venues.coinbase.limits import Priority, RateLimiter
from apps.connectors.venues.http import TRANSPORT_ERRORS, Attempt, Http, Reply

PREFIX = "/api/v3/brokerage"
# Less than half of the execution lease (30 s): who takes an order over must find this call ended.
DEADLINE_S = 10.0
READ_TRIES = 3

Params = Iterable[tuple[str, str]]


def origin_of(api_base: str) -> str:
    """As `addresses.origin_of`; the path of the API may stand behind it."""
    return addresses.origin_of(api_base, prefix=PREFIX)


def quoted(identifier: str) -> str:
    """An id as one segment of a path."""
    return quote(identifier, safe="")


def _unavailable(message: str, why: str) -> Unavailable:
    return Unavailable("VENUE_UNAVAILABLE", message, fix="Try again shortly.", why=why)


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]


def unknown_outcome(why: str) -> OutcomeUnknown:
    """The request left and there is no proof of what became of it."""
    return OutcomeUnknown(
        "VENUE_OUTCOME_UNKNOWN",
        "The request was sent and the venue's answer does not prove what became of it.",
        fix="It is being reconciled: read the venue's orders. Do not send it again.",
        why=why[:200],
    )


def refusal(reply: Reply, *, path: str) -> Exception:
    """What a status of 300 or more on a read means, as an error to raise."""
    error = wire.api_error(reply.body)
    if reply.status == 401 or (reply.status == 403 and error is not None):
        return credentials_refused(reply.status, error)
    if reply.status == 429:
        return rate_limited()
    if error is None or not 400 <= reply.status < 500:
        return _unavailable("The venue did not answer the question.", f"status {reply.status} for {path}")
    if reply.status == 404 or error.code in {"NOT_FOUND", "not_found"} or "not found" in error.message.lower():
        return NotFound("VENUE_NOT_FOUND", f"The venue does not know this: {error.message or error.code}.")
    return Rejected(error.code, error.message)


def rate_limited() -> RateLimited:
    return RateLimited(
        "VENUE_RATE_LIMIT", "The venue takes no more requests just now. Nothing happened.", fix="Try again shortly."
    )


def credentials_refused(status: int, error: wire.ApiError | None) -> CredentialsRefused:
    """401: the key or its signature; 403: the key lacks a permission."""
    said = error.message or error.code if error else ""
    return CredentialsRefused(
        "VENUE_KEY_REFUSED",
        f"The venue does not accept the key for this ({status}). {said}".strip(),
        fix="Check the key's name, permissions, portfolio and IP list at the venue, and the clock of this machine.",
        status=str(status),
    )


class Sending:
    """Says what a failure means while something is sent and its answer read.

    Not one byte left: Unavailable. After that, whatever went wrong, an error of our own included, is OutcomeUnknown;
    where the request changes nothing (`harmless`) it is Unavailable too.
    """

    def __init__(self, attempt: Attempt, *, harmless: bool = False) -> None:
        self._attempt = attempt
        self._harmless = harmless

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, Exception) or isinstance(error, AikaError):
            return
        if self._attempt.wrote and not self._harmless:
            raise unknown_outcome(_why(error)) from error
        raise _unavailable("The venue cannot be reached. Nothing happened.", _why(error)) from error


class Credentials(Protocol):
    """What requests are signed with: a key, or the bearer of an authorisation."""

    def token(self, *, method: str, host: str, path: str, early_s: int = EARLY_S) -> str:
        """The bearer token of one request."""
        ...

    def refused(self) -> bool:
        """The venue answered 401 to this thread's last token. True where another one may be tried, once."""
        ...


class CoinbaseClient:
    """One key at one host. Thread safe. `before_call` may refuse a call by raising; `reword` says what it means to
    people that the venue refuses a read."""

    def __init__(
        self,
        *,
        api_base: str,
        signer: Credentials,
        limiter: RateLimiter | None = None,
        before_call: Callable[[], None] = lambda: None,
        reword: Callable[[CredentialsRefused], CredentialsRefused] = lambda refused: refused,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        origin = origin_of(api_base)
        self.host = urlsplit(origin).netloc
        self.limiter = limiter or RateLimiter()
        self._signer = signer
        self._before_call = before_call
        self._reword = reword
        self._deadline_s = deadline_s
        self._http = Http(base=origin)

    def attempt(self) -> Attempt:
        """A fresh deadline, and the refusal of a call that must not be made here."""
        self._before_call()
        return Attempt.within(self._deadline_s)

    def get(
        self,
        path: str,
        params: Params = (),
        *,
        attempt: Attempt | None = None,
        signed: bool = True,
        priority: Priority = Priority.READ,
    ) -> wire.Row:
        """Read a JSON object. Retries what may pass (transport, 5xx, 429, not JSON) while the deadline lasts.

        Raises Unavailable, RateLimited, CredentialsRefused, NotFound or Rejected (the question was wrong).
        """
        attempt = attempt or self.attempt()
        failure: Exception = _unavailable("The venue did not answer.", "no time left")
        for number in range(READ_TRIES):
            if number and not attempt.back_off(number):
                break
            try:
                reply = self.raw("GET", path, params, attempt=attempt, signed=signed, priority=priority)
            except TRANSPORT_ERRORS as error:
                failure = _unavailable("The venue cannot be reached.", _why(error))
                continue
            if 200 <= reply.status < 300:
                try:
                    return wire.decode(reply.body)
                except wire.Malformed as error:
                    failure = unreadable(path, error)
                    continue
            failure = refusal(reply, path=path)
            if reply.status == 401 and signed and self._signer.refused():
                continue
            if reply.status == 429:
                self.limiter.pause()
            elif reply.status < 500:
                break
        raise self._reword(failure) if isinstance(failure, CredentialsRefused) else failure

    def send(self, path: str, body: bytes, *, attempt: Attempt, priority: Priority = Priority.ORDER) -> Reply:
        """POST these bytes once. Inside `Sending`, which says what a failure means."""
        reply = self.raw("POST", path, body=body, attempt=attempt, priority=priority)
        if reply.status == 401:
            # Not sent again; the next request goes with another token, where there can be one.
            self._signer.refused()
        return reply

    def raw(
        self,
        method: str,
        path: str,
        params: Params = (),
        *,
        attempt: Attempt,
        body: bytes | None = None,
        priority: Priority = Priority.READ,
        early_s: int = EARLY_S,
        signed: bool = True,
        token: str = "",
    ) -> Reply:
        """One exchange, whatever its status. Raises TRANSPORT_ERRORS, or RateLimited before anything is sent."""
        full = f"{PREFIX}{path}"
        self.limiter.acquire(priority, deadline=attempt.deadline)
        headers = {"content-type": "application/json"} if body is not None else {}
        if signed:
            headers["authorization"] = f"Bearer {token or self.token_for(method, path, early_s=early_s)}"
        query = urlencode(list(params))
        target = f"{full}?{query}" if query else full
        return self._http.exchange(attempt, method=method, target=target, headers=headers, content=body)

    def token_for(self, method: str, path: str, *, early_s: int = EARLY_S) -> str:
        """The bearer token of one request."""
        return self._signer.token(method=method, host=self.host, path=f"{PREFIX}{path}", early_s=early_s)

    def close(self) -> None:
        self._http.close()


def unreadable(path: str, error: wire.Malformed) -> Unavailable:
    """A read whose answer is not what the venue documents."""
    return Unavailable(
        "VENUE_ANSWER_UNREADABLE",
        f"The venue's answer is not what it documents ({path}: {error}).",
        fix="Run connector_check; the venue may have changed its answers.",
    )
