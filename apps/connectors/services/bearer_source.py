"""What a connector signs with where there is no key: the access token of an authorisation, and what it covers."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from apps.common import fault_places as places
from apps.common import faults
from apps.connectors.models import Authorisation
from apps.connectors.services.bearers import Bearer, Clock, bearer, give_up, keep_granted
from apps.connectors.venues.coinbase.oauth import places_an_order

# How long a process goes by what it read: somebody may disconnect meanwhile.
KEPT_S: Final = 2.0


class BearerSource:
    """The access token of one authorisation, for every request of one connector. Thread safe."""

    def __init__(self, authorisation: Authorisation, *, clock: Clock, before_call: Callable[[], None]) -> None:
        self._id = authorisation.pk
        self._clock = clock
        self._before_call = before_call
        self._lock = threading.Lock()
        self._known: tuple[Bearer, float] | None = None
        self._refused: int | None = None
        self._renewed: int | None = None
        self._mine = threading.local()

    def token(self, *, method: str, host: str, path: str, early_s: int = 0) -> str:
        """The bearer for this request. Raises as `bearer`, and for an order what is known to stand in its way."""
        found = self._fresh()
        if found.problem is not None and places_an_order(method, path):
            raise found.problem.with_traceback(None)
        self._mine.generation = found.generation
        return found.token

    def look_again(self, ask_granted: Callable[[str], Sequence[str]]) -> tuple[str, ...]:
        """What the venue says now that the access token may, by asking `ask_granted` with it; it is written down."""
        found = self._fresh()
        with faults.call(places.BEARER_LOOK):
            scopes = tuple(ask_granted(found.token))
        keep_granted(self._id, generation=found.generation, scopes=scopes, now=self._clock())
        with self._lock:
            self._known = None
        return scopes

    def _fresh(self) -> Bearer:
        with self._lock:
            known, refused = self._known, self._refused
        if known is not None and time.monotonic() < known[1]:
            return known[0]
        found = bearer(self._id, clock=self._clock, before_call=self._before_call, refused=refused)
        with self._lock:
            self._known = found, time.monotonic() + KEPT_S
            if refused is not None and found.generation > refused:
                self._refused, self._renewed = None, found.generation
        return found

    def refused(self) -> bool:
        """The venue answered 401 to this thread's last token. True where a new one may be tried, once.

        One that was itself made for this reason is not replaced again: a person must connect anew.
        """
        generation: int = self._mine.generation
        with self._lock:
            self._known = None
            again = generation == self._renewed
            if not again:
                self._refused = generation
        if again:
            reason = "The venue refuses its access tokens, also a new one."
            give_up(self._id, generation=generation, reason=reason, now=self._clock())
        return not again
