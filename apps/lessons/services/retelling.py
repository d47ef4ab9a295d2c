"""What is told of a case follows from what is known of it: its summary, its texts, and the hash of what is indexed."""

from datetime import datetime
from typing import Final

from apps.common import canonical
from apps.lessons.models import Case, Lesson
from apps.lessons.rules import summaries
from apps.lessons.rules.kept_facts import facts_of
from apps.lessons.services import outbox
from apps.lessons.types import CaseVerdict, EntryKind, Result

_INDEXED: Final = "aika.case-point/1"
TELLING: Final = ("summary", "summary_version", "thesis_text", "narrative_text", "content_hash")
"""The columns of a case that `retell` writes."""


def retell(case: Case, lesson: Lesson | None) -> None:
    """Write the summary, the texts and their hash into the case; the caller saves it."""
    story = story_of(case, lesson)
    case.summary, case.summary_version = summaries.summary(story), summaries.SUMMARY_VERSION
    case.thesis_text = summaries.thesis_text(story)
    case.narrative_text = summaries.narrative_text(story)
    case.content_hash = content_hash(case)


def content_hash(case: Case) -> str:
    """SHA-256 of all that the index holds of a case: its texts, and what a search is narrowed by."""
    return canonical.digest(
        canonical.encode(
            _INDEXED,
            {
                "thesis": case.thesis_text,
                "narrative": case.narrative_text,
                "desk": case.desk_id,
                "result": str(case.result),
                "product": case.product,
                "asset_class": case.asset_class,
                "side": case.side,
                "closed_at": case.closed_at,
            },
        )
    )


def index(case: Case, *, now: datetime) -> None:
    """Have the case embedded as it is told now."""
    outbox.enqueue(kind=EntryKind.CASE, subject=case.pk, content_hash=case.content_hash, now=now)


def story_of(case: Case, lesson: Lesson | None) -> summaries.Story:
    """The case as the rules that tell it take it. What did not lose teaches nothing."""
    teaching = lesson if lesson is not None and case.result == Result.LOST else None
    return summaries.Story(
        result=Result(case.result),
        product=case.product,
        side=case.side,
        quantity=case.quantity,
        entry_price=case.entry_price,
        exit_price=case.exit_price,
        exit_reason=case.exit_reason,
        opened_at=case.opened_at,
        closed_at=case.closed_at,
        regime=case.regime,
        r_multiple=case.r_multiple,
        mfe_r=case.mfe_r,
        mae_r=case.mae_r,
        thesis=case.thesis,
        notes=case.notes,
        facts=facts_of(case.facts),
        verdict=CaseVerdict(case.verdict),
        teaches=teaching is not None,
        cause=teaching.cause if teaching else "",
        next_time=teaching.next_time if teaching else "",
    )
