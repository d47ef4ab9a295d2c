"""The space that is asked now, and how far it is behind what is remembered."""

from datetime import datetime
from typing import Any, Final, NamedTuple

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Count, Min, Value

from apps.common.statements import Question, Select
from apps.lessons.models import IndexEntry, IndexSpace
from apps.lessons.types import EntryState, SpaceState

_COLUMNS: Final = [one.attname for one in IndexSpace._meta.concrete_fields]


class Waiting(NamedTuple):
    """How many texts wait for the active space, and since when the oldest has."""

    pending: int
    oldest_at: datetime | None


def _made(*columns: Any) -> IndexSpace:
    return IndexSpace.from_db(DEFAULT_DB_ALIAS, _COLUMNS, columns)


_ACTIVE: Final[Select[IndexSpace]] = Select(
    lambda: IndexSpace.objects.filter(state=SpaceState.ACTIVE.value).order_by().values_list(*_COLUMNS), _made
)
_WAITING: Final[Select[Waiting]] = Select(
    lambda: (
        IndexEntry.objects.filter(space__state=SpaceState.ACTIVE.value, state=EntryState.PENDING.value)
        .order_by()
        .annotate(all=Value(1))
        .values("all")
        .annotate(pending=Count("pk"), oldest_at=Min("queued_at"))
        .values_list(*Waiting._fields)
    ),
    Waiting,
)


def active_question() -> Question[IndexSpace]:
    """Answered with the space that questions are asked in; with none before the first one was made."""
    return _ACTIVE()


def waiting_question() -> Question[Waiting]:
    """Answered with what waits for the active space; with nothing where nothing does."""
    return _WAITING()


def lag(waiting: Question[Waiting], now: datetime) -> tuple[int, int]:
    """How many texts wait, and for how many seconds the oldest has."""
    pending, oldest_at = next(iter(waiting.answer), (0, None))
    return pending, 0 if oldest_at is None else max(0, int((now - oldest_at).total_seconds()))
