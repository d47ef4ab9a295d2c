"""Query parameters and path values, read as strictly as bodies."""

import base64
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from django.http import QueryDict

from apps.common.decimals import instant_text, parse_instant
from apps.common.errors import Invalid, NotFound

PAGE_SIZE: Final = 50
PAGE_SIZE_MAX: Final = 200
VALUE_CHARS_MAX: Final = 200
VALUES_MAX: Final = 50


class Query:
    """The parameters of one request. Raises Invalid UNKNOWN_PARAMETER, PARAMETER_TWICE or PARAMETER_MALFORMED."""

    def __init__(self, params: QueryDict, *, known: Collection[str], repeatable: Collection[str] = ()) -> None:
        self._params = params
        for name, values in params.lists():
            shown = name[:40].encode("ascii", "backslashreplace").decode("ascii")
            if name not in known:
                raise Invalid(
                    "UNKNOWN_PARAMETER",
                    f"There is no parameter {shown}.",
                    fix=f"Known parameters: {', '.join(sorted(known)) or 'none'}.",
                    field=shown,
                )
            if len(values) > (VALUES_MAX if name in repeatable else 1):
                raise Invalid("PARAMETER_TWICE", f"{name} was sent too often.", fix="Send it once.", field=name)
            if any(not value or len(value) > VALUE_CHARS_MAX or not value.isprintable() for value in values):
                raise malformed(name, "a printable text that is not empty")

    def text(self, name: str) -> str | None:
        return self._params.get(name)

    def texts(self, name: str) -> list[str]:
        return self._params.getlist(name)

    def choice(self, name: str, choices: type[StrEnum]) -> StrEnum | None:
        value = self._params.get(name)
        if value is None:
            return None
        if value not in [item.value for item in choices]:
            raise Invalid(
                "CHOICE_UNKNOWN",
                f"{name} must be one of: {', '.join(choices)}.",
                fix="Send one of them, spelled exactly so.",
                field=name,
            )
        return choices(value)

    def instant(self, name: str) -> datetime | None:
        """An instant with its offset. Raises Invalid INSTANT_MALFORMED."""
        value = self._params.get(name)
        return None if value is None else parse_instant(value, field=name)

    def needed(self, name: str, fix: str) -> str:
        """A text that must be there. Raises Invalid PARAMETER_MISSING with this `fix`."""
        value = self._params.get(name)
        if value is None:
            raise Invalid("PARAMETER_MISSING", f"The parameter {name} is needed.", fix=fix, field=name)
        return value

    def page_size(self, *, default: int = PAGE_SIZE, most: int = PAGE_SIZE_MAX) -> int:
        """The parameter `limit`: how many items a page has, from 1 to `most`."""
        value = self._params.get("limit")
        if value is None:
            return default
        if not (value.isascii() and value.isdigit() and len(value) <= 4 and 1 <= int(value) <= most):
            raise Invalid(
                "LIMIT_OUT_OF_RANGE",
                f"limit must be from 1 to {most}.",
                fix="Ask for less and follow next_cursor.",
                field="limit",
            )
        return int(value)


def malformed(name: str, expected: str) -> Invalid:
    """A parameter that is not what it should be."""
    return Invalid("PARAMETER_MALFORMED", f"{name} must be {expected}.", fix=f"Send {expected}.", field=name)


def cursor_of(*parts: str) -> str:
    """Where a page ends, as an opaque text that fits into a URL. No part holds a line break."""
    return base64.urlsafe_b64encode("\n".join(parts).encode()).decode().rstrip("=")


def cursor_parts(cursor: str | None, count: int) -> tuple[str, ...] | None:
    """The parts a cursor was made of; None for the first page. Raises Invalid CURSOR_MALFORMED."""
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        parts = base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True).decode().split("\n")
    except ValueError:
        raise cursor_malformed() from None
    if len(parts) != count or not all(part.isprintable() and len(part) <= VALUE_CHARS_MAX for part in parts):
        raise cursor_malformed()
    return tuple(parts)


def cursor_malformed() -> Invalid:
    return Invalid(
        "CURSOR_MALFORMED",
        "The cursor was not given out here.",
        fix="Send next_cursor of the page before, or leave it out for the first page.",
        field="cursor",
    )


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ends in a list that is ordered by an instant and then an id, newest first."""

    at: datetime
    id: UUID

    def cursor(self) -> str:
        return cursor_of(instant_text(self.at), str(self.id))

    @classmethod
    def of(cls, cursor: str | None) -> "Place | None":
        """The place a cursor names. Raises Invalid CURSOR_MALFORMED for one that was not given out here."""
        parts = cursor_parts(cursor, 2)
        if parts is None:
            return None
        try:
            return cls(at=parse_instant(parts[0], field="cursor"), id=UUID(parts[1]))
        except (ValueError, Invalid):
            raise cursor_malformed() from None


def row_id(text: str) -> UUID:
    """The id in a path. What is no id names nothing: NotFound."""
    try:
        found = UUID(text)
    except ValueError:
        found = None
    if found is None or str(found) != text.lower():
        raise NotFound("NOT_FOUND", "There is nothing with this id.")
    return found
