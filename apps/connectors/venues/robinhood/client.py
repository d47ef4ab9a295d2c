"""Signed reads at Robinhood. There is no way to send anything: the only method is GET."""

from collections.abc import Callable, Iterable
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from apps.common.errors import NotFound, Unavailable
from apps.connectors.errors import CredentialsRefused, RateLimited, Rejected
from apps.connectors.venues import rows
from apps.connectors.venues.addresses import origin_of
from apps.connectors.venues.http import TRANSPORT_ERRORS, Attempt, Http, Reply
from apps.connectors.venues.robinhood.auth import Signer
from apps.connectors.venues.robinhood.limits import RateLimiter

PREFIX = "/api/v1/crypto"
# A third of a signature's life (30 s): none is used up on the way.
DEADLINE_S = 10.0
READ_TRIES = 3
PAGES_MAX = 40
SAID_MAX = 160

Params = Iterable[tuple[str, str]]


class RobinhoodClient:
    """One key at one host. Thread safe. `before_call` may refuse a call by raising."""

    def __init__(
        self,
        *,
        api_base: str,
        signer: Signer,
        limiter: RateLimiter | None = None,
        before_call: Callable[[], None] = lambda: None,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self.limiter = limiter or RateLimiter()
        self._signer = signer
        self._before_call = before_call
        self._deadline_s = deadline_s
        self._http = Http(base=origin_of(api_base))

    def attempt(self) -> Attempt:
        """A fresh deadline, and the refusal of a call that must not be made here."""
        self._before_call()
        return Attempt.within(self._deadline_s)

    def get(self, path: str, params: Params = (), *, attempt: Attempt | None = None) -> rows.Row:
        """Read a JSON object. Retries what may pass (transport, 5xx, 429, not JSON) while the deadline lasts.

        Raises Unavailable, RateLimited, CredentialsRefused, NotFound or Rejected (the question was wrong).
        """
        attempt = attempt or self.attempt()
        asked = list(params)
        failure: Exception = unavailable("no time left")
        for number in range(READ_TRIES):
            if number and not attempt.back_off(number):
                break
            try:
                reply = self.raw(path, asked, attempt=attempt)
            except TRANSPORT_ERRORS as error:
                failure = unavailable(f"{type(error).__name__}: {error}"[:SAID_MAX])
                continue
            if 200 <= reply.status < 300:
                try:
                    return rows.decode(reply.body)
                except rows.Malformed as error:
                    failure = unreadable(path, error)
                    continue
            failure = refusal(reply, path=path)
            if reply.status == 429:
                self.limiter.pause()
            elif reply.status < 500:
                break
        raise failure

    def pages(self, path: str, params: Params = ()) -> list[rows.Row]:
        """All rows of a list under one deadline. Never a part of it: raises Unavailable instead."""
        asked, cursors = list(params), set[str]()
        found: list[rows.Row] = []
        attempt, cursor = self.attempt(), ""
        for _ in range(PAGES_MAX):
            page = self.get(path, [*asked, *([("cursor", cursor)] if cursor else [])], attempt=attempt)
            found += rows.rows(page, "results")
            cursor = _cursor_of(page)
            if not cursor:
                return found
            if cursor in cursors:
                break
            cursors.add(cursor)
        raise Unavailable(
            "VENUE_LIST_INCOMPLETE",
            f"The venue's list does not come to an end ({path}); a part of it is not an answer.",
            fix="Ask for a shorter time.",
        )

    def raw(self, path: str, params: Params = (), *, attempt: Attempt) -> Reply:
        """One exchange, whatever its status. Raises TRANSPORT_ERRORS, or RateLimited before anything is sent."""
        query = urlencode(list(params), safe=",")  # its lists of quantities have their commas as they are
        target = f"{PREFIX}{path}?{query}" if query else f"{PREFIX}{path}"
        self.limiter.acquire(deadline=attempt.deadline)
        # Signed after waiting for room: a signature is young when it leaves.
        return self._http.exchange(attempt, method="GET", target=target, headers=self._signer.headers(target))

    def close(self) -> None:
        self._http.close()


def segment(identifier: str) -> str:
    """An id as one segment of a path."""
    return quote(identifier, safe="")


def _cursor_of(page: rows.Row) -> str:
    """The cursor in the link to the next page. Only the cursor is taken: no link of an answer is followed."""
    link = page.get("next")
    if link is None or link == "":
        return ""
    if not isinstance(link, str):
        raise rows.Malformed("next is no link")
    cursor = parse_qs(urlsplit(link).query).get("cursor", [""])[0]
    if not cursor:
        raise rows.Malformed("next has no cursor")
    return cursor


def unavailable(why: str) -> Unavailable:
    """No answer came, or none that says anything."""
    return Unavailable("VENUE_UNAVAILABLE", "The venue cannot be reached.", fix="Try again shortly.", why=why)


def unreadable(path: str, error: rows.Malformed) -> Unavailable:
    """A read whose answer is not what the venue documents."""
    return Unavailable(
        "VENUE_ANSWER_UNREADABLE",
        f"The venue's answer is not what it documents ({path}: {error}).",
        fix="Run connector_check; the venue may have changed its answers.",
    )


def said(reply: Reply) -> str:
    """The beginning of an error's plain text, fit for one line."""
    text = reply.body[: 4 * SAID_MAX].decode(errors="replace")
    return "".join(char if char.isprintable() else " " for char in text).strip()[:SAID_MAX]


def refusal(reply: Reply, *, path: str) -> Exception:
    """What a status of 300 or more means, as an error to raise. The venue words its errors as plain text."""
    words = said(reply)
    if reply.status in {401, 403}:
        return CredentialsRefused(
            "VENUE_KEY_REFUSED",
            f"The venue does not accept the key or its signature ({reply.status}). {words}".strip(),
            fix="Check the API key and its private key, and the clock of this machine: a signature lives 30 s.",
            status=str(reply.status),
        )
    if reply.status == 429:
        return RateLimited(
            "VENUE_RATE_LIMIT", "The venue takes no more requests just now. Nothing happened.", fix="Wait a minute."
        )
    if reply.status == 404:
        return NotFound("VENUE_NOT_FOUND", f"The venue does not know this. {words}".strip())
    if 400 <= reply.status < 500:
        return Rejected(str(reply.status), words or f"The venue refused the question ({reply.status}).")
    return unavailable(f"status {reply.status} for {path}")
