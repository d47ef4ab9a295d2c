"""What a hook makes of a webhook: a template of constants and references, filled from the payload. Pure.

    {"instrument": "{{ ticker | map:symbols }}", "side": "{{ order.action | upper }}", "order_type": "MARKET",
     "time_in_force": "IOC", "quantity": "{{ order.size }}", "maps": {"symbols": {"BTCUSD": "BTC-USD"}}}

A template can do nothing but copy, change case, trim and look up: there is no expression, no default, no loop.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final

from apps.common.decimals import decimal_text, parse_decimal, parse_instant
from apps.common.errors import Invalid

WINDOW: Final = timedelta(seconds=300)
DECIMALS: Final = (
    "quantity",
    "quote_quantity",
    "limit_price",
    "stop_price",
    "confidence",
    "planned_stop",
    "planned_target",
)
NEEDED: Final = ("instrument", "side", "order_type", "time_in_force")
OTHERS: Final = ("post_only", "valid_for_s", "setup")
SENT_AT: Final = "sent_at"
FIELDS: Final = (*NEEDED, *DECIMALS, *OTHERS, "rationale", SENT_AT)
MAPS: Final = "maps"
MAP_ENTRIES_MAX: Final = 200
TEXT_MAX: Final = 4_000

_REFERENCE = re.compile(r"\{\{([^{}]*)\}\}")
_PATH = re.compile(r"[A-Za-z0-9_-]{1,60}(?:\.[A-Za-z0-9_-]{1,60}){0,3}", re.ASCII)
_NAME = re.compile(r"[a-z0-9_-]{1,40}", re.ASCII)
_SIGNATURE = re.compile(r"t=([0-9]{1,11}),v1=([0-9a-f]{64})", re.ASCII)

TRANSFORMS: Final[Mapping[str, Callable[[str], str]]] = {
    "upper": str.upper,
    "lower": str.lower,
    "trim": str.strip,
}


class Digits(str):
    """A JSON number as it was written: no digit of it is lost on the way to a decimal."""

    __slots__ = ()


Maps = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Reference:
    """A place in the payload, and what is done with what stands there, in order."""

    path: str
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """A template that was read: for each field its parts, constants and references. Only a text has more than one."""

    fields: Mapping[str, tuple[object, ...]]
    maps: Maps


def _wrong(code: str, message: str, fix: str, field: str | None = None) -> Invalid:
    return Invalid(code, message, fix=fix, field=field)


def read_template(value: object, *, secret_path: str = "") -> Template:
    """The template of a JSON value. Raises Invalid HOOK_TEMPLATE_WRONG, which says what and where.

    What leads to the secret (`secret_path`) must not be referred to: it would stand on pages.
    """
    if not isinstance(value, Mapping):
        raise _template_wrong("The template is a JSON object.", "Write the fields of a proposal into it.")
    maps = _maps(value.get(MAPS, {}))
    fields: dict[str, tuple[object, ...]] = {}
    for name in value:
        if name not in {*FIELDS, MAPS}:
            raise _template_wrong(
                f"A template has no field {str(name)[:40]!r}.", f"Known fields: {', '.join((*FIELDS, MAPS))}.", name
            )
    # In an order of our own: a database may keep the members of an object in another than they were written in.
    for name in FIELDS:
        if name in value:
            fields[name] = _parts(name, value[name], maps, secret_path)
    lacking = [name for name in NEEDED if name not in fields]
    if lacking or ("quantity" in fields) == ("quote_quantity" in fields):
        what = ", ".join(lacking) or "exactly one of quantity and quote_quantity"
        raise _template_wrong(f"The template must say {what}.", "Write a constant, or a {{ reference }}.")
    return Template(fields, maps)


def _template_wrong(message: str, fix: str, field: object = None) -> Invalid:
    return _wrong("HOOK_TEMPLATE_WRONG", message, fix, None if field is None else str(field)[:40])


def _maps(value: object) -> Maps:
    if not isinstance(value, Mapping):
        raise _template_wrong("maps is an object of objects.", 'Such as {"symbols": {"BTCUSD": "BTC-USD"}}.', MAPS)
    for name, entries in value.items():
        fits = isinstance(entries, Mapping) and len(entries) <= MAP_ENTRIES_MAX and _NAME.fullmatch(str(name))
        if not fits or not all(isinstance(text, str) for pair in entries.items() for text in pair):
            raise _template_wrong(
                f"The map {str(name)[:40]!r} is not an object of at most {MAP_ENTRIES_MAX} texts.",
                "Names are small letters, digits, - and _.",
                MAPS,
            )
    return value


def _parts(name: str, given: object, maps: Maps, secret_path: str) -> tuple[object, ...]:
    if not isinstance(given, str):
        fits = isinstance(given, bool) if name == "post_only" else isinstance(given, int) and name == "valid_for_s"
        if not fits or (name == "valid_for_s" and isinstance(given, bool)):
            raise _template_wrong(f"{name} cannot be that.", "Write a text; numbers in quotes.", name)
        return (given,)
    if len(given) > TEXT_MAX:
        raise _template_wrong(f"{name} is too long.", f"At most {TEXT_MAX} characters.", name)
    pieces = _REFERENCE.split(given)
    found: list[object] = []
    for index, piece in enumerate(pieces):
        if index % 2:
            found.append(_reference(name, piece, maps, secret_path))
        elif piece:
            if "{{" in piece or "}}" in piece:
                raise _template_wrong(f"{name} has braces that do not close.", "Write {{ path }}.", name)
            found.append(piece)
    if len(found) > 1 and name != "rationale":
        raise _template_wrong(
            f"{name} is one constant or one reference.", "Only rationale may mix text and references.", name
        )
    constant = found[0] if found else ""
    if name in DECIMALS and not isinstance(constant, Reference):
        try:
            parse_decimal(constant, field=name)
        except Invalid as error:
            raise _template_wrong(error.message, error.fix, name) from None
    if name in OTHERS and not isinstance(constant, Reference):
        raise _template_wrong(f"{name} is no text.", "Write true, false or a number without quotes.", name)
    return tuple(found) or ("",)


def _reference(name: str, text: str, maps: Maps, secret_path: str) -> Reference:
    path, *steps = (part.strip() for part in text.split("|"))
    if not _PATH.fullmatch(path):
        raise _template_wrong(
            f"{name} refers to {text.strip()[:60]!r}, which is no path.",
            "Names with dots between them, such as order.size, at most four deep.",
            name,
        )
    if secret_path and (path == secret_path or path.startswith(f"{secret_path}.")):
        raise _template_wrong(f"{name} refers to the secret.", "Refer to something else.", name)
    for step in steps:
        kind, _, which = step.partition(":")
        if step not in TRANSFORMS and not (kind == "map" and which in maps):
            known = ", ".join((*TRANSFORMS, *(f"map:{one}" for one in maps)))
            raise _template_wrong(f"{name} has no transform {step[:40]!r}.", f"These are: {known}.", name)
    return Reference(path, tuple(steps))


def fill(template: Template, payload: object) -> dict[str, object]:
    """What the payload says in each field, as the API's own bodies say it: decimals as texts.

    Raises Invalid, naming the field: HOOK_FIELD_MISSING where the payload has nothing at a path, HOOK_VALUE_NOT_PLAIN
    for a list or an object, HOOK_VALUE_UNMAPPED for what a map does not know, HOOK_TRANSFORM_NOT_POSSIBLE.
    """
    return {name: _filled(name, parts, template.maps, payload) for name, parts in template.fields.items()}


def _filled(name: str, parts: tuple[object, ...], maps: Maps, payload: object) -> object:
    values = [_resolved(name, part, maps, payload) if isinstance(part, Reference) else part for part in parts]
    if len(values) > 1:
        return "".join(_shown(value) for value in values)
    (value,) = values
    if name in DECIMALS and isinstance(value, Digits | int) and not isinstance(value, bool):
        return _decimal(name, str(value))
    if name == "rationale":
        return _shown(value)
    return str(value) if isinstance(value, Digits) else value


def _resolved(name: str, reference: Reference, maps: Maps, payload: object) -> object:
    value = _at(payload, reference.path)
    if value is None:
        raise _wrong(
            "HOOK_FIELD_MISSING",
            f"{name} comes from {reference.path}, and the body has nothing there.",
            "Send it, or change the template of the hook.",
            name,
        )
    if isinstance(value, Mapping | list):
        raise _wrong(
            "HOOK_VALUE_NOT_PLAIN",
            f"{name} comes from {reference.path}, where the body has more than one value.",
            "Refer to one text, number or flag.",
            name,
        )
    for step in reference.steps:
        value = _stepped(name, reference.path, step, value, maps)
    return value


def _at(payload: object, path: str) -> object:
    found = payload
    for part in path.split("."):
        if isinstance(found, Mapping):
            found = found.get(part)
        elif isinstance(found, list) and part.isdigit() and int(part) < len(found):
            found = found[int(part)]
        else:
            return None
    return found


def _stepped(name: str, path: str, step: str, value: object, maps: Maps) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _wrong(
            "HOOK_TRANSFORM_NOT_POSSIBLE",
            f"{name} comes from {path}, and {step} takes a text.",
            "Leave the transform out, or send a text.",
            name,
        )
    text = str(value)
    if step in TRANSFORMS:
        return TRANSFORMS[step](text)
    entries = maps[step.partition(":")[2]]
    if text not in entries:
        raise _wrong(
            "HOOK_VALUE_UNMAPPED",
            f"{name} comes from {path}, and {step} does not know what stands there.",
            "Add it to the map of the hook.",
            name,
        )
    return entries[text]


def _decimal(name: str, digits: str) -> str:
    """The number exactly, without an exponent; what has more digits than a decimal may have is refused by its field."""
    try:
        number = Decimal(digits)
        if number.is_finite() and -40 < number.adjusted() < 40:
            return decimal_text(number)
    except (InvalidOperation, Invalid):
        pass
    raise _wrong("DECIMAL_OUT_OF_RANGE", f"{name} is no number that fits.", "Send fewer digits.", name)


def _shown(value: object) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def sent_at(value: object) -> datetime:
    """When the sender says it sent: an instant in ISO 8601, or whole seconds since 1970. Raises Invalid."""
    digits = str(value) if isinstance(value, int | Digits) and not isinstance(value, bool) else ""
    if digits.isdigit() and len(digits) <= 11:
        return datetime.fromtimestamp(int(digits), tz=UTC)
    return parse_instant(value, field=SENT_AT)


def is_timely(at: datetime, now: datetime) -> bool:
    """Whether something sent at `at` may still be taken: at most five minutes apart, one way or the other."""
    return abs(now - at) <= WINDOW


def read_signature(header: str) -> tuple[datetime, str] | None:
    """Time and HMAC of `t=<seconds since 1970>,v1=<hex>`; None for anything else."""
    match = _SIGNATURE.fullmatch(header.strip())
    return None if match is None else (datetime.fromtimestamp(int(match[1]), tz=UTC), match[2])


def signature(*, secret: str, at: datetime, body: bytes) -> str:
    """HMAC-SHA256 in hex over the seconds, a full stop and the body: as Aika signs its own alarms."""
    signed = str(int(at.timestamp())).encode("ascii") + b"." + body
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def is_same(given: str, right: str) -> bool:
    """Compare in constant time, whatever characters came."""
    return hmac.compare_digest(given.encode(errors="replace"), right.encode())


def text_at(payload: object, path: str) -> str:
    """The text at a path; "" where there is none."""
    found = _at(payload, path)
    return str(found) if isinstance(found, str) else ""
