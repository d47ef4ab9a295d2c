"""The judge finds what a soak is for: each planted fault is found, and the same without it is not."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from tests.load import judge, logs, report
from tests.load.diary import Answer, Diary, Fault, Mark
from tests.load.sampling import Process, Sample
from tests.load.seen import Ledger, Plan, Seen

EVERY_S, UNTIL = 5.0, 1200.0
BASE_KB = 150_000
FAULT = Fault("PostgreSQL restarted", 300.0, 306.0)
Shape = Callable[[float], float]


def flat(_at: float) -> float:
    return 0.0


def noisy(at: float) -> float:
    """Up and down by a few, with no direction; now and then a step of an allocator."""
    return (at * 7919 % 13) - 6


def soak(
    *, memory_kb: Shape = noisy, files: Shape = flat, depth: Shape = noisy, drained: int = 0, part: str = "web/1"
) -> list[Sample]:
    """Twenty minutes under load and half a minute after."""
    samples = []
    for number in range(int((UNTIL + 30) / EVERY_S) + 1):
        at = number * EVERY_S
        process = Process(part, 7, BASE_KB + int(memory_kb(at)), 40 + int(files(at)), 10, at / 10)
        waiting = max(0, int(8 + depth(at))) if at <= UNTIL else drained
        samples.append(Sample(at, 1.0, [process], {"messages: default": waiting}, 12, 200, 0))
    return samples


def found(samples: Sequence[Sample]) -> list[str]:
    half = judge.second_half(samples, UNTIL)
    everything = [*judge.leaks(half), *judge.growing_queues(half), *judge.undrained(samples, kills=0)]
    return [item.kind for item in everything]


def per_hour(mib: float) -> Shape:
    """A leak of so much, with noise on it."""
    return lambda at: mib * 1024 * at / 3600 + noisy(at)


def warming_up(at: float) -> float:
    """Caches that fill: fast in the beginning, done by half time."""
    return 60_000 * min(1.0, at / 500)


def test_what_is_flat_or_only_warms_up_is_no_leak() -> None:
    steps: Shape = lambda at: 1024.0 * (at > 700) + 1024.0 * (at > 1000) + noisy(at)  # noqa: E731
    assert found(soak()) == []
    assert found(soak(memory_kb=warming_up)) == []
    assert found(soak(memory_kb=steps)) == []
    assert found(soak(memory_kb=per_hour(judge.MEMORY_MIB_H_MAX * 0.9))) == []


@pytest.mark.parametrize("mib", [judge.MEMORY_MIB_H_MAX * 1.1, 200.0])
def test_a_planted_leak_is_found(mib: float) -> None:
    assert found(soak(memory_kb=per_hour(mib))) == ["memory"]


def test_the_stand_in_for_the_venue_and_the_stores_are_not_judged() -> None:
    for part in ("simulator", "postgres/3", "redis"):
        assert found(soak(memory_kb=per_hour(500), part=part)) == []


def test_descriptors_that_are_never_closed_are_found() -> None:
    assert found(soak(files=lambda at: at / 60)) == ["descriptors"]
    assert found(soak(files=lambda at: 3 * (at % 50 == 0))) == []


def test_a_process_seen_too_shortly_has_no_slope() -> None:
    short = [sample for sample in soak(memory_kb=per_hour(900)) if sample.at <= judge.SLOPE_S_MIN]
    assert list(judge.leaks(short[:-1])) == []
    assert [item.kind for item in judge.leaks(short)] == ["memory"]


def test_a_queue_that_grows_is_found_and_one_that_swings_is_not() -> None:
    assert found(soak(depth=lambda at: at / 40)) == ["queue"]
    assert found(soak(depth=lambda at: 30 * (at % 100 < 20))) == []


def test_a_queue_that_is_not_empty_in_the_end_is_found() -> None:
    assert found(soak(drained=1)) == ["queue"]
    held = [replace(sample, queues={"messages in hand": 5}) for sample in soak()]
    assert [item.kind for item in judge.undrained(held, kills=0)] == ["queue"]
    assert list(judge.undrained(held, kills=1)) == []


def test_a_slope_is_hardly_moved_by_outliers() -> None:
    points = [(float(at), 2.0 * at) for at in range(50)]
    points[10], points[40] = (10.0, 9_000.0), (40.0, -9_000.0)
    assert judge.slope(points) == pytest.approx(2.0, rel=0.05)
    assert judge.slope([(1.0, 5.0)]) == 0.0


@pytest.mark.parametrize(
    ("status", "code", "outside", "inside"),
    [
        (201, "", False, False),
        (500, "INTERNAL_ERROR", True, True),
        (502, "", True, True),
        (503, "DATABASE_UNAVAILABLE", True, False),
        (503, "", True, True),
        (0, "ConnectError", True, False),
        (429, "RATE_EXCEEDED", True, True),
    ],
)
def test_an_error_is_one_unless_a_fault_explains_it(status: int, code: str, outside: bool, inside: bool) -> None:
    before = Answer(FAULT.at - 60, "agent", "propose", status, code)
    during = Answer(FAULT.at + 2, "agent", "propose", status, code)
    assert bool(list(judge.errors([before], [FAULT]))) is outside
    assert bool(list(judge.errors([during], [FAULT]))) is inside


def test_somebody_was_faster_is_no_error_where_it_may_be_so() -> None:
    assert list(judge.errors([Answer(1.0, "approver", "approve", 409, "NOT_WAITING")], [])) == []
    assert len(list(judge.errors([Answer(1.0, "agent", "propose", 409, "KEY_REUSED")], []))) == 1


def test_what_ends_or_drops_by_itself_is_found() -> None:
    marks = [
        Mark(5.0, "socket dropped", "/ws/desk of a key: 1011"),
        Mark(FAULT.at + 1, "process ended", "worker with -9"),
    ]
    assert [item.what for item in judge.mishaps(marks, [FAULT])] == [
        "socket dropped: /ws/desk of a key: 1011 (1 times)"
    ]


LOG = (
    '{"level": "error", "logger": "aika.alarms", "timestamp": "1970-01-01T00:00:01Z", "message": "ALARM {}"}\n'
    '{"level": "info", "logger": "aika.requests", "timestamp": "1970-01-01T00:01:40Z", "message": "GET /"}\n'
    '{"level": "error", "logger": "apps", "timestamp": "1970-01-01T00:05:01Z", "message": "away", "exception": "E"}\n'
    "plain words\n"
    "Traceback (most recent call last):\n"
    '{"level": "warning", "logger": "apps", "timestamp": "1970-01-01T00:10:00Z", "message": "hm",'
    ' "exception": "Traceback (most recent call last):\\n  File x\\nValueError: no"}\n'
)


def test_errors_and_tracebacks_of_a_log_are_found_with_their_time() -> None:
    said = logs.found_in("web", LOG, began=0.0)
    assert [(line.at, line.level) for line in said] == [(301.0, "error"), (301.0, "traceback"), (600.0, "warning")]
    assert said[2].what.endswith("ValueError: no")
    assert [item.what for item in judge.complaints(said, [FAULT])] == ["web: apps: hm ValueError: no (1 times)"]
    assert len(list(judge.complaints(said, []))) == 3


def ledger() -> Ledger:
    """Two approvals, one of them voided before it left; one proposal that was withdrawn."""
    return Ledger(
        approved={"p1": "c1", "p2": "c2"},
        orders={"c1": ("APPROVED", "FILLED", "0.5"), "c2": ("VOIDED", "CANCELED", "0"), "c3": ("WITHDRAWN", "", "0")},
        at_venue=[("c1", "0.5")],
        proofs={"audit_verify": 0},
    )


def test_a_desk_that_agrees_with_its_venue_is_well() -> None:
    assert list(judge.promises(ledger())) == []


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"at_venue": [("c1", "0.5"), ("c1", "0.5")]}, "double"),
        ({"at_venue": []}, "lost"),
        ({"at_venue": [("c1", "0.5"), ("c9", "1")]}, "unapproved"),
        ({"at_venue": [("c1", "0.5"), ("c3", "0")]}, "unapproved"),
        ({"at_venue": [("c1", "0.4")]}, "books"),
        ({"orders": {"c1": ("APPROVED", "UNKNOWN", "0.5"), "c2": ("VOIDED", "", "0")}}, "unresolved"),
        ({"orders": ledger().orders | {"c4": ("AWAITING_APPROVAL", "", "0")}}, "unresolved"),
        ({"proofs": {"audit_verify": 1}}, "proof"),
        ({"alarms": ["ORDER_UNKNOWN order:1"]}, "alarm"),
        ({"trading_state": "HALTED"}, "halted"),
    ],
)  # fmt: skip
def test_each_broken_promise_is_found(change: dict[str, object], kind: str) -> None:
    assert [item.kind for item in judge.promises(replace(ledger(), **change))] == [kind]  # type: ignore[arg-type]


def test_a_second_order_for_an_approval_whose_answer_nobody_heard_is_found() -> None:
    unheard = replace(ledger(), approved={}, at_venue=[("c1", "0.5"), ("c1", "0.5")])
    assert [item.kind for item in judge.promises(unheard)] == ["double"]


def test_what_is_said_of_a_fault_is_bounded_by_how_long_it_was_watched() -> None:
    """A short soak cannot say that something never came back, and its page says how long the fault itself lasted."""
    diary = Diary()
    diary.faults.append(FAULT)
    diary.moments["accepted"] = [float(at) for at in range(600)]
    until = FAULT.at + 60
    page = report.section(Seen(Plan(faults=(FAULT.name,)), diary, samples=soak(), loaded_until=until), [])
    (row,) = [line for line in page.splitlines() if line.startswith(f"| {FAULT.name} |")]
    assert f"| {FAULT.over - FAULT.at:.0f} s |" in row
    assert "| not in the 60 s that were watched |" in row
    assert "never" not in page


def test_the_verdict_asks_everything() -> None:
    diary = Diary()
    seen = Seen(Plan(), diary, samples=soak(), ledger=ledger(), loaded_until=UNTIL)
    assert judge.verdict(seen) == []
    diary.answers.append(Answer(1.0, "agent", "propose", 500))
    diary.marks.append(Mark(1.0, "socket dropped", "x"))
    diary.faults.append(FAULT)
    seen.samples = soak(memory_kb=per_hour(99), files=lambda at: at / 30, depth=lambda at: at / 20, drained=9)
    seen.said = logs.found_in("web", LOG, began=0.0)
    seen.ledger = replace(ledger(), at_venue=[])
    kinds = [item.kind for item in judge.verdict(seen)]
    assert kinds == ["memory", "descriptors", "queue", "queue", "answer", "mishap", "log", "lost", *["recovery"] * 4]
