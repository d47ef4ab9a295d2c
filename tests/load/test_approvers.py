"""Who decides under load, and when: a turn belongs to one, and so does a proposal."""

from tests.load import report
from tests.load.approvers import Turns
from tests.load.diary import Diary
from tests.load.seen import Plan, Seen

EVERY_S, PEOPLE = 1.0, 3


class Clock:
    def __init__(self) -> None:
        self.at = 100.0

    def now(self) -> float:
        return self.at


def test_turns_come_at_the_desks_pace_whoever_takes_them() -> None:
    turns = Turns(EVERY_S, PEOPLE, Clock().now)
    assert [turns.take() for _ in range(4)] == [100.0, 101.0, 102.0, 103.0]


def test_as_many_turns_as_people_may_be_late_and_a_stall_is_not_caught_up() -> None:
    clock = Clock()
    turns = Turns(EVERY_S, PEOPLE, clock.now)
    turns.take()
    clock.at = 102.5
    assert [turns.take(), turns.take()] == [101.0, 102.0]
    clock.at = 160.0
    assert [turns.take() for _ in range(5)] == [157.0, 158.0, 159.0, 160.0, 161.0]


def test_two_people_never_have_the_same_proposal_before_them() -> None:
    turns = Turns(EVERY_S, PEOPLE, Clock().now)
    first, second = {"id": "a"}, {"id": "b"}
    assert turns.pick([first, second]) == first
    assert turns.pick([first, second]) == second
    assert turns.pick([first, second]) is None
    turns.put_down(first)
    assert turns.pick([first, second]) == first
    assert turns.pick([]) is None


def test_the_pace_is_of_the_approvals_under_load_only() -> None:
    seen = Seen(Plan(), Diary(), began=10.0, loaded_until=20.0)
    assert report.as_json(seen, [])["approval_pace"] == "it approved too seldom for a pace"
    seen.diary.times["approved"] = [5.0, 11.0, 14.0, 12.0, 20.0, 29.0]
    assert report.as_json(seen, [])["approval_pace"] == "one approval in 3.00 s (p50 2.00 s, p95 6.00 s)"
