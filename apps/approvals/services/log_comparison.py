"""Every row that decides about money against what the log says became of it; and an alarm where it differs.

`audit_verify` says whether the log is what was written. This says whether the tables are what the log tells.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import chain
from typing import Any, Final
from uuid import UUID

from apps.approvals.models import Vote
from apps.audit.selectors import facts_in
from apps.audit.services import alarms
from apps.audit.services.reports import FINDINGS_MAX, Finding
from apps.common.snapshots import one_moment
from apps.trades.services import log_comparison
from apps.trades.services.endings import stream_of
from apps.trades.services.log_comparison import Progress

ALARM: Final = "ROWS_DIFFER_FROM_LOG"
SUBJECT: Final = "audit:rows"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How many proposals and votes were compared, and where they are not what the log says: the first 1,000 places."""

    proposals: int
    votes: int
    findings: tuple[Finding, ...]
    cut_off: bool

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def compare(*, progress: Progress) -> Report:
    """Hold proposals, votes, authorities, orders, fills and reservations against their events. Changes nothing.

    `progress` is told how many of how many proposals are done.
    """
    counted = {"proposals": 0, "votes": 0}

    def said(done: int, whole: int | None) -> None:
        counted["proposals"] = done
        progress(done, whole)

    found: list[Finding] = []
    for finding in chain(log_comparison.findings(progress=said), _of_votes(counted)):
        if len(found) == FINDINGS_MAX:
            return Report(**counted, findings=tuple(found), cut_off=True)
        found.append(finding)
    return Report(**counted, findings=tuple(found), cut_off=False)


def watch(*, now: datetime) -> Report:
    """Compare everything. An alarm says where the first difference is; it is over when nothing differs any more."""
    report = compare(progress=lambda done, whole: None)
    if report.findings:
        message = f"{report.findings[0]} In all {len(report.findings)}: run manage.py audit_rows."
        alarms.raise_alarm(code=ALARM, subject=SUBJECT, message=message, now=now)
    else:
        alarms.clear_alarm(code=ALARM, subject=SUBJECT, now=now)
    return report


def _of_votes(counted: dict[str, int]) -> Iterator[Finding]:
    """By proposals with votes, and by votes that the log tells of and that have no row."""
    last: UUID | None = None
    while ids := log_comparison.next_proposals(last):
        with one_moment():
            yield from _of_proposals(ids, counted)
        last = ids[-1]


def _of_proposals(ids: Sequence[UUID], counted: dict[str, int]) -> Iterator[Finding]:
    facts = facts_in([stream_of(pk) for pk in ids], kinds=[f"vote.{verb.value.lower()}" for verb in Vote.Verb])
    told = {
        str(fact["payload"].get("vote")): fact  # type: ignore[attr-defined]  # as `_cast` writes it
        for fact in chain.from_iterable(facts.values())
        if isinstance(fact.get("payload"), dict)
    }
    for vote in Vote.objects.filter(proposal__in=ids):
        counted["votes"] += 1
        place = f"vote {vote.pk}"
        if (said := told.pop(str(vote.pk), None)) is None:
            yield Finding("VOTE_UNTOLD", place, "The log tells nothing of it.")
        elif _word(vote) != _word_told(said):
            yield Finding("VOTE_DIFFERS", place, f"It is {_word(vote)}, and the log says {_word_told(said)}.")
    for name, said in told.items():
        yield Finding("VOTE_MISSING", f"vote {name}", f"The log tells of it ({said['kind']}), and there is no row.")


def _word(vote: Vote) -> tuple[str, ...]:
    return (
        *(str(vote.proposal_id), f"vote.{vote.verb.lower()}", str(vote.approver_id)),
        *(vote.digest, str(vote.policy_version_id), vote.comment),
    )


def _word_told(fact: Mapping[str, Any]) -> tuple[str, ...]:
    actor, payload = fact["actor"], fact["payload"]
    return (
        *(fact["subject"], fact["kind"], actor["id"]),
        *(payload["digest"], payload["policy_version"], payload["comment"]),
    )
