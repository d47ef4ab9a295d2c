"""What the bar says of alarms, in words."""

from datetime import datetime, timedelta

import pytest

from apps.audit.selectors import alarm_summary
from apps.audit.services import alarms
from apps.audit.types import Actor, ActorKind, AlarmSummary
from apps.dashboard.selectors import alarm_line

PERSON = Actor(ActorKind.USER, "u-1", "Mara Lind")


@pytest.mark.parametrize(
    ("open_", "unseen", "minutes", "words", "age"),
    [
        (0, 0, None, "No alarm", ""),
        (1, 0, None, "One alarm, acknowledged", ""),
        (3, 0, None, "Three alarms, all acknowledged", ""),
        (3, 1, 12, "One alarm not acknowledged", "for 12 min 3 s"),
        (5, 2, 75, "Two alarms not acknowledged", "oldest 1 h 15 min"),
        (40, 40, -1, "40 alarms not acknowledged", "oldest 0 s"),
    ],
)
def test_counts_and_ages_as_people_read_them(
    open_: int, unseen: int, minutes: int | None, words: str, age: str, now: datetime
) -> None:
    since = None if minutes is None else now - timedelta(minutes=minutes, seconds=3)
    line = alarm_line(AlarmSummary(open=open_, unseen=unseen, oldest_unseen_at=since), now)
    assert (line.words, line.age, line.is_unseen) == (words, age, bool(unseen))


@pytest.mark.django_db
def test_the_oldest_that_nobody_has_seen_counts_and_what_is_over_does_not(now: datetime) -> None:
    made = [
        alarms.raise_alarm(code="FILLS_DIFFER", subject=f"order:{age}", message="?", now=now - timedelta(minutes=age))
        for age in (9, 7, 5)
    ]
    alarms.acknowledge(alarm_id=made[0].pk, actor=PERSON, now=now)
    alarms.clear_alarm(code="FILLS_DIFFER", subject="order:7", now=now)
    assert alarm_summary() == AlarmSummary(open=2, unseen=1, oldest_unseen_at=made[2].since)
