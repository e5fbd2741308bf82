"""A stream for `producer.progress` where nobody sits at a terminal: its lines go to the log."""

import io
import logging

from producer.progress import Progress

_LOG = logging.getLogger("driftfleet.producer")


class LogLines(io.TextIOBase):
    """Each line is a record of the standard library's logging.

    Not of structlog's: while repositories are looked at, its records go to a person instead.
    """

    encoding = "utf-8"

    def write(self, text: str) -> int:
        for line in filter(None, text.splitlines()):
            _LOG.warning("%s", line)
        return len(text)


def logged_progress() -> Progress:
    """What a service tells while it looks at repositories."""
    return Progress(LogLines(), animate=False)  # type: ignore[arg-type]
