"""What was recalled as the API says it: texts, small integers and flags."""

from decimal import Decimal

from apps.common.decimals import instant_text
from apps.lessons.recall_types import SURE, RecallAnswer, Remembered
from apps.lessons.types import Evidence
from apps.trades.selectors.records import Record, identity, number

_PLACES = Decimal("0.000001")


def recall_record(found: RecallAnswer, *, explain: bool = False) -> Record:
    """An answer of the memory; `components` say what each score is made of, where asked for."""
    index = found.index
    return {
        "recall_id": identity(found.id),
        "withheld": found.withheld,
        "known": found.is_known,
        "results": [result_record(one, explain=explain) for one in found.results],
        "evidence": None if found.evidence is None or found.withheld else evidence_record(found.evidence),
        "index": {
            "space": index.space,
            "collection": index.collection,
            "degraded": index.degraded,
            "reason": index.reason,
            "pending": index.pending,
            "lag_s": index.lag_s,
        },
    }


def result_record(one: Remembered, *, explain: bool) -> Record:
    """One remembered trade. `lesson_id` is null for one that won."""
    return {
        "item_id": str(one.item),
        "lesson_id": identity(one.lesson),
        "case_id": str(one.case),
        "trade_id": one.trade,
        "proposal_id": identity(one.proposal_id),
        "rank": one.rank,
        "score": number(one.score),
        "components": dict(one.components) if explain else None,
        "matched": {"tags": list(one.tags), "facts": list(one.facts)},
        "counter_example": one.is_counter_example,
        "result": one.result,
        "verdict": one.verdict,
        "product": one.product,
        "side": one.side,
        "summary": one.summary,
        "pnl": number(one.pnl),
        "currency": one.currency,
        "r_multiple": number(one.r_multiple),
        "next_time": one.next_time,
        "closed_at": instant_text(one.closed_at),
        "review_state": one.review_state or None,
    }


def evidence_record(found: Evidence) -> Record:
    """The count. With `n` 0 nothing is known, and that is no sign of safety."""
    rate = Decimal(found.losses) / found.n if found.n else None
    return {
        "n": found.n,
        "losses": found.losses,
        "wins": found.wins,
        "loss_rate": None if rate is None else number(rate.quantize(_PLACES)),
        "base_rate": number(found.base_rate),
        "p_above_base": number(found.p_above_base),
        "worst_r": number(found.worst_r),
        "window_days": found.window_days,
        "threshold": number(SURE),
        "case_ids": [str(one) for one in found.case_ids],
        "unknown_facts": list(found.unknown_facts),
        "sentence": sentence(found),
    }


def sentence(found: Evidence) -> str:
    """The count in words."""
    if not found.n:
        return f"No comparable trades (n=0) in {found.window_days} days. That is not a sign of safety."
    said = f"{found.losses} of {found.n} comparable trades lost in {found.window_days} days."
    if found.base_rate is None:
        return said
    return f"{said} Of this desk's other trades {int(found.base_rate * 100 + Decimal('0.5'))} % lose."
