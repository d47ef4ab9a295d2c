"""What a soak proves, from what was seen. Pure: no process, no database, no clock."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from tests.load.diary import Answer, Fault, Finding, Mark
from tests.load.logs import Said, counted
from tests.load.recovery import unrecovered
from tests.load.sampling import Sample
from tests.load.seen import Ledger, Seen

# What grows by this every hour takes 4 GiB, the smallest machine we run on, within a week. It is also four times what
# one of the allocator's own steps (1 MiB, at any moment of ten minutes) can pass for: less would judge those. A
# kilobyte lost at each of twelve requests a second is 42 MiB an hour.
MEMORY_MIB_H_MAX: Final = 24.0
# Below so long a second half, and so many looks, a slope says more about the beginning than about a leak.
SLOPE_S_MIN: Final = 240.0
LOOKS_MIN: Final = 20
# Descriptors and waiting things that a second half may add: a request or a beat more at the last look than before.
FILES_MORE_MAX: Final = 6.0
QUEUE_MORE_MAX: Final = 12.0
# Work that the schedule brings all the time; what is left of a queue is the least of the last looks.
DRAINED_LOOKS: Final = 5
# What a killed process had in hand is nobody's for an hour (visibility_timeout); its rows are found by the sweeps.
HELD_BY_KILLED: Final = 6
# Part of a fault's time: what was under way when it began, and what it leaves behind, may still be told for so long.
AROUND_S: Final = (1.0, 60.0)
# The stand-in for the venue keeps every order and request, so that it can be asked; the stores keep pages in memory.
NOT_OURS: Final = ("simulator", "postgres", "redis", "qdrant")
FINAL: Final = frozenset({"FILLED", "CANCELED", "REJECTED", "EXPIRED", "DENIED"})
# The answers that are neither errors nor refusals nobody expected: a person or a program was faster.
EXPECTED: Final = frozenset(
    {("withdraw", 409), ("approve", 409), ("decline", 409), ("approve on the page", 409), ("look", 404)}
)


@dataclass(frozen=True)
class Trend:
    """How a measure went over the second half: the median of its first and of its last looks, and its slope."""

    name: str
    first: float
    last: float
    per_hour: float
    span_s: float


def verdict(seen: Seen) -> list[Finding]:
    """Everything that was not as it has to be."""
    half, faults = second_half(seen.samples, seen.loaded_until), seen.diary.faults
    kills = sum("worker killed" in fault.name for fault in faults)
    return [
        *leaks(half),
        *growing_queues(half),
        *undrained(seen.samples, kills=kills),
        *errors(seen.diary.answers, faults),
        *mishaps(seen.diary.marks, faults),
        *complaints(seen.said, faults),
        *promises(seen.ledger),
        *unrecovered(seen.diary, until=seen.loaded_until),
    ]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Theil and Sen: the median of the slopes between all pairs, per second. A step or an outlier moves it little."""
    slopes = [
        (after - before) / (then - at)
        for number, (at, before) in enumerate(points)
        for then, after in points[number + 1 :]
        if then > at
    ]
    return median(slopes) if slopes else 0.0


