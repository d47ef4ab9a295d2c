"""Cases as trades hand them over: valid by default, made by the service."""

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID

import factory
from django.db import transaction

from apps.accounts.models import Desk, User
from apps.lessons.models import Case, Lesson, Recall, RecallItem
from apps.lessons.rules import results
from apps.lessons.services import taking_out
from apps.lessons.services.cases import remember
from apps.lessons.types import CaseSource, ClosedTrade, Fact, MistakeTag, Plan, RecallPurpose, TagFound, TagSource
from tests.factories.accounts import LONG_AGO, DeskFactory

_numbers = count(1)

NO_STOP = TagFound(tag=MistakeTag.NO_STOP, source=TagSource.RULE, because="no resting stop")
REVENGE = TagFound(tag=MistakeTag.REVENGE, source=TagSource.REPORTED, confidence=Decimal("0.7"))
TOO_TIGHT = Fact(name="stop_distance", value=Decimal("0.4"), unit="ATR", limit=Decimal(1), violated=True)
OVERSIZED = Fact(name="size_of_limit", value=Decimal("0.5"), unit="", limit=Decimal("0.9"), violated=False)


def closed_trade(*, desk: Desk, **changes: Any) -> ClosedTrade:
    """A loss of 1.27 R, bought and stopped out, unless told otherwise. `pnl` may be given alone: R and % follow."""
    closed_at: datetime = changes.get("closed_at", LONG_AGO + timedelta(hours=9))
    plan = changes.get("plan") or Plan(
        thesis="Support held twice at 2,000; buying the third touch.",
        setup="support",
        entry=Decimal(2000),
        stop=Decimal(1990),
        target=Decimal(2030),
        risk=Decimal(10),
    )
    pnl = changes.get("pnl", Decimal("-12.70"))
    values: dict[str, Any] = {
        "source": CaseSource.OUTCOME,
        "source_id": f"outcome:{next(_numbers)}",
        "desk": desk.pk,
        "environment": "paper",
        "product": "ETH-USD",
        "asset_class": "crypto",
        "side": "BUY",
        "quantity": Decimal(1),
        "quote_currency": "USD",
        "entry_price": Decimal(2000),
        "exit_price": Decimal("1988.30"),
        "fees": Decimal(1),
        "pnl": pnl,
        "pnl_pct": None if pnl is None else results.ratio(100 * pnl, Decimal(2000)),
        "r_multiple": results.r_multiple(pnl=pnl, risk=plan.risk),
        "mfe_r": Decimal("0.30"),
        "mae_r": Decimal("-1.40"),
        "opened_at": closed_at - timedelta(minutes=51),
        "closed_at": closed_at,
        "plan": plan,
        "exit_reason": "stop",
        "regime": "trend_down",
        "notes": "",
        "facts": (TOO_TIGHT, OVERSIZED),
        "tags": (NO_STOP,),
    }
    return ClosedTrade(**(values | changes))


def remembered(trade: ClosedTrade, *, now: datetime | None = None) -> Case:
    """The case of this trade, in a transaction of its own."""
    with transaction.atomic():
        return remember(trade=trade, now=now or trade.closed_at)


def confirmed(lesson: Lesson, by: User, now: datetime) -> Lesson:
    """What was proposed to take this lesson out of the evidence, confirmed by this person."""
    seen = Lesson.objects.values_list("version", flat=True).get(pk=lesson.pk)
    return taking_out.confirm(lesson_id=lesson.pk, reviewer=by, version=seen, now=now)


class CaseFactory(factory.Factory[Case]):
    """`CaseFactory(desk=..., pnl=...)`: a closed trade, remembered. Takes what `closed_trade` takes."""

    class Meta:
        model = Case

    @classmethod
    def _create(cls, model_class: type[Case], *args: Any, **kwargs: Any) -> Case:
        desk, now = kwargs.pop("desk", None) or DeskFactory(), kwargs.pop("now", None)
        return remembered(closed_trade(desk=desk, **kwargs), now=now)


class LessonFactory(factory.Factory[Lesson]):
    """The lesson of such a case, which lost."""

    class Meta:
        model = Lesson

    @classmethod
    def _create(cls, model_class: type[Lesson], *args: Any, **kwargs: Any) -> Lesson:
        return Lesson.objects.select_related("case").get(case=CaseFactory(**kwargs))


def recalled_item(lesson: Lesson, *, proposal_id: UUID, viewer: User, now: datetime) -> RecallItem:
    """This lesson as a person was shown it beside a proposal."""
    recall = Recall.objects.create(
        desk=lesson.case.desk, purpose=RecallPurpose.PAGE, viewer=viewer, proposal_id=proposal_id, asked_at=now
    )
    return RecallItem.objects.create(recall=recall, case=lesson.case, rank=1, score=1)
