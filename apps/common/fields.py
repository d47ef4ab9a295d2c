"""The exact decimal column: the same number on both databases, to the last digit."""

from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from django import forms
from django.core.exceptions import FieldError, ValidationError
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.aggregates import Aggregate
from django.db.models.expressions import CombinedExpression, Window

from apps.common.decimals import INTEGER_DIGITS_MAX, PLACES_MAX, decimal_text, parse_decimal
from apps.common.errors import Invalid

LOOKUPS = frozenset({"exact", "in", "isnull"})

_ST = TypeVar("_ST", contravariant=True)
_GT = TypeVar("_GT", covariant=True)

if TYPE_CHECKING:
    _Field = models.Field
else:

    class _Field(models.Field, Generic[_ST, _GT]):
        """Django's Field knows its two types only to the type checker."""


class ExactDecimalFormField(forms.CharField):
    """A decimal as the person typed it; cleans to Decimal."""

    def to_python(self, value: object) -> Decimal | None:  # type: ignore[override]  # CharField says str
        text = super().to_python(value)
        if text in self.empty_values:
            return None
        try:
            return parse_decimal(text, field=str(self.label or "This"))
        except Invalid as error:
            raise ValidationError(error.message, code=error.code) from error

    def prepare_value(self, value: object) -> object:
        return decimal_text(value) if isinstance(value, Decimal) and value.is_finite() else value


@lru_cache(maxsize=1024)
def _read(text: str) -> Decimal:
    """The number in normal form. Increments, limits and balances are read again and again."""
    return Decimal(decimal_text(Decimal(text)))


class ExactDecimalField(_Field[_ST, _GT]):
    """20 digits before the point and 18 after it: numeric(38,18) on PostgreSQL, canonical text on SQLite.

    SQLite's own decimal column keeps 15 digits and says nothing. Here text keeps them all, but text does not sort or
    add up as numbers do; so only exact, in and isnull may be looked up, and SQL sums, minima and maxima raise
    FieldError, on both databases alike. What SQL must compare is stored in minor units (`apps.common.money`). Ordering
    by this column is refused by a test and left out of admin lists (`apps.common.admin`).
    """

    description = "Exact decimal (38 digits, 18 places)"
    _pyi_private_set_type: Decimal | int
    _pyi_private_get_type: Decimal
    _pyi_lookup_exact_type: Decimal | int

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        return "numeric(38, 18)" if connection.vendor == "postgresql" else "text"

    def get_lookup(self, lookup_name: str) -> Any:
        if lookup_name not in LOOKUPS:
            raise FieldError(
                f"{self.name}: an exact decimal has no {lookup_name!r} lookup, SQLite would compare text. "
                "Compare in Python, or keep minor units in an integer column."
            )
        return super().get_lookup(lookup_name)

    def from_db_value(self, value: object, expression: object, connection: BaseDatabaseWrapper) -> Decimal | None:
        if isinstance(expression, Aggregate | CombinedExpression | Window):
            raise FieldError(f"{self.name}: exact decimals are not computed in SQL; use apps.common.money.total.")
        if value is None:
            return None
        if isinstance(value, str):
            return _read(value)
        if isinstance(value, Decimal):
            return Decimal(decimal_text(value))
        raise TypeError(f"{self.name}: the database returned a {type(value).__name__}, not an exact decimal.")

    def to_python(self, value: object) -> Decimal | None:
        """The number in normal form. Raises ValidationError for floats, NaN, infinities and what does not fit."""
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
            raise ValidationError(f"{self.name}: a {type(value).__name__} is not exact.", code="DECIMAL_NOT_TEXT")
        try:
            number = value if isinstance(value, str) else decimal_text(Decimal(value))
            return parse_decimal(number, field=str(self.name))
        except Invalid as error:
            raise ValidationError(error.message, code=error.code) from error
        except (ValueError, InvalidOperation) as error:
            raise ValidationError(f"{self.name}: {error}", code="DECIMAL_MALFORMED") from error

    def get_prep_value(self, value: Any) -> Any:
        prepared = super().get_prep_value(value)
        if hasattr(prepared, "as_sql"):
            return prepared
        try:
            return self.to_python(prepared)
        except ValidationError as error:
            raise ValueError(error.messages[0]) from error

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> Any:
        number = value if prepared else self.get_prep_value(value)
        if isinstance(number, Decimal) and connection.vendor != "postgresql":
            return decimal_text(number)
        return number

    def value_to_string(self, obj: models.Model) -> str:
        number = self.to_python(self.value_from_object(obj))
        return "" if number is None else decimal_text(number)

    def formfield(self, **kwargs: Any) -> forms.Field | None:
        return super().formfield(**{"form_class": ExactDecimalFormField, **kwargs})


assert INTEGER_DIGITS_MAX + PLACES_MAX == 38  # noqa: S101  the column type above says the same numbers
