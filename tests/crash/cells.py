"""The matrix: where a process stops, how, what becomes of its message, and what the venue does meanwhile."""

import heapq
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, islice

from apps.common import fault_places as places
from apps.common.fault_places import Call, Commit, Moment


class Step(StrEnum):
    """Which process has the fault."""

    WEB = "web"
    """Proposes and approves."""
    WORKER = "worker"
    """Takes the execution message."""
    POLL = "poll"
    """Books what became of the order."""
    LAPSE = "lapse"
    """Finds a claim whose worker died."""
    RESOLVE = "resolve"
    """Looks for an order of unknown fate, and sends it again where it is not found."""
    CANCEL = "cancel"
    """Wants a resting order canceled, and asks the venue to."""
    COMPARE = "compare"
    """Compares the connection with its venue, while an order is in flight."""
    RESTORE = "restore"
    """The same after the database went back to before the order left."""
    POSTPONE = "postpone"
    """Takes an order whose facts cannot be read."""
    HALT = "halt"
    """Stops trading while a request is in flight."""
    CLEAR = "clear"
    """Cancels what is open after a halt, until nothing is."""
    BEARER = "bearer"
    """Takes the execution message of a connection that stands on a consent whose access token ends."""
    NARROW = "narrow"
    """The same, where the person has taken back that orders are placed."""
    EXPIRE = "expire"
    """Writes down that the time ran out, by a clock that stepped."""


class How(StrEnum):
    """What happens there."""

    RAISE = "raise"
    KILL = "kill -9"
    HOLD = "hold"
    """The process stands still until others have taken it for dead, and then goes on."""


class Delivery(StrEnum):
    """What becomes of the message (of the request, where it is the web process)."""

    REDELIVERED = "redelivered"
    LOST = "lost"
    TWICE = "twice"
    """To two workers at once."""


WEB = (
    places.RECEIVED.label,
    places.PROPOSE.before,
    places.PROPOSE.after,
    places.ANSWERING.label,
    places.VOTE.before,
    places.VOTE.after,
    places.PUBLISH.before,
    places.PUBLISH.after,
)
WORKER = (
    places.TAKEN.label,
    places.MARKET.before,
    places.MARKET.after,
    places.CLAIM.before,
    places.CLAIM.after,
    places.PLACE.before,
    places.LEAVING.label,
    places.WRITTEN.label,
    places.ANSWERED.label,
    places.PLACE.after,
    places.ANSWER.before,
    places.ANSWER.after,
    places.PUBLISH.before,
    places.PUBLISH.after,
    places.DONE.label,
)
POLL = (
    places.POLL_TAKEN.label,
    places.READ_ORDER.before,
    places.READ_ORDER.after,
    places.READ_FILLS.before,
    places.READ_FILLS.after,
    places.BOOK.before,
    places.BOOK.after,
)
# The venue has the order: it is found.
SCAN = (
    places.LOOKUP.before,
    places.LOOKUP.after,
    places.SCAN.before,
    places.SCAN.after,
    places.LOOKUP_ANSWER.before,
    places.LOOKUP_ANSWER.after,
)
# It has none: it is sent again.
REPLAY = (
    places.REPLAY_CLAIM.before,
    places.REPLAY_CLAIM.after,
    places.REPLAY.before,
    places.LEAVING.label,
    places.REPLAY.after,
    places.REPLAY_ANSWER.before,
    places.REPLAY_ANSWER.after,
)
CANCEL = (
    places.CANCEL_REQUEST.before,
    places.CANCEL_REQUEST.after,
    places.CANCEL_CLAIM.before,
    places.CANCEL_CLAIM.after,
    places.CANCEL.before,
    places.CANCEL.after,
    places.CANCEL_ANSWER.before,
    places.CANCEL_ANSWER.after,
)
COMPARE = (
    places.RUN_BEGIN.before,
    places.RUN_BEGIN.after,
    places.READ_LISTS.before,
    places.READ_LISTS.after,
    places.RUN_END.before,
    places.RUN_END.after,
)
CLEAR = (
    places.CLEAR_CLAIM.before,
    places.CLEAR_CLAIM.after,
    places.CLEAR_LIST.before,
    places.CLEAR_LIST.after,
    places.CLEAR_ANSWER.before,
    places.CLEAR_ANSWER.after,
)
# The access token is about to end: the next one is asked for before anything else is.
REFRESHES = (
    places.BEARER_CLAIM.before,
    places.BEARER_CLAIM.after,
    places.BEARER_REFRESH.before,
    places.BEARER_REFRESH.after,
    places.BEARER_WRITE.before,
    places.BEARER_WRITE.after,
    places.BEARER_FAIL.before,
    places.BEARER_FAIL.after,
    places.BEARER_RELEASE.before,
    places.BEARER_RELEASE.after,
)
# The venue takes no order by this consent any more.
NARROWED = (
    places.BEARER_LOOK.before,
    places.BEARER_LOOK.after,
    places.BEARER_SCOPES.before,
    places.BEARER_SCOPES.after,
)
LABELS: dict[Step, tuple[str, ...]] = {
    Step.WEB: WEB,
    Step.WORKER: WORKER,
    Step.POLL: POLL,
    Step.LAPSE: (places.LAPSE.before, places.LAPSE.after),
    Step.RESOLVE: (*SCAN, *REPLAY),
    Step.CANCEL: CANCEL,
    Step.COMPARE: COMPARE,
    Step.RESTORE: COMPARE,
    Step.POSTPONE: (places.POSTPONE.before, places.POSTPONE.after),
    Step.HALT: (places.HALT.before, places.HALT.after, places.REDUCE.before, places.REDUCE.after),
    Step.CLEAR: CLEAR,
    Step.BEARER: REFRESHES,
    Step.NARROW: NARROWED,
    Step.EXPIRE: (places.EXPIRE.before, places.EXPIRE.after),
}
# Places without a cell, and why.
WITHOUT: dict[str, str] = {
    places.WITHDRAW.name: "Ends a proposal; no order follows.",
    places.RESUME.name: "Moves the trading state alone.",
    places.TRIP.name: "Stops trading as a halt does, in the transaction of whatever tripped it.",
    places.RESET.name: "Two people loosen; no order is on its way there.",
    places.MEASURE.name: "Writes down equity; no order is on its way there.",
    places.CONCLUDE.name: "Two people end an order that nothing else ends; one transaction, which they repeat.",
    **{
        place.name: "No order is on its way there. tests/lessons/index/test_killed.py ends processes at each."
        for place in (places.INDEX_CLAIM, places.INDEX_WRITE, places.INDEX_SETTLE, places.INDEX_FILL)
    },
    places.BEARER_GIVE_UP.name: "Ends a consent whose new token is refused too; the next refused call repeats it.",
    places.BEARER_RETURN.name: "Gives back a pair of tokens that nobody keeps; no order leaves by it.",
    places.DIFFERENCE.name: "A note beside a state that was booked before.",
}

