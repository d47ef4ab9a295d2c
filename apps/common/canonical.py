"""Canonical bytes: one text for one meaning, so that a hash of it means something.

UTF-8 JSON without blanks; the schema id leads, all other keys are sorted by code point, at every depth. No number but a
small integer is a JSON number: JSON readers disagree on all others. The bytes are stored and verified as they are;
nothing is ever re-serialised to check a hash.
"""

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from itertools import chain
from typing import NoReturn
from uuid import UUID

import orjson

from apps.common.decimals import decimal_text, instant_text

DEPTH_MAX = 32
INT_MAX = 2**53 - 1
_TEXT = {str}
_TEXT_OR_NOTHING = {str, type(None)}


def encode(schema: str, value: Mapping[str, object]) -> bytes:
    """The canonical bytes of `value` under a schema id such as "aika.terms/1".

    Decimal becomes its normal-form text, an aware datetime UTC text with six digits, UUID, a text enum and date their
    text; text is brought to NFC. Raises TypeError for floats, naive datetimes and unknown types; ValueError for NaN and
    infinities, integers beyond 2**53-1, lone surrogates, keys that become equal, and depth beyond 32.
    """
    if not schema:
        raise ValueError("A schema id leads the bytes.")
    if "schema" in value:
        raise ValueError('The key "schema" is the schema id\'s own.')
    parts = [f'{{"schema":{_json(_text(schema))}']
    parts += [f"{_json(name)}:{_part(item)}" for name, item in _mapping(value, 0).items()]
    return (",".join(parts) + "}").encode("utf-8")


class Encoded(str):
    """The canonical text of a value, made once: as the value of a key at the top of `encode`, it stands as it is.

    Equal values have equal texts, so the bytes are those that the value itself would have given.
    """

    __slots__ = ()


def encoded(value: object) -> Encoded:
    """The canonical text of a value that comes again in many bytes. Raises as `encode`."""
    return Encoded(_json(_value(value, 0)))


def table(names: Sequence[str], rows: Sequence[Sequence[str | None]]) -> Encoded:
    """As `encoded` of a list of objects of texts with these names, which must come in their order."""
    objects = [dict(zip(names, row, strict=True)) for row in rows]
    if {*map(type, chain.from_iterable(rows))} <= _TEXT_OR_NOTHING:
        text = _json(objects)
        if text.isascii():
            return Encoded(text)
    return encoded(objects)


def decode(raw: bytes) -> dict[str, object]:
    """What canonical bytes say, the schema id included. Decimals and instants stay text; only small integers are int.

    Raises ValueError for bytes that `encode` cannot have written: not UTF-8, not an object, no schema, a key twice,
    a float, NaN or an infinity.
    """
    found = _decode_quickly(raw)
    if found is not None:
        return found
    return _decode_strictly(raw)


def _decode_quickly(raw: bytes) -> dict[str, object] | None:
    """As `decode`, for what it would not refuse; None where only the strict reader can tell.

    The quick reader takes the last of two equal keys and any number. Bytes that come out of it as they went in have no
    key twice and no blank; that leaves floats and large integers, and those are looked for.
    """
    try:
        found = orjson.loads(raw)
        if type(found) is not dict or orjson.dumps(found, option=orjson.OPT_STRICT_INTEGER) != raw:
            return None
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None
    schema = found.get("schema")
    return found if type(schema) is str and schema and not _has_float(found.values()) else None


def _has_float(items: Iterable[object]) -> bool:
    for item in items:
        kind = type(item)
        if kind is str or kind is int:
            continue
        if kind is float:
            return True
        if (kind is dict and _has_float(item.values())) or (kind is list and _has_float(item)):  # type: ignore[attr-defined, arg-type]  # narrowed by type(), which is quicker than isinstance
            return True
    return False


def _decode_strictly(raw: bytes) -> dict[str, object]:
    try:
        text = raw.decode("utf-8")
        found: object
        found, end = _read(text)
        if end != len(text):
            raise ValueError("Something stands after the object.")
    except RecursionError:
        raise ValueError("Nested deeper than anything that was encoded.") from None
    if not isinstance(found, dict) or not isinstance(found.get("schema"), str) or not found["schema"]:
        raise ValueError("Canonical bytes are an object that names its schema.")
    return found


def digest(raw: bytes) -> str:
    """SHA-256 of the bytes as 64 hex characters."""
    return hashlib.sha256(raw).hexdigest()


_quoted = json.encoder.encode_basestring


def _json(value: object) -> str:
    """The JSON text of what `_value` made."""
    if type(value) is str:
        return _quoted(value)
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError as error:
        raise ValueError("A lone surrogate is no text.") from error


def _part(item: object) -> str:
    return item if type(item) is Encoded else _json(item)


def _value(value: object, depth: int) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, datetime):
        return instant_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, int) and not isinstance(value, Enum):
        return _small_int(value)
    if depth >= DEPTH_MAX:
        raise ValueError(f"Nested deeper than {DEPTH_MAX}.")
    if isinstance(value, Mapping):
        return _mapping(value, depth + 1)
    if isinstance(value, list | tuple):
        return [_value(item, depth + 1) for item in value]
    raise TypeError(f"{type(value).__name__} has no canonical form.")


def _mapping(value: Mapping[str, object], depth: int) -> dict[str, object]:
    if {*map(type, value), *map(type, value.values())} == _TEXT:
        # As most are: nothing to be brought to a form, where it is ASCII.
        texts: Mapping[str, str] = value  # type: ignore[assignment]  # that is what was looked at
        if "".join(texts).isascii() and "".join(texts.values()).isascii():
            return dict(sorted(texts.items()))
    pairs: dict[str, object] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise TypeError(f"A key must be text, not {type(key).__name__}.")
        name = key if type(key) is str and key.isascii() else _text(key)
        if name in pairs:
            raise ValueError("Two keys are the same text once normalised.")
        # What most values are, without a call: this runs a thousand times for one decision.
        if (type(item) is str and item.isascii()) or (type(item) is Encoded and not depth):
            pairs[name] = item
        else:
            pairs[name] = _value(item, depth)
    return dict(sorted(pairs.items()))


def _text(value: str) -> str:
    if type(value) is Encoded:
        raise TypeError("An encoded part stands at the top only.")
    # str.__str__ gives an enum member's own text, whatever the enum makes of str().
    return unicodedata.normalize("NFC", str.__str__(value))


def _small_int(value: int | str) -> int:
    number = int(value)
    if abs(number) > INT_MAX:
        raise ValueError("An integer beyond 2**53-1 travels as text.")
    return number


def _no_key_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("A key stands twice.")
    return found


def _refuse_number(text: str) -> NoReturn:
    raise ValueError("Only small integers are numbers in canonical bytes.")


# Made once: a verification reads every event of the log with it.
_read = json.JSONDecoder(
    object_pairs_hook=_no_key_twice, parse_float=_refuse_number, parse_constant=_refuse_number, parse_int=_small_int
).raw_decode
