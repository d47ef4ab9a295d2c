"""Lessons as plain records: texts, small integers and flags, as the API says them."""

from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from apps.common.decimals import decimal_text, instant_text
from apps.lessons.models import Case, Lesson, RecallFeedback
from apps.lessons.rules import kept_facts
from apps.lessons.selectors.reviewing import taking_out_request

Record = dict[str, Any]
_FACT: Final = ("name", "value", "unit", "limit", "violated")


def lesson_record(lesson: Lesson, *, now: datetime) -> Record:
    """A lesson with the case it is of."""
    proposed = taking_out_request(lesson, now)
    case: Case = lesson.case
    return {
        "id": str(lesson.pk),
        "case_id": str(case.pk),
        "state": lesson.state,
        "version": lesson.version,
        "severity": decimal_text(lesson.severity),
        "cause": lesson.cause,
        "next_time": lesson.next_time,
        "reviewed_by": lesson.reviewed_by.shown_name if lesson.reviewed_by else "",
        "reviewed_at": _instant(lesson.reviewed_at),
        "review_note": lesson.review_note,
        "superseded_by": _id(lesson.superseded_by_id),
        "trade_id": case.source_id,
        "proposal_id": _id(case.proposal_id),
        "result": case.result,
        "verdict": case.verdict,
        "counts": case.counts,
        "proposed": "" if proposed is None else proposed.summary,
        "product": case.product,
        "side": case.side,
        "quantity": decimal_text(case.quantity),
        "entry_price": _number(case.entry_price),
        "exit_price": decimal_text(case.exit_price),
        "pnl": _number(case.pnl),
        "fees": decimal_text(case.fees),
        "currency": case.quote_currency,
        "r_multiple": _number(case.r_multiple),
        "summary": case.summary,
        "thesis": case.thesis,
        "tags": [
            {
                "tag": row.tag,
                "source": row.source,
                "counts": row.counts,
                "disputed": row.disputed,
                "because": row.because,
            }
            for row in case.tags.all()
        ],
        "facts": kept_facts.shown(case.facts),
        "opened_at": _instant(case.opened_at),
        "closed_at": instant_text(case.closed_at),
    }


def feedback_record(said: RecallFeedback) -> Record:
    """What one person said of one recalled case."""
    return {
        "item_id": str(said.item_id),
        "verdict": said.verdict,
        "reason": said.reason,
        "said_at": instant_text(said.said_at),
    }


def _number(value: Decimal | None) -> str | None:
    return None if value is None else decimal_text(value)


def _instant(value: datetime | None) -> str | None:
    return None if value is None else instant_text(value)


def _id(value: UUID | None) -> str | None:
    return None if value is None else str(value)