AT_CREATE = (
    "timeout-before",
    "timeout-after",
    "reset-before",
    "reset-after",
    "5xx-before",
    "5xx-after",
    "429",
    "garbage",
    "truncated",
    "cut-short",
    "late-arrival",
    "slow-listing",
)
AT_FILLS = ("duplicate-fills", "lost-fills")
AT_READ = ("5xx-before", "reset-before", "garbage")
AT_TOKEN = ("5xx-before", "429", "reset-after", "garbage")
HELD_IN = {
    *(Step.WORKER, Step.POLL, Step.RESOLVE, Step.CANCEL, Step.COMPARE, Step.RESTORE, Step.CLEAR),
    *(Step.BEARER, Step.NARROW),
}
NONE = ""
# Not a fault: the price moves, and the order fills before the cancel comes.
MARKET, FILLS_FIRST = "market", "fills-first"
AT_CANCEL = ("timeout-before", "timeout-after", "reset-after", "5xx-after", "garbage", "429", "late-arrival")
# Every cell of an order on its way meets these at its create; a poll meets those of reads.
VENUE: dict[Step, tuple[tuple[str, str], ...]] = {
    Step.WEB: ((NONE, NONE), ("create", "timeout-after")),
    Step.WORKER: ((NONE, NONE), *(("create", kind) for kind in AT_CREATE)),
    Step.POLL: ((NONE, NONE), *(("fills", kind) for kind in AT_FILLS), *(("get", kind) for kind in AT_READ)),
    Step.LAPSE: ((NONE, NONE), ("create", "slow-listing")),
    Step.RESOLVE: (
        (NONE, NONE),
        ("list", "garbage"),
        ("list", "5xx-before"),
        *(("create", kind) for kind in AT_CREATE),
    ),
    Step.CANCEL: ((NONE, NONE), (MARKET, FILLS_FIRST), *(("cancel", kind) for kind in AT_CANCEL)),
    Step.COMPARE: ((NONE, NONE), ("list", "garbage"), ("fills", "5xx-before"), ("create", "slow-listing")),
    Step.RESTORE: ((NONE, NONE), ("list", "garbage"), ("fills", "5xx-before"), ("create", "slow-listing")),
    Step.POSTPONE: ((NONE, NONE), ("create", "timeout-after")),
    Step.HALT: ((NONE, NONE), *(("create", kind) for kind in AT_CREATE)),
    Step.CLEAR: (
        (NONE, NONE),
        ("list", "garbage"),
        ("list", "5xx-before"),
        *(("cancel", kind) for kind in AT_CANCEL),
    ),
    Step.BEARER: ((NONE, NONE), *(("oauth-token", kind) for kind in AT_TOKEN), ("create", "timeout-after")),
    Step.NARROW: ((NONE, NONE),),
    Step.EXPIRE: ((NONE, NONE),),
}

