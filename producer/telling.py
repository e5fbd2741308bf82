"""What a command's person should know of what it does below, where no log is."""

import logging
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, NoReturn

import structlog

_WORDS = {
    "github_rate_limit": "{host} wants us to wait for {wait_seconds:.0f} seconds (its rate limit)",
    "github_busy": "{where}: wants us to wait for {wait_seconds:.0f} seconds",
}
Tell = Callable[[str], None]


@contextmanager
def told(tell: Tell) -> Iterator[None]:
    """Hand what the client warns of to the person, in words, for the block's time.

    A command has no log, and what structlog isn't told to do otherwise goes to stdout.
    """

    def hand_over(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> NoReturn:
        name = str(event.pop("event", ""))
        details = ", ".join(f"{key}: {value}" for key, value in event.items())
        tell(_WORDS[name].format(**event) if name in _WORDS else f"{name} ({details})")
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[hand_over], wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING)
    )
    try:
        yield
    finally:
        structlog.configure(**before)
