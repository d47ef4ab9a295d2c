"""Where a crash test may stop an order on its way, each with its row of the crash matrix (rows: `ROWS`).

Used as `faults.commit(places.CLAIM)`, `faults.call(places.PLACE)` or `faults.point(places.TAKEN.label)`.
A commit or a venue call of the trading services or of a bearer without one fails
tests/architecture/test_fault_places.py.
"""

from dataclasses import dataclass
from typing import Final

ROWS: Final[dict[int, str]] = {
    1: "API received / proposal committed",
    2: "proposal committed / HTTP answer",
    3: "quorum inserted / commit",
    4: "approval committed / published",
    5: "published / worker takes",
    6: "worker took / claim commit",
    7: "claim commit / socket write",
    8: "socket write / venue receives",
    9: "venue accepted / answer received",
    10: "answer received / persisted",
    11: "persisted / message acknowledged",
    12: "acknowledged / fill processing",
    13: "cancel sent / answer",
    14: "halt set / request in flight",
    15: "database failover with lost commits",
    16: "restore from backup",
    17: "clock step",
    18: "text handed over / found in the vector index",
}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two points around one act: `row_before` is the row of a crash just before it, `row_after` of one just after."""

    name: str
    row_before: int
    row_after: int
    before: str = ""
    after: str = ""

    def __post_init__(self) -> None:
        # Put together once, at import: a point in production compares and does nothing else.
        object.__setattr__(self, "before", f"{self.name}.before_{self.act}")
        object.__setattr__(self, "after", f"{self.name}.after_{self.act}")

    @property
    def act(self) -> str:
        """What stands between the two."""
        return type(self).__name__.lower()


class Commit(Pair):
    """A transaction on the way of an order."""


class Call(Pair):
    """Something that leaves this machine: a request to a venue, a message to the broker."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One point that is neither a commit nor a call."""

    label: str
    row: int


RECEIVED: Final = Moment("api.received", 1)
PROPOSE: Final = Commit("propose", 1, 2)
ANSWERING: Final = Moment("api.answering", 2)
WITHDRAW: Final = Commit("withdraw", 1, 2)
# A vote that does not complete the quorum, a decline and a revocation commit as the one that does.
VOTE: Final = Commit("vote", 3, 4)
PUBLISH: Final = Call("publish", 4, 5)
TAKEN: Final = Moment("execute.taken", 6)
# Quotes and balances, before the claim and before each decision of a person.
MARKET: Final = Call("market", 6, 6)
POSTPONE: Final = Commit("postpone", 6, 6)
# Where a person's consent stands for a key, before any call: the turn to ask for the next access token, the exchange,
# and what came of it. It may be lost, refused, not even sent, or good for nothing.
BEARER_CLAIM: Final = Commit("bearer_claim", 6, 6)
BEARER_REFRESH: Final = Call("bearer_refresh", 6, 6)
BEARER_WRITE: Final = Commit("bearer_write", 6, 6)
BEARER_FAIL: Final = Commit("bearer_fail", 6, 6)
BEARER_RELEASE: Final = Commit("bearer_release", 6, 6)
BEARER_RETURN: Final = Call("bearer_return", 6, 6)
BEARER_GIVE_UP: Final = Commit("bearer_give_up", 6, 6)
CLAIM: Final = Commit("claim", 6, 7)
PLACE: Final = Call("place", 7, 10)
# The state was looked at, the first byte goes: no halt commits here.
LEAVING: Final = Moment("place.leaving", 7)
WRITTEN: Final = Moment("socket.written", 8)
ANSWERED: Final = Moment("socket.answered", 9)
# The venue takes no order by this consent: what it covers now is asked and written down before the answer is.
BEARER_LOOK: Final = Call("bearer_look", 10, 10)
BEARER_SCOPES: Final = Commit("bearer_scopes", 10, 10)
ANSWER: Final = Commit("answer", 10, 11)
DONE: Final = Moment("execute.done", 11)
# What finds a claim whose worker died: the order is in flight before it, and unresolved after it.
LAPSE: Final = Commit("lapse", 10, 10)
# An order of unknown fate: taking the turn to ask, asking, writing down what the venue's list says.
LOOKUP: Final = Commit("lookup", 10, 10)
SCAN: Final = Call("scan", 10, 10)
LOOKUP_ANSWER: Final = Commit("lookup_answer", 10, 11)
# The same bytes again under the same id, while the approval stands: as a claim and a call.
REPLAY_CLAIM: Final = Commit("replay_claim", 10, 7)
REPLAY: Final = Call("replay", 7, 10)
REPLAY_ANSWER: Final = Commit("replay_answer", 10, 11)
# Two people say what became of an order.
CONCLUDE: Final = Commit("conclude", 10, 11)
DIFFERENCE: Final = Commit("difference", 12, 12)
# Comparing a connection's rows with its venue: also what runs first after a failover or a restore.
RUN_BEGIN: Final = Commit("run_begin", 15, 15)
READ_LISTS: Final = Call("read_lists", 15, 15)
RUN_END: Final = Commit("run_end", 16, 16)
POLL_TAKEN: Final = Moment("poll.taken", 12)
READ_ORDER: Final = Call("read_order", 12, 12)
READ_FILLS: Final = Call("read_fills", 12, 12)
BOOK: Final = Commit("book", 12, 12)
# The wish to cancel, the turn to ask the venue, the request itself, and what came back.
CANCEL_REQUEST: Final = Commit("cancel_request", 13, 13)
CANCEL_CLAIM: Final = Commit("cancel_claim", 13, 13)
CANCEL: Final = Call("cancel", 13, 13)
CANCEL_ANSWER: Final = Commit("cancel_answer", 13, 13)
# After a halt: the turn of a pass over one connection, the list of what is open, what the pass came to.
CLEAR_CLAIM: Final = Commit("clear_claim", 14, 14)
CLEAR_LIST: Final = Call("clear_list", 14, 14)
CLEAR_ANSWER: Final = Commit("clear_answer", 14, 14)
HALT: Final = Commit("halt", 14, 14)
REDUCE: Final = Commit("reduce", 14, 14)
RESUME: Final = Commit("resume", 14, 14)
TRIP: Final = Commit("trip", 14, 14)
RESET: Final = Commit("reset", 14, 14)
MEASURE: Final = Commit("measure", 17, 17)
EXPIRE: Final = Commit("expire", 17, 17)
# A remembered text on its way into the vector index: taken, embedded and written there, and marked as done.
INDEX_CLAIM: Final = Commit("index_claim", 18, 18)
INDEX_WRITE: Final = Call("index_write", 18, 18)
INDEX_SETTLE: Final = Commit("index_settle", 18, 18)
# One page of a rebuild: what has no entry yet, or another text, waits from here on.
INDEX_FILL: Final = Commit("index_fill", 18, 18)
