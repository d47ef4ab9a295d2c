"""Lessons that were shown often and that nobody found useful rest: they are neither shown nor indexed, until a person
wakes them (`reviews.wake`). Cases, and all that is counted over cases, do not know of it."""

from dataclasses import asdict
from datetime import datetime

from django.db import transaction

from apps.audit.services import events
from apps.lessons.rules.resting import Tried, to_rest
from apps.lessons.selectors.locking import locked_lessons
from apps.lessons.selectors.trying import tried_lessons
from apps.lessons.services import retelling
from apps.lessons.services.cases import MEMORY, stream_of
from apps.lessons.types import STANDING


def rest(*, now: datetime) -> int:
    """Put to rest what never helped, each in a transaction of its own. Returns how many."""
    return sum(_rest(tried, now) for tried in to_rest(tried_lessons()))


def _rest(tried: Tried, now: datetime) -> bool:
    with transaction.atomic():
        lesson = locked_lessons([tried.lesson]).get(tried.lesson)
        if lesson is None or lesson.rests_since is not None or lesson.state not in STANDING:
            return False
        lesson.rests_since = now
        # What a reviewer has open is not what stands here now.
        lesson.version += 1
        lesson.save(update_fields=["rests_since", "version"])
        retelling.index(lesson.case, now=now)
        events.record(
            stream=stream_of(lesson.case),
            kind="lesson.rested",
            actor=MEMORY,
            subject=stream_of(lesson.case),
            payload={**asdict(tried), "version": lesson.version},
            now=now,
        )
    return True
