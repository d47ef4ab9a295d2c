"""The log as JSON: one object a line, with the ids of `tracing`, redacted before it is written.

Masks are put into values and never into the finished line, which would not be JSON any more.
"""

from typing import Final

import structlog
from structlog.contextvars import merge_contextvars
from structlog.stdlib import ExtraAdder, ProcessorFormatter, add_log_level, add_logger_name
from structlog.typing import EventDict, WrappedLogger

from apps.common.redaction import known_secrets, redacted

# What our own loggers add. Others add requests, arguments and whole messages, whose texts nobody has looked at.
FIELDS: Final = ("method", "path", "status", "duration_ms", "client", "agent", "venue", "trouble", "outcome")
# Nothing of these comes from outside. The id of a request does: a caller may send a key there.
_OURS: Final = frozenset(
    {"timestamp", "level", "logger", "duration_ms", "status", "client", "outcome", "task", "task_id"}
)


def json_formatter() -> ProcessorFormatter:
    """The formatter `json` of settings.LOGGING."""
    return ProcessorFormatter(
        foreign_pre_chain=[
            add_log_level,
            add_logger_name,
            ExtraAdder(allow=FIELDS),
            merge_contextvars,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            ProcessorFormatter.remove_processors_meta,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            _redact,
            structlog.processors.JSONRenderer(),
        ],
    )


def _redact(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    known = known_secrets()
    return {name: value if name in _OURS else redacted(value, name, known) for name, value in line.items()}
