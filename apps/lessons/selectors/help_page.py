"""What the page "Does it help?" shows of each desk: its newest measurement in words, or what would fill it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django.db.models import Count, OuterRef, Subquery

from apps.lessons.models import Case, Evaluation, Lesson
from apps.lessons.rules import help_words
from apps.lessons.rules.warnings import OWN

if TYPE_CHECKING:
    from apps.accounts.models import Desk

CELLS: Final = {"recall": "caught", "precision": "right", "false_alarms": "false alarms", "winners": "winners"}


@dataclass(frozen=True, slots=True, kw_only=True)
class WarningLine:
    """One warning: what it goes by, and its four shares, each with what it is called, in words and its numbers. `own`
    is a warning of Aika, not what it is held against."""

    name: str
    goes_by: str
    own: bool
    cells: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskHelp:
    """One desk. `measured` is None where it never was; `cases` are the trades it remembers now, `resting` its lessons
    that are not shown any more."""

    desk: "Desk"
    cases: int
    resting: int
    measured: Evaluation | None
    catches: str = ""
    repeats: str = ""
    lines: tuple[WarningLine, ...] = ()
    dismissed: str = ""
    shown: int = 0
    held_out: str = ""
    lost_shown: str = ""
    lost_withheld: str = ""
    mixed: int = 0


def help_of(desks: "Iterable[Desk]", *, percent: int) -> list[DeskHelp]:
    """The desks as the page shows them. `percent` of proposals are held out now."""
    found = {desk.pk: desk for desk in desks}
    newest = Evaluation.objects.filter(desk=OuterRef("desk")).order_by("-as_of", "-made_at").values("pk")[:1]
    measured = {row.desk_id: row for row in Evaluation.objects.filter(desk__in=found, pk=Subquery(newest))}
    cases = _counts(Case.objects.filter(desk__in=found).order_by().values_list("desk").annotate(Count("pk")))
    rest = Lesson.objects.filter(case__desk__in=found, rests_since__isnull=False).order_by()
    resting = _counts(rest.values_list("case__desk").annotate(Count("pk")))
    return [_desk(desk, cases.get(pk, 0), resting.get(pk, 0), measured.get(pk), percent) for pk, desk in found.items()]


def _counts(rows: Iterable[tuple[UUID, int]]) -> dict[UUID, int]:
    return dict(rows)


def _desk(desk: "Desk", cases: int, resting: int, row: Evaluation | None, percent: int) -> DeskHelp:
    if row is None:
        return DeskHelp(desk=desk, cases=cases, resting=resting, measured=None)
    figures = row.figures
    said, held = figures["said"], figures["holdout"]
    return DeskHelp(
        desk=desk,
        cases=cases,
        resting=resting,
        measured=row,
        catches=help_words.catches(figures),
        repeats=help_words.figure(figures["repeats"]),
        lines=tuple(_line(one) for one in figures["warnings"]),
        dismissed=help_words.figure(said["dismissed"]),
        shown=said["shown"],
        held_out=help_words.compared(held, percent=percent),
        lost_shown=help_words.figure(held["shown"]["of_proposals"]),
        lost_withheld=help_words.figure(held["withheld"]["of_proposals"]),
        mixed=held["mixed"],
    )


def _line(row: Mapping[str, Any]) -> WarningLine:
    name, goes_by = help_words.WARNINGS[row["warning"]]
    return WarningLine(
        name=name,
        goes_by=goes_by,
        own=row["warning"] in OWN,
        cells=tuple((label, help_words.share(row[key]), help_words.counts(row[key])) for key, label in CELLS.items()),
    )
