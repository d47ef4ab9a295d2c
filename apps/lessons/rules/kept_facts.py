"""Facts as they are kept beside a proposal and beside a case, and as they are shown: one form for all of them."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from apps.common.decimals import decimal_text
from apps.lessons.types import Fact

_SHOWN: Final = ("name", "value", "unit", "limit", "violated")


def rows_of(facts: Iterable[Fact]) -> list[dict[str, Any]]:
    """As JSON: decimals as text, `told` only where it is so."""
    return [
        {
            "name": fact.name,
            "value": None if fact.value is None else decimal_text(fact.value),
            "unit": fact.unit,
            "limit": None if fact.limit is None else decimal_text(fact.limit),
            "violated": fact.violated,
            **({"told": True} if fact.told else {}),
        }
        for fact in facts
    ]


def facts_of(rows: Sequence[Mapping[str, Any]]) -> tuple[Fact, ...]:
    """Kept facts as values again."""
    return tuple(
        Fact(
            name=row["name"],
            value=None if row["value"] is None else Decimal(row["value"]),
            unit=row["unit"],
            limit=None if row["limit"] is None else Decimal(row["limit"]),
            violated=row["violated"],
            told=bool(row.get("told")),
        )
        for row in rows
    )


def shown(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Kept facts for an answer of the API: `told` on each."""
    return [{name: row.get(name) for name in _SHOWN} | {"told": bool(row.get("told"))} for row in rows]
