"""What answers look like, for the schema. Answers are built as plain objects; the tests hold them to these shapes."""

from enum import StrEnum
from typing import ClassVar, Final

from apps.common.api.bodies import DECIMAL_PATTERN, Field, Ref, Schema, Table

INSTANT_PATTERN: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$"


class Shape(Table):
    """An answer, or a part of one: every field is always there, and null where the field says so."""

    # The name of a shape whose fields stand here too; fields that may be left out.
    extends: ClassVar[str] = ""
    optional: ClassVar[frozenset[str]] = frozenset()


class Words(Field):
    """A text; with `choices`, one of an enum."""

    def __init__(self, choices: type[StrEnum] | None = None, *, nullable: bool = False, about: str = "") -> None:
        super().__init__(nullable=nullable, about=about)
        self.choices = choices

    def schema(self, ref: Ref) -> Schema:
        if self.choices is None:
            return {"type": "string"}
        return {"type": "string", "enum": [item.value for item in self.choices]}


class Number(Field):
    """A decimal in normal form, as a text."""

    def schema(self, ref: Ref) -> Schema:
        return {"type": "string", "pattern": DECIMAL_PATTERN}


class Instant(Field):
    """UTC with six digits."""

    def schema(self, ref: Ref) -> Schema:
        return {"type": "string", "format": "date-time", "pattern": INSTANT_PATTERN}


class Uuid(Field):
    def schema(self, ref: Ref) -> Schema:
        return {"type": "string", "format": "uuid"}


class Count(Field):
    """A whole number that is no money."""

    def schema(self, ref: Ref) -> Schema:
        return {"type": "integer"}


class YesNo(Field):
    def schema(self, ref: Ref) -> Schema:
        return {"type": "boolean"}


class Names(Field):
    """Texts by name; which names there are depends on the case."""

    def schema(self, ref: Ref) -> Schema:
        return {"type": "object", "additionalProperties": {"type": "string"}}


class Anything(Field):
    """An object whose members its own schema id describes."""

    def schema(self, ref: Ref) -> Schema:
        return {"type": "object", "additionalProperties": {}}


class Part(Field):
    """Another shape, by class or by name."""

    def __init__(self, shape: type[Shape] | str, *, nullable: bool = False, about: str = "") -> None:
        super().__init__(nullable=nullable, about=about)
        self.shape = shape

    def schema(self, ref: Ref) -> Schema:
        return {"allOf": [ref(_shape(self.shape))]}


class Many(Field):
    """A list of a shape (by class or by name) or of a field."""

    def __init__(self, item: type[Shape] | str | Field, *, nullable: bool = False, about: str = "") -> None:
        super().__init__(nullable=nullable, about=about)
        self.item = item

    def schema(self, ref: Ref) -> Schema:
        item = self.item.schema(ref) if isinstance(self.item, Field) else ref(_shape(self.item))
        return {"type": "array", "items": item}


def _shape(shape: type[Shape] | str) -> type[Table]:
    return Table.by_name[shape] if isinstance(shape, str) else shape


class ProblemItem(Shape):
    code = Words()
    detail = Words()
    field = Words(nullable=True)
    fix = Words()


class Problem(Shape):
    """RFC 9457. `code` is stable; `field`, `details` and `errors` are there where they say something."""

    type = Words(about="urn:aika:problem: and the code, in small letters.")
    title = Words()
    status = Count()
    code = Words(about="Stable. Programs decide by it.")
    detail = Words(about="One sentence for a person.")
    fix = Words(about="What to do next.")
    request_id = Words(about="Also in the header X-Request-ID, and in the log.")
    field = Words(about="The input at fault.")
    details = Names(about="The numbers of the case.")
    errors = Many(ProblemItem, about="All that is wrong, where it is more than one thing.")

    optional = frozenset({"field", "details", "errors"})


class Fact(Shape):
    """One thing that was known when it was decided: `value` in `unit` against `limit`; null where nobody knew."""

    name = Words()
    value = Number(nullable=True)
    unit = Words()
    limit = Number(nullable=True)
    violated = YesNo(nullable=True)
    told = YesNo(about="Not measured here: who proposed or reported the trade says so.")
