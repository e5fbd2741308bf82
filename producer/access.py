"""Opens what looking at repositories takes: the client, the cache, the memory."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from driftfleet.cache import open_cache
from driftfleet.github.connect import open_github
from driftfleet.github.lockout import Lockout
from driftfleet.settings import Settings
from producer.look import Access
from producer.memory import Memory, now
from producer.telling import Tell, told


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
