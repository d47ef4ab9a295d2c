"""Lists of the console that cost the same with a million rows: how they are counted, searched and filtered.

A search tells what a term can be before it asks: an id is looked for in ids and text in texts, as the columns hold
them, so that each is a place in an index. `search_fields` are written as for Django: `=` whole, `^` from the beginning.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from django.contrib.admin import ChoicesFieldListFilter, ModelAdmin, RelatedOnlyFieldListFilter
from django.core.exceptions import FieldDoesNotExist
from django.core.paginator import Paginator
from django.db import models
from django.db.models import Exists, Model, OuterRef, Q, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest
from django.utils.functional import cached_property

# So many rows are counted and can be paged through; beyond them one searches or filters.
COUNTED_MAX: Final = 1_000
# So many rows of another table are named by their ids; of a term that fits more of them, many rows are found soon.
NAMED_MAX: Final = 200
BIGINT_MAX: Final = 2**63 - 1


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # generic in its stubs only
    """Counts no further than `COUNTED_MAX`: counting all rows means reading them."""

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        if not isinstance(rows, QuerySet):
            return len(rows)
        return rows.order_by()[:COUNTED_MAX].count()

    @property
    def is_cut(self) -> bool:
        """Whether there may be more rows than can be paged through."""
        return self.count >= COUNTED_MAX


class SeenRelatedFilter(RelatedOnlyFieldListFilter):
    """The related rows that some row of the list points to: each is asked for one, instead of reading the list."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: "ModelAdmin[Any]") -> list[Any]:
        pointing = model_admin.get_queryset(request).filter(**{self.field_path: OuterRef("pk")}).order_by()
        related = field.remote_field.model._default_manager.filter(Exists(pointing))
        ordering = self.field_admin_ordering(field, request, model_admin)
        return [(str(row.pk), str(row)) for row in related.order_by(*ordering)]


def among(values: type[StrEnum]) -> type[ChoicesFieldListFilter]:
    """A filter of a column that holds one of `values`, for one without choices: they are known and not read off it."""

    class Among(ChoicesFieldListFilter):
        def choices(self, changelist: Any) -> Iterator[Any]:
            yield self._choice(changelist, None, "All")
            for value in values:
                yield self._choice(changelist, value.value, value.value)

        def _choice(self, changelist: Any, value: str | None, said: str) -> dict[str, Any]:
            new = {self.lookup_kwarg: value} if value is not None else {}
            selected = self.lookup_val is None if value is None else value in (self.lookup_val or ())
            query = changelist.get_query_string(new, [self.lookup_kwarg, self.lookup_kwarg_isnull])
            return {"selected": selected, "query_string": query, "display": said}

    return Among


def searched(rows: QuerySet[Any], fields: "list[str] | tuple[str, ...]", bits: list[str]) -> QuerySet[Any]:
    """The rows that have every one of `bits` in one of `fields`."""
    for bit in bits:
        found = [(path, condition) for spec in fields for path, condition in _meant(rows.model, spec, bit)]
        rows = rows.filter(_any(rows.model, found)) if found else rows.none()
    return rows


def _meant(model: type[Model], spec: str, bit: str) -> Iterator[tuple[str, Q]]:
    """The relation that leads to the field and the condition on it; nothing where the term cannot be a value of it."""
    kind, name = (spec[0], spec[1:]) if spec[0] in "=^" else ("", spec)
    path, _, last = name.rpartition(LOOKUP_SEP)
    field = field_of(model, name)
    if kind == "=" and isinstance(field, models.UUIDField):
        if (found := _uuid(bit)) is not None:
            yield path, Q(**{last: found})
    elif kind == "=" and isinstance(field, models.IntegerField):
        if bit.isascii() and bit.isdigit() and int(bit) <= BIGINT_MAX:
            yield path, Q(**{last: int(bit)})
    elif kind == "=":
        yield path, Q(**{f"{last}__in": spellings(bit)})
    elif kind == "^":
        if _uuid(bit) is None:
            yield path, Q.create([(f"{last}__startswith", one) for one in spellings(bit)], connector=Q.OR)
    else:
        yield path, Q(**{f"{last}__icontains": bit})


def field_of(model: type[Model], name: str) -> "models.Field[Any, Any]":
    """The field at the end of a path, such as `order__proposal__id`. Raises FieldDoesNotExist."""
    *way, last = name.split(LOOKUP_SEP)
    for step in way:
        related = model._meta.get_field(step).related_model
        if not isinstance(related, type):
            raise FieldDoesNotExist(name)
        model = related
    found = model._meta.get_field(last)
    if not isinstance(found, models.Field):
        raise FieldDoesNotExist(name)
    return found


def _any(model: type[Model], found: list[tuple[str, Q]]) -> Q:
    """Any of the conditions. Where they are on other tables, few rows of those become ids: no index serves an OR across
    a join, and how many rows point to a row of another table is known for an id only."""
    parts: list[Any] = []
    for path in sorted({path for path, _condition in found}):
        here = Q.create([condition for at, condition in found if at == path], connector=Q.OR)
        related: Any = field_of(model, path).related_model if path else None
        if related is None or _is_key(related, here):
            parts.append(_under(path, here))
            continue
        ids = list(related._base_manager.filter(here).values_list("pk", flat=True)[: NAMED_MAX + 1])
        parts.append(Q(**{f"{path}__in": ids}) if len(ids) <= NAMED_MAX else _under(path, here))
    return Q.create(parts, connector=Q.OR)


def _is_key(related: type[Model], condition: Q) -> bool:
    """Whether it asks for the primary key alone, which the rows that point there repeat."""
    return all(isinstance(child, tuple) and child[0] in ("pk", related._meta.pk.name) for child in _leaves(condition))


def _leaves(condition: Q) -> Iterator[Any]:
    for child in condition.children:
        if isinstance(child, Q):
            yield from _leaves(child)
        else:
            yield child


def _under(path: str, condition: Q) -> Q:
    """The condition, on the row that `path` leads to."""
    if not path:
        return condition
    children: list[Any] = [
        _under(path, child) if isinstance(child, Q) else (f"{path}{LOOKUP_SEP}{child[0]}", child[1])  # type: ignore[index]
        for child in condition.children
    ]
    return Q.create(children, connector=condition.connector, negated=condition.negated)


def spellings(bit: str) -> list[str]:
    """As typed, and as codes and names are written: an index knows nothing of upper and lower case."""
    return sorted({bit, bit.upper(), bit.lower()})


def _uuid(bit: str) -> UUID | None:
    try:
        return UUID(bit)
    except ValueError:
        return None
