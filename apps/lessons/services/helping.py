"""Measuring whether lessons help: would a warning have caught the losses that repeated, what do people say of what they
are shown, and do proposals that see lessons lose less often than those held out."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache, partial
from typing import Any, Final
from uuid import UUID

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from apps.common import canonical
from apps.lessons import embeddings
from apps.lessons.models import Evaluation
from apps.lessons.rules import evidence, holdout, shares, walkforward, warnings
from apps.lessons.rules.shares import Difference, Figure, share_of
from apps.lessons.rules.walkforward import Judged, Measured
from apps.lessons.rules.warnings import WarningKind
from apps.lessons.selectors import past
from apps.lessons.selectors.index import active_space

CODE_CHARS: Final = 12
_PLACES: Final = Decimal("0.0001")

Progress = Callable[[int, int], None]


def evaluate(
    *, now: datetime, as_of: datetime | None = None, progress: Progress = lambda done, total: None
) -> tuple[Evaluation, ...]:
    """Measure every desk that remembers anything, and keep each measurement as soon as it is made.

    `as_of` (now, if not given) is where the world ends: what closed, was said or recalled later is left out.
    `progress` hears how many trades are walked, of how many so far. Raises Misconfigured EMBEDDINGS_UNAVAILABLE.
    """
    until = as_of or now
    made: list[Evaluation] = []
    walked = 0
    for desk in past.desks_to_measure():
        row = _measured(desk, until, now, partial(_onwards, progress, walked))
        walked += row.cases
        row.save(force_insert=True)
        made.append(row)
    return tuple(made)


def _onwards(progress: Progress, before: int, done: int, total: int) -> None:
    progress(before + done, before + total)


@cache
def code_of_rules() -> str:
    """Which rules measure: the beginning of the SHA-256 of their text."""
    modules = (evidence, holdout, shares, walkforward, warnings)
    return canonical.digest("\n".join(inspect.getsource(one) for one in modules).encode())[:CODE_CHARS]


def _measured(desk: UUID, as_of: datetime, now: datetime, progress: Progress) -> Evaluation:
    space = active_space()
    trades, theses = past.past_of(desk, as_of=as_of, space=space.name if space else "")
    judged = walkforward.walk(
        trades,
        {str(kind): warn for kind, warn in warnings.all_of(_vectors(theses)).items()},
        as_of=as_of,
        tick=lambda done: progress(done, len(trades)),
    )
    rows = {kind: walkforward.measure(judged, kind) for kind in WarningKind}
    said = past.said_of(desk, as_of=as_of)
    compared = holdout.compare(past.answers_of(desk, as_of=as_of))
    everybody = rows[WarningKind.CHANCE]
    return Evaluation(
        desk_id=desk,
        as_of=as_of,
        space=space.name if space else "",
        code=code_of_rules(),
        cases=len(trades),
        judged=everybody.judged,
        repeats=everybody.recall.of,
        answered=said.useful + said.not_similar,
        held_out=compared.withheld.of_proposals.of,
        figures={
            **_span(judged),
            "repeats": _figure(share_of(everybody.recall.of, everybody.judged)),
            "warnings": [_row(kind, row) for kind, row in rows.items()],
            "said": {
                "shown": said.shown,
                "useful": said.useful,
                "dismissed": _figure(share_of(said.not_similar, said.useful + said.not_similar)),
            },
            "holdout": {
                "percent": settings.LESSONS_HOLDOUT_SHARE,
                "shown": _arm(compared.shown),
                "withheld": _arm(compared.withheld),
                "mixed": compared.mixed,
                "by": _difference(compared.by),
            },
        },
        made_at=now,
    )


def _vectors(theses: Mapping[UUID, str]) -> dict[UUID, NDArray[np.float32]]:
    """What is said in the theses, of those that say something the provider reads."""
    if not theses:
        return {}
    rows = embeddings.provider().embed_documents(list(theses.values()))
    return {case: row for case, row in zip(theses, rows, strict=True) if row.any()}


def _span(judged: Sequence[Judged]) -> dict[str, str | None]:
    """From when to when the trades that were judged were decided."""
    at = [one.trade.decided_at for one in judged if one.fired]
    return {"from": min(at).isoformat() if at else None, "until": max(at).isoformat() if at else None}


def _row(kind: WarningKind, row: Measured) -> dict[str, Any]:
    return {
        "warning": kind.value,
        "judged": row.judged,
        "recall": _figure(row.recall),
        "precision": _figure(row.precision),
        "false_alarms": _figure(row.false_alarms),
        "winners": _figure(row.winners),
    }


def _arm(arm: holdout.Arm) -> dict[str, Any]:
    return {"of_proposals": _figure(arm.of_proposals), "of_closed": _figure(arm.of_closed)}


def _figure(figure: Figure) -> dict[str, Any]:
    return {
        "hits": figure.hits,
        "of": figure.of,
        "share": _text(figure.share),
        "low": _text(figure.low),
        "high": _text(figure.high),
    }


def _difference(by: Difference) -> dict[str, str | None]:
    return {"by": _text(by.by), "low": _text(by.low), "high": _text(by.high)}


def _text(share: float | None) -> str | None:
    return None if share is None else f"{Decimal(repr(share)).quantize(_PLACES):f}"
