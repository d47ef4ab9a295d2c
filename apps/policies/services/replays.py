"""Stored decisions judged again: the same inputs must give the same bytes, or the code has changed its meaning."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import QuerySet

from apps.audit.selectors import open_alarms
from apps.audit.services import alarms
from apps.common import canonical
from apps.common.errors import AikaError
from apps.policies.models import Decision
from apps.policies.rules import EVALUATOR_VERSION, replay, results_bytes

_CHUNK = 500
ALARM: Final = "DECISION_NOT_REPRODUCED"
SUBJECT: Final = "policy:decisions"
# A day, and an hour for a turn of the schedule that comes late.
WATCHED: Final = timedelta(hours=25)
# Some minutes of work. Of more in a day the newest are judged again.
WATCHED_MAX: Final = 200_000


@dataclass(frozen=True, slots=True)
class Differing:
    """A decision that cannot be reproduced, and how."""

    decision: str
    problem: str


@dataclass(frozen=True, slots=True)
class Report:
    """How many were replayed, which differ, and how many another evaluator made, which are left alone."""

    checked: int
    differing: tuple[Differing, ...]
    other_evaluator: int

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def replay_all(*, since: datetime | None, progress: Callable[[int, int], None]) -> Report:
    """Replay every decision (from `since` on), oldest first; `progress` is told how many of how many are done."""
    rows = Decision.objects.order_by("decided_at", "id")
    return _replay(rows if since is None else rows.filter(decided_at__gte=since), progress)


def watch(*, now: datetime) -> Report:
    """Replay what was decided in the last day, at most 200,000 decisions of it, the newest first.

    An alarm says which differs. While it stands, what it was raised for is replayed too: growing old does not end it.
    """
    alarm = open_alarms().filter(code=ALARM, subject=SUBJECT).first()
    since = (now if alarm is None else alarm.since) - WATCHED
    rows = Decision.objects.filter(decided_at__gte=since).order_by("-decided_at", "-id")
    report = _replay(rows[:WATCHED_MAX], lambda done, total: None)
    if report.differing:
        first = report.differing[0]
        message = f"Decision {first.decision}: {first.problem} In all {len(report.differing)}: run replay_decisions."
        alarms.raise_alarm(code=ALARM, subject=SUBJECT, message=message, now=now)
    elif report.checked + report.other_evaluator < WATCHED_MAX:
        alarms.clear_alarm(code=ALARM, subject=SUBJECT, now=now)
    return report


def _replay(rows: QuerySet[Decision], progress: Callable[[int, int], None]) -> Report:
    total, checked, other = rows.count(), 0, 0
    differing: list[Differing] = []
    for done, decision in enumerate(rows.iterator(chunk_size=_CHUNK), start=1):
        if decision.evaluator_version != EVALUATOR_VERSION:
            other += 1
        else:
            checked += 1
            if problem := problem_of(decision):
                differing.append(Differing(str(decision.pk), problem))
        progress(done, total)
    return Report(checked, tuple(differing), other)


def problem_of(decision: Decision) -> str:
    """What is wrong with a decision in words; empty where its inputs give its results, byte for byte."""
    inputs = bytes(decision.inputs)
    if canonical.digest(inputs) != decision.inputs_digest:
        return "The inputs are not those their digest names."
    try:
        evaluation = replay(inputs)
    except (ValueError, AikaError) as error:
        return f"The inputs cannot be read: {error}"
    if evaluation.outcome != decision.outcome:
        return f"The outcome is {evaluation.outcome}, and {decision.outcome} is stored."
    if results_bytes(evaluation) != bytes(decision.results):
        return "The outcome is the same, and its lines differ."
    return ""
