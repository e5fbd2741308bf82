"""Structured logs on stderr, without secrets.

Event names are static, identifiers are fields; the job is bound around each task.
"""

import logging
import os
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

from driftfleet.configuration import process_environment
from driftfleet.redaction.redactor import Redactor
from driftfleet.settings import LogSettings

# Celery tells of each task when it came and when it ended; ours tell what became of it.
_CHATTER = ("celery.worker.strategy", "celery.app.trace")


def configure_logs(settings: LogSettings, redact: Redactor | None = None) -> None:
    """Send structlog's and the standard library's records to stderr in one form."""
    json_lines = settings.format == "json" or (
        settings.format == "auto" and not sys.stderr.isatty()
    )
    mask = redact or Redactor()

    def redact_event(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for key, value in event.items():
            event[key] = _shown(value, mask)
        return event

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact_event,
    ]
    colors = sys.stderr.isatty() and not process_environment().get("NO_COLOR")
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if json_lines
        else structlog.dev.ConsoleRenderer(colors=colors)
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processor=renderer)
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.level.upper())
    for name in _CHATTER:
        level = logging.WARNING if settings.level == "info" else logging.NOTSET
        logging.getLogger(name).setLevel(level)
    # Celery's own about its user, which would be no line of JSON.
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").addFilter(_is_news)


def _shown(value: Any, mask: Redactor) -> Any:
    """A field's value, masked all through."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {key: _shown(part, mask) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(part, mask) for part in value]
    if isinstance(value, BaseException | os.PathLike):
        return mask(str(value))
    return value


def _is_news(record: logging.LogRecord) -> bool:
    """Celery asks, each time that it has lost Redis, for what docs/adr/0018 has decided.

    A filter of `warnings` would not do: Celery puts its own before it.
    """
    return "In Celery 5.1 we introduced" not in record.getMessage()
