"""Objects inside a body, each with a table of fields of its own."""

from typing import Any

from apps.common.api.bodies import Body, Field, Ref, Schema
from apps.common.api.problems import InvalidBody
from apps.common.errors import Invalid


class Object(Field):
    """An object of its own table of fields; what is wrong in it is named with its place, `filters.side`."""

    expected = "an object"

    def __init__(self, body: type[Body], **options: Any) -> None:
        super().__init__(**options)
        self.body = body

    def parse(self, value: object, name: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.wrong_type(value, name)
        try:
            return self.body.read(value)
        except InvalidBody as errors:
            raise InvalidBody(tuple(_placed(one, name) for one in errors.errors)) from None
        except Invalid as error:
            raise _placed(error, name) from None

    def schema(self, ref: Ref) -> Schema:
        return {"allOf": [ref(self.body)]}


class Objects(Object):
    """A list of `count_min` to `count_max` such objects; the value is a tuple."""

    expected = "a list of objects"

    def __init__(self, body: type[Body], *, count_max: int, count_min: int = 0, **options: Any) -> None:
        super().__init__(body, default=(), **options)
        self.count_max = count_max
        self.count_min = count_min

    def parse(self, value: object, name: str) -> Any:
        return tuple(
            super(Objects, self).parse(item, f"{name}[{index}]")
            for index, item in enumerate(self.check_count(value, name))
        )

    def check_count(self, value: object, name: str) -> list[object]:
        """The list, if it has neither too few nor too many."""
        if not isinstance(value, list):
            raise self.wrong_type(value, name)
        if not self.count_min <= len(value) <= self.count_max:
            raise Invalid(
                "TOO_MANY_ITEMS" if value else "TOO_FEW_ITEMS",
                f"{name} has {len(value)} items, and from {self.count_min} to {self.count_max} are taken.",
                fix=f"Send {self.count_min} to {self.count_max}.",
                field=name,
            )
        return value

    def schema(self, ref: Ref) -> Schema:
        return {"type": "array", "minItems": self.count_min, "maxItems": self.count_max, "items": ref(self.body)}


class Each(Objects):
    """The same list, each object read for itself: in the place of one that is wrong stands what is wrong with it."""

    def parse(self, value: object, name: str) -> Any:
        return tuple(self._read(item) for item in self.check_count(value, name))

    def _read(self, item: object) -> dict[str, Any] | Invalid:
        try:
            return self.body.read(item)
        except Invalid as error:
            return error


def _placed(error: Invalid, place: str) -> Invalid:
    """The same error with the place of its field."""
    field = f"{place}.{error.field}" if error.field else place
    return Invalid(error.code, f"In {place}: {error.message}", fix=error.fix, field=field, **error.details)