# Places that are passed only where the venue's OAuth server answers, fails or was not even asked.
PASSED_BY: dict[str, tuple[str, ...]] = {
    **dict.fromkeys((places.BEARER_WRITE.before, places.BEARER_WRITE.after), (NONE, "timeout-after")),
    **dict.fromkeys((places.BEARER_FAIL.before, places.BEARER_FAIL.after), ("5xx-before", "reset-after", "garbage")),
    **dict.fromkeys((places.BEARER_RELEASE.before, places.BEARER_RELEASE.after), ("429",)),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One square of the matrix."""

    step: Step
    label: str
    how: How
    delivery: Delivery
    endpoint: str
    kind: str

    @property
    def row(self) -> int:
        """The row of the crash matrix."""
        return ROW_OF[self.label]

    def __str__(self) -> str:
        venue = f", venue {self.kind} at {self.endpoint}" if self.kind else ""
        return f"{self.how} at {self.label} ({self.step}), message {self.delivery}{venue}"


def all_places() -> list[Commit | Call | Moment]:
    return [value for value in vars(places).values() if isinstance(value, Commit | Call | Moment)]


def _rows() -> dict[str, int]:
    rows: dict[str, int] = {}
    for place in all_places():
        if isinstance(place, Moment):
            rows[place.label] = place.row
        else:
            rows |= {place.before: place.row_before, place.after: place.row_after}
    return rows


ROW_OF = _rows()
UNHELD = {label for label in ROW_OF if label.endswith(".before_commit")} | {
    places.LEAVING.label,
    places.CANCEL_REQUEST.after,
}


def matrix() -> Iterator[Cell]:
    """Every cell. Nothing is held inside a transaction: it would hold its locks too, and whoever needs them waits."""
    for step, labels in LABELS.items():
        for label in labels:
            for how in How:
                if how is How.HOLD and (label in UNHELD or step not in HELD_IN):
                    continue
                for delivery in Delivery:
                    for endpoint, kind in VENUE[step]:
                        if kind not in PASSED_BY.get(label, (kind,)):
                            continue
                        yield Cell(step, label, how, delivery, endpoint, kind)


def sample(every: Sequence[Cell], runs: int, seed: int) -> list[Cell]:
    """So many of these cells in a random order: all of them before any comes again."""
    dice = random.Random(seed)
    orders = (_spread(dice.sample(every, len(every))) for _ in range(0, runs, max(1, len(every))))
    return list(islice(chain.from_iterable(orders), runs))


def _spread(cells: Sequence[Cell]) -> Iterator[Cell]:
    """The same cells, so that few of them show much: first what has a new pair, of a place with how it stops and what
    becomes of the message, or of a place with a fault of the venue; then by how rarely both pairs came."""
    pairs = [pairs_of(cell) for cell in cells]
    came: Counter[str] = Counter()

    def known(number: int) -> tuple[bool, int, int]:
        stop, trouble, apart = (came[pair] for pair in pairs[number])
        return stop > 0 < trouble, stop + trouble, apart

    # What is known of a cell only grows, so what a heap holds of it is a lower bound.
    waiting = [(known(number), number) for number in range(len(cells))]
    while waiting:
        thought, number = waiting[0]
        if (now := known(number)) > thought:
            heapq.heapreplace(waiting, (now, number))
            continue
        heapq.heappop(waiting)
        came.update(pairs[number])
        yield cells[number]


def pairs_of(cell: Cell) -> tuple[str, str, str]:
    """What a cell tries together: a place and its stop, a place and the venue's fault, a stop and that fault."""
    place, stop, trouble = f"{cell.step} {cell.label}", f"{cell.how} {cell.delivery}", f"{cell.endpoint} {cell.kind}"
    return f"{place}: {stop}", f"{place}: {trouble}", f"{stop}: {trouble}"
