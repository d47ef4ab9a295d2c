"""Secrets are taken out of whatever is written for people to read: log lines with their tracebacks, error reports, task
arguments, answers of the API, values of events. The only place that knows how a secret looks.

Three ways to know one: by its shape, by the name before it, and by being one of the settings'. It is the last net, and
no licence: nothing of ours logs a secret, which the canary test holds.
"""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.views.debug import SafeExceptionReporterFilter

from apps.common import tracing

MASK: Final = "********"
_KNOWN_CHARS_MIN: Final = 8

_NAMES: Final = (
    r"pass(?:word|wd|phrase)|secret(?!_fingerprint|_hash)|(?:access|refresh|auth|csrf\w*|metrics|bearer)_?token|private_?key"
    r"|api_?key(?!_id)|authorization|cookie|sessionid|credential|signature|code_verifier|recovery_codes?|otp"
)
_ID: Final = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
_SHAPES: Final = (
    (re.compile(r"-----BEGIN [A-Z ]{3,40}-----.*?(?:-----END [A-Z ]{3,40}-----|\Z)", re.DOTALL), MASK),
    (re.compile(r"\b(aika_[0-9a-f]{12}_)[0-9a-f]{8,64}", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"\b(bearer|basic)(\s+)(?!aika_[0-9a-f]{12}_\*)[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1\2{MASK}"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?"), MASK),
    (re.compile(r"\bgAAAA[\w-]{20,}=*"), MASK),
    # Private keys of Ed25519 as venues give them, and Fernet's: 64 or 32 bytes in base64.
    (re.compile(r"(?<![\w+/-])[\w+/-]{86}==|(?<![\w+/-])[\w+/-]{43}=(?!=)"), MASK),
    (re.compile(r"(://[^\s/:@]*:)[^\s/@]+@"), rf"\1{MASK}@"),
    (
        # `name=value`, `"name": "value"`; `name: value` where it reads like one and not like a sentence; no id.
        re.compile(
            rf"(?<![a-z0-9])((?:[a-z0-9]+[_-])*(?:{_NAMES})\d?(?:[_-][a-z0-9]+)*[\"']?\s*[:=]\s*)"
            rf"(?!(?:bearer|basic)\b|{_ID}|{re.escape(MASK)})"
            rf"(?:Secret\(\S*\)|(b?[\"'])(?:(?!\2).)*\2|(?<=[:=])[^\s\"',;&}})<]+|(?=\S*\d|\S{{16}})[^\s\"',;&}})<]+)",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
)
_SETTINGS: Final = (
    "SECRET_KEY",
    "TOKEN_ENCRYPTION_KEYS",
    "ALARM_WEBHOOK_SECRET",
    "EMAIL_HOST_PASSWORD",
    "METRICS_TOKEN",
    "QDRANT_API_KEY",
    "COINBASE_CLIENT_SECRET",
    "OIDC_CLIENT_SECRET",
)
_URLS: Final = ("DATABASE_URL", "MIGRATION_DATABASE_URL", "REDIS_URL", "QDRANT_URL")


def redact(text: str, known: Sequence[str] | None = None) -> str:
    """The text without what is, or looks like, a secret. `known` are the `known_secrets`, where they are at hand."""
    for one in known_secrets() if known is None else known:
        text = text.replace(one, MASK)
    for shape, kept in _SHAPES:
        text = shape.sub(kept, text)
    return text


def redacted(value: Any, name: str = "", known: Sequence[str] | None = None) -> Any:
    """The same of a value: texts anywhere in lists and objects, and whatever stands under a telling name."""
    if isinstance(value, str):
        return MASK if _TELLING.fullmatch(name) and value else redact(value, known)
    if isinstance(value, Mapping):
        return {key: redacted(inner, str(key), known) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(inner, name, known) for inner in value]
    return value


_TELLING: Final = re.compile(rf"(?:\w+[_-])*(?:{_NAMES})\d?(?:[_-]\w+)*", re.IGNORECASE)


def known_secrets() -> tuple[str, ...]:
    """The secrets of this installation's settings, longest first."""
    found = [getattr(settings, name, "") for name in _SETTINGS]
    # Lists cannot be looked up; the keys are a tuple, unless somebody's settings make them a list.
    texts = tuple([one if type(one) is str else tuple(one) for one in found])
    return _known(texts, tuple([str(getattr(settings, name, "")) for name in _URLS]))


@lru_cache(maxsize=8)
def _known(texts: tuple[str | tuple[str, ...], ...], urls: tuple[str, ...]) -> tuple[str, ...]:
    flat = [part for one in texts for part in ((one,) if isinstance(one, str) else one)]
    passwords = [urlsplit(url).password or "" for url in urls if "://" in url]
    found = {*flat, *passwords, *map(unquote, passwords)}
    return tuple(sorted((text for text in found if len(text) >= _KNOWN_CHARS_MIN), key=len, reverse=True))


# What stays for ever is masked by less: no name before it, and "basic functionality" is a person's word.
_LASTING: Final = (
    *((shape, kept) for shape, kept in _SHAPES[:-1] if "bearer" not in shape.pattern),
    (re.compile(r"\b(bearer)(\s+)(?=\S*(?:\d|=|(?-i:[a-z][A-Z])))[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1\2{MASK}"),
    (re.compile(r"\b(basic)(\s+)(?=\S*(?:=|(?-i:[a-z][A-Z])))[\w+/=-]{8,}", re.IGNORECASE), rf"\1\2{MASK}"),
)
_SIGNS: Final = (b"-----begin ", b"aika_", b"bearer", b"basic", b"eyj", b"gaaaa")
_RARE_SIGNS: Final = (
    (b"=", re.compile(rb"[\w+/-]{43}=")),
    (b"://", re.compile(rb"://[^\s/:@]*:[^\s/@]+@")),
)


def may_hold_secret(raw: bytes) -> bool:
    """Whether JSON bytes could hold what `masked` takes out: one look, for the many that hold nothing."""
    lowered = raw.lower()
    if any(sign in lowered for sign in _SIGNS) or any(one in raw for one in _known_in_json(known_secrets())):
        return True
    return any(sign in raw and shape.search(raw) is not None for sign, shape in _RARE_SIGNS)


def masked(value: object) -> object:
    """A value of a payload without secrets in its texts, by their shape and by being a setting's.

    Never by a name: what is recorded under `credential` is which one it was.
    """
    if isinstance(value, str):
        text = str.__str__(value)
        for one in known_secrets():
            text = text.replace(one, MASK)
        for shape, kept in _LASTING:
            text = shape.sub(kept, text)
        return text
    if isinstance(value, Mapping):
        return {key: masked(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [masked(inner) for inner in value]
    return value


@lru_cache(maxsize=8)
def _known_in_json(known: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(json.dumps(one, ensure_ascii=False)[1:-1].encode() for one in known)


class RedactingFormatter(logging.Formatter):
    """Every line of every handler, with its traceback. Line ends and control characters of a message stay visible as
    escapes: nobody writes a second line into the log."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, redacted."""
        return redact(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The message on one line, and behind it the ids of what goes on."""
        record.message = _CONTROL.sub(lambda found: repr(found[0])[1:-1], record.message)
        return super().formatMessage(record) + "".join(
            f" {name}={value}" for name, value in sorted(tracing.bound().items())
        )


_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]")


class ReporterFilter(SafeExceptionReporterFilter):
    """What an error report may say of settings, of the request, and of the variables in each frame."""

    cleansed_substitute = MASK
    hidden_settings = re.compile(
        rf"{_NAMES}|API|TOKEN|KEY|SECRET|PASS|SIGNATURE|HTTP_COOKIE|_URL$|DATABASES", re.IGNORECASE
    )

    def is_active(self, request: Any) -> bool:
        """Always, a debug page too."""
        return True

    def cleanse_setting(self, key: Any, value: Any) -> Any:
        """As Django's, and texts by their shape."""
        cleansed = super().cleanse_setting(key, value)
        return redact(cleansed) if isinstance(cleansed, str) else cleansed

    def get_post_parameters(self, request: Any) -> dict[str, Any]:
        """What was sent in a form: the names only."""
        return dict.fromkeys(super().get_post_parameters(request), MASK)

    def get_traceback_frame_variables(self, request: Any, tb_frame: Any) -> Any:
        """The variables of a frame: those with a telling name masked, the rest as redacted texts."""
        found = super().get_traceback_frame_variables(request, tb_frame)
        return [(name, MASK if _TELLING.fullmatch(name) else _shown(value)) for name, value in found]


def _shown(value: Any) -> Any:
    if isinstance(value, int | float | bool | None):
        return value
    try:
        return redact(repr(value))
    except Exception as error:  # noqa: BLE001  a broken repr must not break the report
        return f"<{type(value).__name__}: {type(error).__name__}>"


_REPORT_DEPTH_MAX: Final = 32
# Of a request in a report: all of it is somebody's, whatever it is called.
_SENT: Final = frozenset({"cookies", "data", "body"})


def redacted_report(event: Mapping[str, Any], hint: object = None) -> dict[str, Any]:
    """An event as reporters of errors send it (Sentry's `before_send`), without secrets: a copy, for JSON.

    Texts anywhere are redacted, the names of what they stand under too; whatever stands under a telling name is masked
    whole, be it a frame's local or a header as a pair; of a request's cookies and body the names are left.
    """
    return {
        _name(key): _sent(value) if key == "request" and isinstance(value, Mapping) else _reported(value, str(key), 0)
        for key, value in event.items()
    }


def _sent(request: Mapping[str, Any]) -> dict[str, Any]:
    return {
        _name(key): _names_only(value) if str(key) in _SENT else _reported(value, str(key), 0)
        for key, value in request.items()
    }


def _names_only(value: Any) -> Any:
    return {_name(key): MASK for key in value} if isinstance(value, Mapping) else MASK if value else value


def _reported(value: Any, name: str, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if depth > _REPORT_DEPTH_MAX or _TELLING.fullmatch(name):
        return MASK
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {_name(key): _reported(inner, str(key), depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        if len(value) == 2 and isinstance(value[0], str):
            return [redact(value[0]), _reported(value[1], value[0], depth + 1)]
        return [_reported(inner, "", depth + 1) for inner in value]
    return _shown(value)


def _name(key: object) -> str:
    return redact(str(key))
