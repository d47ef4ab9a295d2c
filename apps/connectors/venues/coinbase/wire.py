"""Reading Coinbase's JSON: rows as every venue's are read, and four forms of error."""

from collections.abc import Mapping
from dataclasses import dataclass

from apps.connectors.venues.rows import Decimals as Decimals
from apps.connectors.venues.rows import Malformed as Malformed
from apps.connectors.venues.rows import Row as Row
from apps.connectors.venues.rows import decimal as decimal
from apps.connectors.venues.rows import decimal_or_none as decimal_or_none
from apps.connectors.venues.rows import decimal_or_zero as decimal_or_zero
from apps.connectors.venues.rows import decode as decode
from apps.connectors.venues.rows import epoch as epoch
from apps.connectors.venues.rows import flag as flag
from apps.connectors.venues.rows import instant as instant
from apps.connectors.venues.rows import instant_or_none as instant_or_none
from apps.connectors.venues.rows import row_of as row_of
from apps.connectors.venues.rows import rows as rows
from apps.connectors.venues.rows import text as text
from apps.connectors.venues.rows import text_or_empty as text_or_empty


@dataclass(frozen=True, slots=True)
class ApiError:
    """An error body in one of the documented forms: `code` as the venue wrote it, `message` its words."""

    code: str
    message: str


def api_error(body: bytes) -> ApiError | None:
    """The error of a body in one of the documented forms (coinbase.md 3.1); None where it is none of them."""
    try:
        row = decode(body)
    except Malformed:
        return None
    listed = row.get("errors")
    if isinstance(listed, list) and listed and isinstance(listed[0], Mapping):
        code = listed[0].get("id")
        return ApiError(code, text_or_empty(listed[0], "message")) if isinstance(code, str) and code else None
    code = row.get("error")
    if isinstance(code, str) and code:
        said = (text_or_empty(row, key) for key in ("message", "error_details", "error_description"))
        return ApiError(code, next((words for words in said if words), ""))
    if isinstance(row.get("code"), int) and text_or_empty(row, "message"):
        return ApiError(str(row["code"]), text_or_empty(row, "message"))
    return None
