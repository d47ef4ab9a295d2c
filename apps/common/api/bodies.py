"""Bodies, read strictly: what is not exactly right is refused by name, and nothing is turned into something else.

A body is a table of fields. The table reads the JSON and also writes the schema, so that the two cannot disagree.
"""

import difflib
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar, Final, NoReturn
from uuid import UUID

from apps.common.api.problems import InvalidBody
from apps.common.decimals import parse_decimal, parse_instant
from apps.common.errors import Invalid

BODY_BYTES_MAX: Final = 64 * 1024
DEPTH_MAX: Final = 4
FIELDS_MAX: Final = 64
_INTEGER_CHARS_MAX: Final = 16
_QUOTED_CHARS_MAX: Final = 40
_SURROGATE = re.compile("[\ud800-\udfff]")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)

DECIMAL_PATTERN: Final = r"^-?(0|[1-9][0-9]{0,19})(\.[0-9]{1,18})?$"


class JsonNumber:
    """A JSON number that is no small integer. It has no value here, because no field takes one."""

    __slots__ = ()


_NUMBER: Final = JsonNumber()

Schema = dict[str, Any]
Ref = Callable[["type[Table]"], Schema]


def parse_json(raw: bytes, *, number: Callable[[str], object] | None = None) -> object:
    """What the bytes say, as strictly as RFC 8259 allows. `number` makes something of a number that is no small
    integer, from its digits; without it such a number has no value.

    Raises Invalid: JSON_MALFORMED, JSON_KEY_TWICE, JSON_TOO_DEEP, NUMBER_NOT_FINITE, TEXT_WITH_NUL.
    """
    if b"\x00" in raw:
        raise _with_nul(None)
    try:
        text = raw.decode("utf-8")
        found: object = json.loads(
            text,
            object_pairs_hook=_no_key_twice,
            parse_float=number or _number,
            parse_int=lambda digits: _integer(digits, number or _number),
            parse_constant=_not_finite,
        )
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise Invalid(
            "JSON_MALFORMED",
            "The body is not JSON in UTF-8.",
            fix="Send one JSON object, without a byte order mark, comments or trailing commas.",
        ) from error
    _check_depth(found, 1)
    return found


def _no_key_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Invalid(
            "JSON_KEY_TWICE",
            f"{_quoted(twice)} stands twice in one object.",
            fix="Send each name once: readers disagree on which one counts.",
            field=_quoted(twice),
        )
    return found


def _number(text: str) -> JsonNumber:
    return _NUMBER


def _integer(text: str, number: Callable[[str], object]) -> object:
    return int(text) if len(text) <= _INTEGER_CHARS_MAX else number(text)


def _not_finite(text: str) -> NoReturn:
    raise Invalid(
        "NUMBER_NOT_FINITE",
        f"{text} is no JSON number.",
        fix='Send finite decimals as texts, such as "0.25".',
    )


def _check_depth(value: object, depth: int) -> None:
    if not isinstance(value, dict | list):
        return
    if depth > DEPTH_MAX:
        raise _too_deep()
    for item in value.values() if isinstance(value, dict) else value:
        _check_depth(item, depth + 1)


def _too_deep() -> Invalid:
    return Invalid("JSON_TOO_DEEP", f"The body is nested deeper than {DEPTH_MAX}.", fix="Send a flat object.")


def _with_nul(name: str | None) -> Invalid:
    where = f"{name} holds" if name else "The body holds"
    return Invalid("TEXT_WITH_NUL", f"{where} a NUL character.", fix="Remove it.", field=name)


def _quoted(name: str) -> str:
    """A caller's own name for something, short and harmless enough to be repeated."""
    return name[:_QUOTED_CHARS_MAX].encode("ascii", "backslashreplace").decode("ascii")


def kind_of(value: object) -> str:
    """What a JSON value is, in words."""
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | JsonNumber):
        return "a number"
    return {str: "a text", list: "a list", dict: "an object", type(None): "null"}.get(type(value), "something else")


