"""What stands beside tags and broken facts is what their case says, whoever writes it and however."""

from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from apps.accounts.models import Desk
from apps.lessons import weighed
from apps.lessons.models import Case, CaseTag, CaseViolation
from apps.lessons.types import MistakeTag, TagSource

pytestmark = pytest.mark.django_db
ROWS = (CaseTag, CaseViolation)


@pytest.fixture
def case(desk: Desk, now: Any) -> Case:
    return Case.objects.create(
        source="OUTCOME", source_id="weighed", desk=desk, environment="paper", product="BTC-USD", asset_class="crypto",
        side="BUY", quantity=1, quote_currency="USD", exit_price=1, result="LOST", verdict="PROCESS_ERROR",
        r_multiple=Decimal("-1.123456789012345678"), proposal_id=uuid4(), summary="-", content_hash="0" * 64,
        closed_at=now, created_at=now, updated_at=now,
    )  # fmt: skip


def said(case: Case) -> tuple[Any, ...]:
    case.refresh_from_db()
    ended = case.result in ("WON", "LOST")
    return (
        case.counts and ended,
        case.result == "LOST",
        case.source == "REPORTED",
        case.verdict,
        case.proposal_id,
        case.r_multiple,
    )


def repeated(model: Any, case: Case) -> list[tuple[Any, ...]]:
    return list(model.objects.filter(case=case).values_list(*weighed.COPIES.split(", ")))


def written(case: Case) -> None:
    beside = {"case": case, "desk_id": case.desk_id, "closed_at": case.closed_at}
    CaseTag.objects.create(**beside, tag=MistakeTag.CHOP, source=TagSource.RULE, counts=True)
    CaseTag.objects.bulk_create([CaseTag(**beside, tag=MistakeTag.NO_STOP, source=TagSource.RULE)])
    CaseViolation.objects.bulk_create([CaseViolation(**beside, fact=name) for name in ("spread", "chase")])


def test_rows_say_what_their_case_says_from_the_first(case: Case) -> None:
    written(case)
    for model in ROWS:
        assert repeated(model, case) == [said(case)] * 2
    assert said(case)[:3] == (True, True, False)


@pytest.mark.parametrize(
    "change",
    [
        {"counts": False},
        {"result": "WON"},
        {"result": "FLAT"},
        {"source": "REPORTED"},
        {"verdict": "DATA"},
        {"proposal_id": None},
        {"r_multiple": Decimal("-2.5")},
        {"r_multiple": None, "counts": False},
    ],
)
def test_they_follow_a_case_that_is_saved_or_updated_and_no_other_case(case: Case, change: dict[str, Any]) -> None:
    written(case)
    other = Case.objects.get(pk=case.pk)
    other.pk, other.source_id = uuid4(), "another"
    other.save(force_insert=True)
    written(other)
    before = said(case)

    Case.objects.filter(pk=case.pk).update(**change)
    assert said(case) != before
    for model in ROWS:
        assert repeated(model, case) == [said(case)] * 2
        assert repeated(model, other) == [said(other)] * 2 == [before] * 2

    for name in change:
        setattr(case, name, getattr(other, name))
    case.save()
    for model in ROWS:
        assert repeated(model, case) == [before] * 2


def test_what_is_written_over_them_does_not_hold(case: Case) -> None:
    written(case)
    row = CaseTag.objects.filter(case=case).earliest("pk")
    row.lost, row.verdict = False, "DATA"
    row.save()
    CaseViolation.objects.filter(case=case).update(weighs=False, told=True)
    for model in ROWS:
        assert repeated(model, case) == [said(case)] * 2


def test_without_the_triggers_they_would_not_follow(case: Case) -> None:
    weighed.uninstall(connection)
    try:
        written(case)
        assert repeated(CaseTag, case) != [said(case)] * 2
    finally:
        weighed.install(connection)
    CaseTag.objects.filter(case=case).update(weighs=True)
    assert repeated(CaseTag, case) == [said(case)] * 2
