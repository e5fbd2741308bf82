"""Opens what looking at repositories takes: the client, the cache, the memory."""

import logging
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import structlog

from driftfleet.cache import open_cache
from driftfleet.github.connect import open_github
from driftfleet.github.lockout import Lockout
from driftfleet.settings import Settings
from producer.look import Access
from producer.memory import Memory, now

_WORDS = {
    "github_rate_limit": "{host} wants us to wait for {wait_seconds:.0f} seconds (its rate limit)",
    "github_busy": "{where}: wants us to wait for {wait_seconds:.0f} seconds",
}
Tell = Callable[[str], None]


@contextmanager
def open_access(
    settings: Settings, environment: Mapping[str, str], folder: Path, tell: Tell
) -> Iterator[Access]:
    """The access that the settings describe, with ``folder`` as its cache, for the block's time.

    ``tell`` gets what a person should know while it waits, from any thread.

    Raises
    ------
    ConfigurationError
        A setting is missing or wrong, or a secret is not there.
    """
    cache = partial(open_cache, folder, settings.cache.limit_bytes)
    cache()  # a folder that can't be one is told before anything is asked
    github = open_github(
        settings.github,
        environment,
        patience_seconds=settings.github.patience_seconds,
        lockout=Lockout(folder / "lockout"),
    )
    memory = Memory(folder / "repositories", github.host.api_url)
    memory.forget_the_old()
    with told(tell), github:
        yield Access(github, cache, memory, settings.cache, now)


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
