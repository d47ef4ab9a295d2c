"""The schedule: every entry is a task that exists, and what a person edited stays as it is."""

from datetime import timedelta
from io import StringIO

import pytest
from celery import current_app
from django.core.management import call_command
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from apps.common.commands import Exit
from config.beat import SCHEDULE


@pytest.mark.parametrize("entry", SCHEDULE, ids=lambda entry: entry.task)
def test_each_entry_is_a_task_that_exists_and_says_what_its_stop_breaks(entry) -> None:  # type: ignore[no-untyped-def]
    current_app.loader.import_default_modules()

    assert entry.task in current_app.tasks
    assert entry.why.startswith("Stops: ")
    assert entry.expires_s > entry.every_s


def test_celerys_own_schedule_stays_empty() -> None:
    assert current_app.conf.beat_schedule == {}


@pytest.mark.django_db
def test_what_is_missing_is_created_and_a_second_time_changes_nothing() -> None:
    call_command("sync_beat", verbosity=0)
    first = list(PeriodicTask.objects.order_by("name").values())
    call_command("sync_beat", verbosity=0)

    assert {task["task"] for task in first} == {entry.task for entry in SCHEDULE}
    assert list(PeriodicTask.objects.order_by("name").values()) == first


@pytest.mark.django_db
def test_what_a_person_edited_stays_and_what_a_person_added_is_left_alone() -> None:
    call_command("sync_beat", verbosity=0)
    slow = IntervalSchedule.objects.create(every=1, period=IntervalSchedule.HOURS)
    edited = PeriodicTask.objects.get(task="trades.expire_due")
    edited.interval, edited.enabled = slow, False
    edited.save()
    PeriodicTask.objects.create(name="Mine", task="trades.expire_due", interval=slow)
    said = StringIO()

    call_command("sync_beat", stdout=said)

    edited.refresh_from_db()
    assert (edited.interval, edited.enabled) == (slow, False)
    assert "created: none" in said.getvalue()
    assert "left alone: Mine" in said.getvalue()


@pytest.mark.django_db
def test_a_late_task_is_named_and_one_switched_off_is_not() -> None:
    call_command("sync_beat", verbosity=0)
    now = timezone.now()
    PeriodicTask.objects.update(last_run_at=now)
    call_command("beat_status", stdout=StringIO())

    PeriodicTask.objects.filter(task="trades.expire_due").update(last_run_at=now - timedelta(hours=1))
    for words, told in (((), "late: Expire what is due"), (("--json",), '"late": ["Expire what is due')):
        out = StringIO()
        with pytest.raises(SystemExit) as ended:
            call_command("beat_status", *words, stdout=out)
        assert ended.value.code == Exit.DIFFERS
        assert told in out.getvalue()

    PeriodicTask.objects.filter(task="trades.expire_due").update(enabled=False)
    call_command("beat_status", stdout=StringIO())
