"""Structured logs on stderr, and the redaction of secrets.

Event names are static, identifiers are fields; the job is bound around each task.
"""

import logging
import os
import re
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

import structlog

from driftfleet.configuration import process_environment
from driftfleet.settings import LogSettings

_MASK = "***"
_CHARACTER = "[A-Za-z0-9_-]"
# Shapes of secrets that are one wherever they stand. A JWT is looked for once in what could be one,
# from its first character: from each "eyJ" in it the time would be the length squared.
_SHAPES = re.compile(
    r"(?P<key>\b(?:AKIA|ASIA)[A-Z0-9]{16}\b)"
    r"|(?P<pem>-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z))"
    rf"|(?P<jwt>(?<!{_CHARACTER})(?={_CHARACTER}++\.{_CHARACTER}{{8,}}+\.)"
    rf"{_CHARACTER}*?\beyJ{_CHARACTER}{{8,}}+\.{_CHARACTER}++\.{_CHARACTER}*+)"
    r"|(?P<github>\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,})"
    r"|(?<=://)(?P<user>[^/\s@:]*:[^/\s@]+)(?=@)"
    r"|(?P<name>(?i:secret|token|password|passwd|api_?key)[\w-]{0,20}\"?\s*[=:]\s*\"?)"
    r"(?P<value>(?!(?<=secretsmanager:)//)[^\s\",;]{6,})",
    re.DOTALL,
)
_SECRET_NAME = re.compile(r"SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL|PRIVATE|_KEY$|SAS|APIKEY", re.I)
_PATH_NAME = re.compile(r"_(FILE|DIR|PATH|URI|URL)$", re.I)
_URL_PASSWORD = re.compile(r"^\"?[\w+.-]+://[^/\s@:]*:([^/\s@]+)@")
_SHORTEST_SECRET = 6
# Celery tells of each task when it came and when it ended; ours tell what became of it.
_CHATTER = ("celery.worker.strategy", "celery.app.trace")


class Redactor:
    """Masks known secrets and what looks like one in text that leaves the process."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = {s for s in secrets if len(s) >= _SHORTEST_SECRET}
        # The longest first, so that no secret survives as the rest of a shorter one.
        alternatives = "|".join(re.escape(s) for s in sorted(known, key=len, reverse=True))
        self._known = re.compile(alternatives) if known else None

    def __call__(self, text: str) -> str:
        if self._known:
            text = self._known.sub(_MASK, text)
        return _SHAPES.sub(lambda m: (m["name"] or "") + _MASK, text)


def secrets_in(environment: Mapping[str, str]) -> list[str]:
    """The values of variables whose names say so, and the passwords in those that are URLs."""
    named = [
        value
        for name, value in environment.items()
        if _SECRET_NAME.search(name) and not _PATH_NAME.search(name) and not _is_harmless(value)
    ]
    passwords = (_URL_PASSWORD.search(value) for value in environment.values())
    return named + [match[1] for match in passwords if match]


def _is_harmless(value: str) -> bool:
    """Paths of files, places of secrets and switches: masked, they make errors unreadable."""
    place = value.startswith(("env://", "file://", "secretsmanager://"))
    return place or value.lower() in ("true", "false") or os.path.exists(value)


def configure_logs(settings: LogSettings, redact: Redactor | None = None) -> None:
    """Send structlog's and the standard library's records to stderr in one form."""
    json_lines = settings.format == "json" or (
        settings.format == "auto" and not sys.stderr.isatty()
    )
    mask = redact or Redactor()

    def redact_event(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for key, value in event.items():
            if isinstance(value, str):
                event[key] = mask(value)
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


def _is_news(record: logging.LogRecord) -> bool:
    """Celery asks, each time that it has lost Redis, for what docs/adr/0018 has decided.

    A filter of `warnings` would not do: Celery puts its own before it.
    """
    return "In Celery 5.1 we introduced" not in record.getMessage()
