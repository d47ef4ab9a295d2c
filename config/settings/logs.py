"""How Aika writes its log. Each line bears the ids of `apps.common.tracing`, and is redacted."""

from typing import Any

from config.env import env

# json: one object a line, for machines. line: one line of words, for a person at a terminal.
LOG_FORMATS = frozenset({"json", "line"})
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {"()": "apps.common.log_lines.json_formatter"},
        "line": {
            "()": "apps.common.redaction.RedactingFormatter",
            "format": "{asctime} {levelname} {name} {message}",
            "style": "{",
        },
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": env.choice("LOG_FORMAT", default="json", choices=LOG_FORMATS),
        }
    },
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "httpx": {"level": "WARNING"},
        "httpcore": {"level": "WARNING"},
        "axes": {"level": "WARNING"},
        # It would name the credentials that people sign in with.
        "fido2": {"level": "WARNING"},
        # A scanner's made-up host is a 400 and not a stack trace; `aika.requests` keeps the request.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        # What becomes of a task is said by `aika.tasks`, with the ids of what it was about.
        "celery.app.trace": {"level": "WARNING"},
    },
}
