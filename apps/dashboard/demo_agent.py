"""The demo's program. It knows what any program knows: an address, a key, and the public API; it calls no service.

One turn: look at what waits, read a price, ask for a trade, read the lessons beside the answer; where policy denies it,
do what the remedy says. The queue is for people: with enough waiting, a turn takes back what has waited long, or asks
for nothing.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from operator import itemgetter
from typing import Any, Final
from uuid import uuid4

import httpx

from apps.common.decimals import decimal_text, parse_instant
from apps.common.errors import AikaError, Unavailable
from apps.dashboard.rules import demo_wishes
from apps.dashboard.rules.demo_wishes import Wish

CONNECTION: Final = "coinbase-paper"
WAITING: Final = "AWAITING_APPROVAL"
DENIED: Final = "DENIED"
TIMEOUT_S: Final = 20
# Without an answer it tries again so often, as long apart as the answer asks for, or this long.
TRIES_MAX: Final = 30
PAUSE_S: Final = 2
PAUSE_S_MAX: Final = 120
# What nobody decided in so long is taken back for something newer, so that the desk moves though nobody sits at it.
PASSED: Final = timedelta(minutes=5)
AGAIN: Final = frozenset({429, 503})
# The key is no good: nothing that it asks for will be answered.
LOCKED_OUT: Final = frozenset({401, 403})

Pause = Callable[[float], None]


class Refused(AikaError):
    """The API refused a request for good; its own code, sentence and way out."""

    def __init__(self, status: int, code: str, message: str, *, fix: str) -> None:
        super().__init__(code, message, fix=fix)
        self.status = status


class Api:
    """Calls to `/api/v1` with a key. What may be tried again is tried again, later, and as the same request."""

    def __init__(self, url: str, key: str, *, pause: Pause, say: Callable[[str], None]) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        # Aika itself, on this machine: no proxy of the environment comes between. Between two turns a server would
        # drop a connection that was kept.
        self._client = httpx.Client(
            base_url=f"{url}/api/v1",
            headers=headers,
            timeout=TIMEOUT_S,
            limits=httpx.Limits(max_keepalive_connections=0),
            trust_env=False,
        )
        self._pause = pause
        self._say = say

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """What stands at `path`. Raises Refused, and Unavailable where nothing answers for long."""
        return self._sent("GET", path, params=query)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Write once: every try carries one `Idempotency-Key`. Raises as `get`."""
        return self._sent("POST", path, json=body, headers={"Idempotency-Key": str(uuid4())})

    def close(self) -> None:
        """Done."""
        self._client.close()

    def _sent(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        for _ in range(TRIES_MAX):
            try:
                answer = self._client.request(method, path, **request)
            except httpx.TransportError as error:
                self._say(f"Aika does not answer ({type(error).__name__}); again in {PAUSE_S} s.")
                self._pause(PAUSE_S)
                continue
            if answer.status_code not in AGAIN:
                return _read(answer)
            wait = _wait_s(answer)
            self._say(f"Aika answers {answer.status_code}; again in {wait} s.")
            self._pause(wait)
        raise Unavailable("AIKA_AWAY", f"{method} {path} was not answered.", fix="Look whether Aika runs.")


def _read(answer: httpx.Response) -> dict[str, Any]:
    try:
        told = dict(answer.json())
    except ValueError:
        told = {}
    if answer.is_success:
        return told
    code, detail = told.get("code", f"HTTP_{answer.status_code}"), told.get("detail", answer.reason_phrase)
    raise Refused(answer.status_code, str(code), str(detail), fix=str(told.get("fix", "")))


def _wait_s(answer: httpx.Response) -> int:
    """Seconds that the answer asks for, within bounds."""
    asked = answer.headers.get("Retry-After", "")
    return min(max(int(asked), 1), PAUSE_S_MAX) if asked.isascii() and asked.isdigit() else PAUSE_S


@dataclass(kw_only=True)
class Agent:
    """Asks for one trade a turn. `most` waiting proposals are enough; `seed` says what an ordinary day brings."""

    api: Api
    say: Callable[[str], None]
    most: int
    seed: int
    clock: Callable[[], datetime]
    connection: str = CONNECTION
    number: int = field(default=0, init=False)

    def turn(self) -> bool:
        """Ask for one trade, unless enough waits already or there is no price. True where something was asked for.

        Raises Unavailable as `Api`, and Refused where the key is refused; what else is refused is said.
        """
        waiting = self.api.get("/trades/proposals", state=WAITING, connection=self.connection, limit="50")["items"]
        missing = demo_wishes.missing({tag for proposal in waiting for tag in proposal["tags"]})
        if not missing and len(waiting) >= self.most and not self._takes_back(waiting):
            self.say(f"{len(waiting)} proposals wait for people; that is enough.")
            return False
        wish = missing[0] if missing else self._ordinary()
        (row,) = self.api.get("/quotes", connection=self.connection, instrument=wish.instrument)["items"]
        if row["quote"] is None or row["quote"]["stale"]:
            self.say(f"There is no fresh price of {wish.instrument}; nothing is asked for.")
            return False
        mid, increment = Decimal(row["quote"]["mid"]), Decimal(row["price_increment"])
        body = {"connection": self.connection, **terms_of(wish, mid=mid, increment=increment)}
        try:
            answer = self._asked(body)
            if answer["state"] == DENIED and (smaller := remedied(body, answer)) is not None:
                self._asked(smaller)
        except Refused as refused:
            if refused.status in LOCKED_OUT:
                raise
            self.say(f"{refused} {refused.fix}".rstrip())
        return True

    def _takes_back(self, waiting: Sequence[Mapping[str, Any]]) -> bool:
        """Withdraw the oldest ask of an ordinary day that has waited too long. True where there was one."""
        asked = [(_asked_at(one), one) for one in waiting if demo_wishes.ORDINARY in one["tags"]]
        at, oldest = min(asked, key=itemgetter(0), default=(self.clock(), None))
        # With more than enough none is taken back: the one that follows would keep it at that.
        if oldest is None or at >= self.clock() - PASSED or len(waiting) > self.most:
            return False
        told = self.api.post(f"/trades/proposals/{oldest['id']}/withdraw", {"reason": "The market has moved on."})
        self.say(f"Nobody decided on {oldest['label']}: {told['answer']}")
        return True

    def _ordinary(self) -> Wish:
        self.number += 1
        return demo_wishes.ordinary_wish(seed=self.seed, number=self.number)

    def _asked(self, body: Mapping[str, Any]) -> dict[str, Any]:
        answer = self.api.post("/trades/proposals", body)
        what = f"{body['side']} {body['quantity']} {body['instrument']} at {body['limit_price']}"
        self.say(f"{what}: {answer['state']}{_because(answer)}")
        for line in lessons_of(answer):
            self.say(f"  {line}")
        return answer


def terms_of(wish: Wish, *, mid: Decimal, increment: Decimal) -> dict[str, Any]:
    """What a request says of a wish while the market's middle is `mid` (quote currency per base unit), on a grid."""
    prices = demo_wishes.prices_of(wish, mid=mid, increment=increment)
    plan = {"planned_stop": prices.stop, "planned_target": prices.target}
    return {
        "instrument": wish.instrument,
        "side": wish.side.value,
        "order_type": "LIMIT",
        "time_in_force": "GTC",
        "quantity": wish.quantity,
        "limit_price": decimal_text(prices.limit),
        "rationale": wish.rationale,
        "confidence": wish.confidence,
        "setup": wish.setup,
        "tags": ["demo", wish.tag],
        **{name: decimal_text(price) for name, price in plan.items() if price is not None},
    }


def _asked_at(proposal: Mapping[str, Any]) -> datetime:
    return parse_instant(proposal["created_at"], field="created_at")


def remedied(body: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any] | None:
    """The request that a denial says would pass, in the place of the one denied; None where no change would."""
    remedy = answer["decision"]["remedy"]
    if remedy is None or remedy["field"] is None:
        return None
    return {**body, remedy["field"]: remedy["value"], "supersedes": answer["id"]}


def lessons_of(answer: Mapping[str, Any]) -> list[str]:
    """What the lessons beside a proposal say to a program."""
    lessons = answer["lessons"]
    lines = [one["next_time"] for one in lessons["results"] if one["next_time"]]
    said = [f"Next time: {line}" for line in dict.fromkeys(lines)]
    if lessons["evidence"] and lessons["evidence"]["n"]:
        said.insert(0, lessons["evidence"]["sentence"])
    return said


def _because(answer: Mapping[str, Any]) -> str:
    if answer["state"] != DENIED:
        return f", {answer['links']['page']}"
    remedy = answer["decision"]["remedy"]
    return f" ({', '.join(answer['decision']['codes'])}). {remedy['sentence'] if remedy else ''}".rstrip()


def new_seed() -> int:
    """Another day each time it is started."""
    return random.randrange(1_000_000)  # noqa: S311  variety, not secrecy
