"""What detectors measured of a case, as it was stored."""

from collections.abc import Mapping
from decimal import Decimal

from apps.lessons.models import Case
from apps.lessons.types import Fact


def facts_of(case: Case) -> tuple[Fact, ...]:
    """The facts of a case as they were stored."""
    return tuple(_fact(row) for row in case.facts)


def _fact(row: Mapping[str, object]) -> Fact:
    value, limit, violated = row["value"], row["limit"], row["violated"]
    return Fact(
        name=str(row["name"]),
        value=None if value is None else Decimal(str(value)),
        unit=str(row["unit"]),
        limit=None if limit is None else Decimal(str(limit)),
        violated=None if violated is None else bool(violated),
        told=bool(row.get("told")),
    )