def trend(name: str, points: Sequence[tuple[float, float]]) -> Trend:
    """Of a measure; `points` are of the second half already."""
    few = max(1, len(points) // 5)
    first, last = (median(value for _at, value in part) for part in (points[:few], points[-few:]))
    return Trend(name, first, last, slope(points) * 3600, points[-1][0] - points[0][0])


def second_half(samples: Sequence[Sample], until: float) -> list[Sample]:
    """Of the time in which there was load."""
    under_load = [sample for sample in samples if sample.at <= until]
    middle = (under_load[0].at + under_load[-1].at) / 2 if under_load else 0.0
    return [sample for sample in under_load if sample.at >= middle]


def process_trends(samples: Sequence[Sample], measure: str) -> list[Trend]:
    """By process that was there for long enough; `measure` is a number of Process."""
    series: dict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
    for sample in samples:
        for process in sample.processes:
            series[process.part, process.pid].append((sample.at, float(getattr(process, measure))))
    return [
        trend(part, points)
        for (part, _pid), points in sorted(series.items())
        if len(points) >= LOOKS_MIN and points[-1][0] - points[0][0] >= SLOPE_S_MIN
    ]


def queue_trends(samples: Sequence[Sample]) -> list[Trend]:
    """By queue, and the connections to the database."""
    series: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for sample in samples:
        for name, depth in sample.queues.items():
            series[name].append((sample.at, float(depth)))
        if sample.connections is not None:
            series["database connections"].append((sample.at, float(sample.connections)))
    return [trend(name, points) for name, points in sorted(series.items()) if len(points) >= LOOKS_MIN]


def is_ours(part: str) -> bool:
    """Whether what a process keeps in memory is ours to judge."""
    return part.partition("/")[0] not in NOT_OURS


def leaks(samples: Sequence[Sample]) -> Iterator[Finding]:
    """Memory or descriptors that grow. `samples` are of the second half."""
    for found in process_trends(samples, "rss_kb"):
        if is_ours(found.name) and found.per_hour / 1024 > MEMORY_MIB_H_MAX:
            yield Finding("memory", f"{found.name} grows by {found.per_hour / 1024:.1f} MiB an hour")
    for found in process_trends(samples, "files"):
        more = found.per_hour * found.span_s / 3600
        if is_ours(found.name) and more > FILES_MORE_MAX:
            yield Finding("descriptors", f"{found.name} opened {more:.0f} more than it closed")


def growing_queues(samples: Sequence[Sample]) -> Iterator[Finding]:
    """Depths that rise though the pace is the same. `samples` are of the second half."""
    for found in queue_trends(samples):
        more = found.per_hour * found.span_s / 3600
        if more > QUEUE_MORE_MAX:
            yield Finding("queue", f"{found.name} grew by {more:.0f} in {found.span_s:.0f} s")


def undrained(samples: Sequence[Sample], *, kills: int) -> Iterator[Finding]:
    """Queues that are not back to nothing after everybody stopped asking."""
    last = samples[-DRAINED_LOOKS:]
    for name in sorted({name for sample in last for name in sample.queues}):
        left = min(sample.queues[name] for sample in last if name in sample.queues)
        allowed = HELD_BY_KILLED * kills if name == "messages in hand" else 0
        if left > allowed:
            yield Finding("queue", f"{name} is still at {left} after everybody stopped asking")


def in_a_fault(at: float | None, faults: Sequence[Fault]) -> bool:
    """Whether it was about then that something was broken on purpose."""
    if at is None:
        return bool(faults)
    before, after = AROUND_S
    return any(fault.at - before <= at <= fault.over + after for fault in faults)


def errors(answers: Iterable[Answer], faults: Sequence[Fault]) -> Iterator[Finding]:
    """Answers nobody should get. While something is broken a caller may hear 503 with a code, or nothing at all."""
    seen: Counter[str] = Counter()
    for answer in answers:
        if answer.status < 400 and answer.status:
            continue
        broken = in_a_fault(answer.at, faults)
        if (answer.what, answer.status) in EXPECTED or (
            broken and (not answer.status or (answer.status == 503 and answer.code))
        ):
            continue
        seen[f"{answer.who}, {answer.what}: {answer.status or 'no answer'} {answer.code}".strip()] += 1
    for what, times in sorted(seen.items()):
        yield Finding("answer", f"{what} ({times} times)")


def mishaps(marks: Iterable[Mark], faults: Sequence[Fault]) -> Iterator[Finding]:
    """Sockets that were dropped, processes that ended: what nobody did on purpose."""
    unexpected = Counter(f"{mark.kind}: {mark.what}" for mark in marks if not in_a_fault(mark.at, faults))
    for what, times in sorted(unexpected.items()):
        yield Finding("mishap", f"{what} ({times} times)")


def complaints(said: Iterable[Said], faults: Sequence[Fault]) -> Iterator[Finding]:
    """Errors and tracebacks in a log, but of what was broken on purpose."""
    for what, times in counted(line for line in said if not in_a_fault(line.at, faults)):
        yield Finding("log", f"{what} ({times} times)")


def promises(ledger: Ledger) -> Iterator[Finding]:
    """One order at the venue for each approval, none without, the same amounts, nothing open, and every proof."""
    yield from _orders(ledger)
    yield from _ends(ledger)
    yield from (Finding("proof", f"{what} ended with {code}") for what, code in ledger.proofs.items() if code)
    yield from (Finding("alarm", f"still open: {alarm}") for alarm in ledger.alarms)
    if ledger.trading_state != "ACTIVE":
        yield Finding("halted", f"trading is {ledger.trading_state}")


def _orders(ledger: Ledger) -> Iterator[Finding]:
    times, approvals = Counter(name for name, _filled in ledger.at_venue), set(ledger.approved.values())
    for name in sorted(times.keys() | approvals):
        proposal, order, _booked = ledger.orders.get(name, ("unknown here", "", ""))
        if times[name] > 1:
            yield Finding("double", f"{times[name]} orders at the venue under the name {name}")
        elif not times[name] and proposal != "VOIDED":
            yield Finding("lost", f"approved, and not at the venue: {name} ({proposal}, {order or 'no order'})")
        elif times[name] and proposal != "APPROVED":
            yield Finding("unapproved", f"the venue has {name}, whose proposal is {proposal}")


def _ends(ledger: Ledger) -> Iterator[Finding]:
    filled = dict(ledger.at_venue)
    for name, (proposal, order, booked) in sorted(ledger.orders.items()):
        if proposal == "AWAITING_APPROVAL" or (order and order not in FINAL):
            yield Finding("unresolved", f"{name} is {proposal}, its order {order or 'not there'}")
        elif filled.get(name, booked) != booked:
            yield Finding("books", f"{name} filled {filled[name]} at the venue and {booked} here")