class Field:
    """One field of a body. `parse` gives its value or raises Invalid; `schema` is the same rule as JSON Schema."""

    expected: str = "a value"

    def __init__(
        self, *, required: bool = False, nullable: bool = False, default: object = None, about: str = ""
    ) -> None:
        self.required = required
        self.nullable = nullable
        self.default = default
        self.about = about

    def parse(self, value: object, name: str) -> object:
        raise self.wrong_type(value, name)

    def schema(self, ref: Ref) -> Schema:
        return {}

    def wrong_type(self, value: object, name: str) -> Invalid:
        return Invalid(
            "WRONG_TYPE",
            f"{name} must be {self.expected}, not {kind_of(value)}.",
            fix=f"Send {self.expected}. Nothing is converted.",
            field=name,
        )


class Text(Field):
    """A text of at most `chars_max` characters, kept as it is."""

    expected = "a text"

    def __init__(self, *, chars_max: int, chars_min: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self.chars_max = chars_max
        self.chars_min = chars_min

    def parse(self, value: object, name: str) -> str:
        if not isinstance(value, str):
            raise self.wrong_type(value, name)
        if "\x00" in value:
            raise _with_nul(name)
        if _SURROGATE.search(value):
            raise Invalid("TEXT_MALFORMED", f"{name} holds half a character.", fix="Send valid UTF-8.", field=name)
        if len(value) > self.chars_max:
            raise Invalid(
                "TEXT_TOO_LONG",
                f"{name} has {len(value)} characters, and at most {self.chars_max} are taken.",
                fix="Shorten it.",
                field=name,
                length=str(len(value)),
                max=str(self.chars_max),
            )
        if len(value.strip()) < self.chars_min:
            raise Invalid("TEXT_EMPTY", f"{name} must not be empty.", fix=f"Send {name}.", field=name)
        return value

    def schema(self, ref: Ref) -> Schema:
        return {"type": "string", "maxLength": self.chars_max, "minLength": self.chars_min}


class Choice(Field):
    """One value of an enum, spelled exactly."""

    def __init__(self, choices: type[StrEnum], **options: Any) -> None:
        super().__init__(**options)
        self.choices = choices
        self.names = tuple(item.value for item in choices)
        self.by_name = {item.value: item for item in choices}
        self.expected = f"one of the texts {', '.join(self.names)}"

    def parse(self, value: object, name: str) -> StrEnum:
        if not isinstance(value, str):
            raise self.wrong_type(value, name)
        if value not in self.by_name:
            raise Invalid(
                "CHOICE_UNKNOWN",
                f"{name} must be one of: {', '.join(self.names)}.",
                fix="Send one of them, spelled exactly so.",
                field=name,
                allowed=", ".join(self.names),
            )
        return self.by_name[value]

    def schema(self, ref: Ref) -> Schema:
        return {"type": "string", "enum": list(self.names)}


class DecimalText(Field):
    """An exact number as a text: a JSON number has already lost digits in most programs that write one."""

    expected = 'a decimal as a text, such as "0.25"'

    def parse(self, value: object, name: str) -> Decimal:
        return parse_decimal(value, field=name)

    def schema(self, ref: Ref) -> Schema:
        return {"type": "string", "pattern": DECIMAL_PATTERN, "maxLength": 40}


class InstantText(Field):
    """An instant in ISO 8601 with its offset; kept in UTC."""

    expected = "an instant such as 2026-11-22T19:28:00Z"

    def parse(self, value: object, name: str) -> datetime:
        return parse_instant(value, field=name)

    def schema(self, ref: Ref) -> Schema:
        return {"type": "string", "format": "date-time"}


class Flag(Field):
    """true or false, and nothing that merely looks like it."""

    expected = "true or false"

    def parse(self, value: object, name: str) -> bool:
        if not isinstance(value, bool):
            raise self.wrong_type(value, name)
        return value

    def schema(self, ref: Ref) -> Schema:
        return {"type": "boolean"}


class Integer(Field):
    """A whole JSON number within [minimum, maximum]: for counts and seconds, never for money."""

    expected = "a whole number"

    def __init__(self, *, minimum: int, maximum: int, **options: Any) -> None:
        super().__init__(**options)
        self.minimum = minimum
        self.maximum = maximum

    def parse(self, value: object, name: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.wrong_type(value, name)
        if not self.minimum <= value <= self.maximum:
            raise Invalid(
                "NUMBER_OUT_OF_RANGE",
                f"{name} must be from {self.minimum} to {self.maximum}.",
                fix="Send a number within that range.",
                field=name,
                minimum=str(self.minimum),
                maximum=str(self.maximum),
            )
        return value

    def schema(self, ref: Ref) -> Schema:
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}


class UuidText(Field):
    """A UUID in its usual form."""

    expected = "a UUID as a text"

    def parse(self, value: object, name: str) -> UUID:
        if not isinstance(value, str):
            raise self.wrong_type(value, name)
        if not _UUID.fullmatch(value):
            raise Invalid("UUID_MALFORMED", f"{name} is no UUID.", fix="Send the id as it was given.", field=name)
        return UUID(value)

    def schema(self, ref: Ref) -> Schema:
        return {"type": "string", "format": "uuid"}


class Texts(Field):
    """A list of at most `count_max` texts; the value is a tuple."""

    expected = "a list of texts"

    def __init__(self, *, count_max: int, chars_max: int, **options: Any) -> None:
        super().__init__(default=(), **options)
        self.count_max = count_max
        self.item = Text(chars_max=chars_max, chars_min=1)

    def parse(self, value: object, name: str) -> tuple[str, ...]:
        if not isinstance(value, list):
            raise self.wrong_type(value, name)
        if len(value) > self.count_max:
            raise Invalid(
                "TOO_MANY_ITEMS",
                f"{name} has {len(value)} items, and at most {self.count_max} are taken.",
                fix="Send fewer.",
                field=name,
            )
        return tuple(self.item.parse(item, f"{name}[{index}]") for index, item in enumerate(value))

    def schema(self, ref: Ref) -> Schema:
        return {"type": "array", "maxItems": self.count_max, "items": self.item.schema(ref)}


class Table:
    """A table of fields: subclasses list them as class attributes. Never instantiated.

    A table is named in the schema by its class, and may be referred to by that name from an app that cannot import it.
    """

    fields: ClassVar[Mapping[str, Field]] = {}
    by_name: ClassVar[dict[str, "type[Table]"]] = {}

    def __init_subclass__(cls) -> None:
        own = {name: value for name, value in vars(cls).items() if isinstance(value, Field)}
        cls.fields = {**cls.fields, **own}
        Table.by_name[cls.__name__] = cls


class Body(Table):
    """What a request may say; `read` gives plain values."""

    @classmethod
    def read(cls, data: object) -> dict[str, Any]:
        """The value of every field, defaults filled in; null counts as left out.

        Raises Invalid BODY_NOT_OBJECT, or for all that is wrong with the fields at once, UNKNOWN_FIELD and
        FIELD_MISSING among it.
        """
        if not isinstance(data, dict):
            raise Invalid(
                "BODY_NOT_OBJECT", f"The body must be an object, not {kind_of(data)}.", fix="Send a JSON object."
            )
        errors = [cls._unknown(name) for name in list(data)[:FIELDS_MAX] if name not in cls.fields]
        values: dict[str, Any] = {}
        for name, field in cls.fields.items():
            raw = data.get(name)
            if raw is not None:
                try:
                    values[name] = field.parse(raw, name)
                except InvalidBody as wrong:
                    errors += wrong.errors
                except Invalid as error:
                    errors.append(error)
            elif field.required:
                errors.append(Invalid("FIELD_MISSING", f"{name} is needed.", fix=f"Send {name}.", field=name))
            else:
                values[name] = field.default
        if len(errors) > 1:
            raise InvalidBody(tuple(errors))
        if errors:
            raise errors[0]
        return values

    @classmethod
    def _unknown(cls, name: str) -> Invalid:
        shown = _quoted(name)
        near = difflib.get_close_matches(shown, cls.fields, n=1)
        known = ", ".join(cls.fields) or "none"
        return Invalid(
            "UNKNOWN_FIELD",
            f"There is no field {shown}.",
            fix=f"Did you mean {near[0]}?" if near else f"Leave it out. Known fields: {known}.",
            field=shown,
        )
