"""Strict reading of a rule's parameters. Used when a draft is saved, and again when the version is compiled."""

from collections.abc import Mapping
from decimal import Decimal

from apps.common.decimals import parse_decimal
from apps.common.errors import Invalid
from apps.common.money import MINOR_PLACES, minor_up

ITEMS_MAX = 500
WORD_CHARS_MAX = 64
BPS_MAX = Decimal(9_999)
WINDOW_S_MAX = 86_400
APPROVERS_MAX = 9
APPROVER_ROLES = frozenset({"approver", "risk", "trader", "operator"})
_ABSENT = object()


def invalid(field: str, message: str) -> Invalid:
    """The error every parameter shares; `field` names it."""
    return Invalid(
        "RULE_PARAMS_INVALID", message, fix="Correct the parameter; the kind's list says what it takes.", field=field
    )


class Params:
    """The parameters of one rule, taken one by one; `finish` refuses what nobody took.

    Every method raises Invalid RULE_PARAMS_INVALID with the parameter as its field.
    """

    def __init__(self, values: Mapping[str, object], where: str = "") -> None:
        if not isinstance(values, Mapping):
            raise invalid(where or "params", "Parameters are an object of names and values.")
        self._left = dict(values)
        self._where = where

    def _take(self, name: str) -> object:
        return self._left.pop(name, _ABSENT)

    def _field(self, name: str) -> str:
        return f"{self._where}{name}"

    def finish(self) -> None:
        """Refuse parameters the kind does not have: a typing error must not be read as "no limit"."""
        for name in sorted(map(str, self._left)):
            raise invalid(self._field(name), f'There is no parameter "{self._field(name)}".')

    def has(self, name: str) -> bool:
        """Whether the parameter is given and not null."""
        return self._left.get(name) is not None

    def amount(self, name: str) -> Decimal:
        """A number above zero with at most 8 places, small enough to be held against in minor units."""
        field = self._field(name)
        text = self._take(name)
        if text is _ABSENT or text is None:
            raise invalid(field, f'"{field}" is needed: a number in quotes, such as "250.00".')
        try:
            value = parse_decimal(text, field=field, places=MINOR_PLACES)
            minor_up(value)
        except Invalid as error:
            raise invalid(field, error.message) from None
        if value <= 0:
            raise invalid(field, f'"{field}" must be above zero.')
        return value

    def amount_or_none(self, name: str) -> Decimal | None:
        """As `amount`; None where it is not given."""
        if self.has(name):
            return self.amount(name)
        self._take(name)
        return None

    def bps(self, name: str) -> Decimal:
        """Basis points, above zero and below 10000."""
        value = self.amount(name)
        if value > BPS_MAX:
            raise invalid(self._field(name), f'"{self._field(name)}" must be below 10000 basis points.')
        return value

    def bps_or_none(self, name: str) -> Decimal | None:
        """As `bps`; None where it is not given."""
        if self.has(name):
            return self.bps(name)
        self._take(name)
        return None

    def fraction(self, name: str) -> Decimal:
        """A part of one, above zero and below one."""
        value = self.amount(name)
        if value >= 1:
            raise invalid(self._field(name), f'"{self._field(name)}" must be below 1, such as "0.95".')
        return value

    def whole(self, name: str, *, low: int, high: int, default: int | None = None) -> int:
        """A whole number as text, within its bounds."""
        field = self._field(name)
        text = self._take(name)
        if text is _ABSENT or text is None:
            if default is None:
                raise invalid(field, f'"{field}" is needed: a whole number in quotes, such as "60".')
            return default
        try:
            value = parse_decimal(text, field=field, integer_digits=9, places=0)
        except Invalid as error:
            raise invalid(field, error.message) from None
        if not low <= value <= high:
            raise invalid(field, f'"{field}" must be from {low} to {high}.')
        return int(value)

    def flag(self, name: str) -> bool:
        """true or false, and nothing that looks like it; false where it is not given."""
        field, value = self._field(name), self._take(name)
        if value in (_ABSENT, None):
            return False
        if not isinstance(value, bool):
            raise invalid(field, f'"{field}" must be true or false, without quotes.')
        return value

    def choice(self, name: str, choices: frozenset[str]) -> str:
        """One of the given words."""
        field, value = self._field(name), self._take(name)
        if not isinstance(value, str) or value not in choices:
            raise invalid(field, f'"{field}" must be one of {", ".join(sorted(choices))}.')
        return value

    def words(self, name: str, choices: frozenset[str] | None = None, *, needed: bool = True) -> frozenset[str]:
        """A list of different words, not empty; one of `choices` each, if given. Empty where not needed and absent."""
        field, values = self._field(name), self._take(name)
        if values in (_ABSENT, None) and not needed:
            return frozenset()
        if not isinstance(values, list | tuple) or not 0 < len(values) <= ITEMS_MAX:
            raise invalid(field, f'"{field}" must be a list of 1 to {ITEMS_MAX} words.')
        for value in values:
            if not isinstance(value, str) or not 0 < len(value) <= WORD_CHARS_MAX or value != value.strip():
                raise invalid(field, f'"{field}" has an entry that is no word.')
            if choices is not None and value not in choices:
                raise invalid(field, f'"{field}" takes only {", ".join(sorted(choices))}, not "{value}".')
        if len(set(values)) != len(values):
            raise invalid(field, f'"{field}" names an entry twice.')
        return frozenset(values)

    def items(self, name: str) -> tuple["Params", ...]:
        """A list of objects, not empty."""
        field, values = self._field(name), self._take(name)
        if not isinstance(values, list | tuple) or not 0 < len(values) <= ITEMS_MAX:
            raise invalid(field, f'"{field}" must be a list of objects.')
        return tuple(Params(value, f"{field}[{index}].") for index, value in enumerate(values))
