"""What runs on this machine while a scan does: Redis, a worker, and the folders of both."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from driftfleet.ephemeral import EphemeralFolders
from driftfleet.errors import ConfigurationError
from driftfleet.installs.choice import can_install, open_installs
from driftfleet.settings import BrokerSettings, Settings
from driftfleet.store import ResultStore, open_store
from producer.cache_place import (
    kept_or_temporary_cache,
    names_writable_root,
    with_kept_installs,
)
from producer.crew import Crew
from producer.embedded import Embedded, embedded_redis
from producer.orphans import no_orphans
from producer.progress import Progress

# The unix sockets of Redis and of terraform's plugins lie below it: docs/queue.md.
_LONGEST_PARENT_BYTES = 60
_SHORT_PARENT = Path("/tmp")  # noqa: S108 - only a name: the folder in it is ours alone
_VISIBILITY_SECONDS = 20


@dataclass(frozen=True)
class Stage:
    """What runs while a scan does; ``cache`` is None where no GitHub is configured."""

    settings: Settings
    redis: Embedded
    crew: Crew
    store: ResultStore
    cache: Path | None


def require_machine(
    settings: Settings, environment: Mapping[str, str], *, writes: bool = False
) -> None:
    """Refuse to start without what every check needs.

    ``writes``: also where nobody has named a writable root, as for a worker: a scan makes its own.

    Raises
    ------
    ConfigurationError
        Terraform, the mirror or a writable folder is missing; says how to mend it.
    """
    worker = settings.worker
    if not can_plan(settings, environment):
        raise ConfigurationError(
            f"'{worker.terraform}' is no program here: install Terraform "
            "(https://developer.hashicorp.com/terraform/install) and put it on the PATH, or name "
            "it with --terraform PATH (worker.terraform); or install tfenv or tenv, which get the "
            "version that each root asks for (docs/installs.md)"
        )
    if worker.mirror is not None and not worker.mirror.is_dir():
        what = "is no folder" if worker.mirror.exists() else "no such folder"
        raise ConfigurationError(
            f"the provider mirror {worker.mirror}: {what}; make one with "
            "`driftfleet mirror sync TARGET --mirror DIR`, and name it with --mirror DIR "
            "(worker.mirror)"
        )
    if worker.isolation == "bubblewrap" and shutil.which("bwrap") is None:
        raise ConfigurationError(
            "worker.isolation is 'bubblewrap', and 'bwrap' is no program here: install bubblewrap "
            "(docs/isolation.md)"
        )
    if writes or names_writable_root(settings):
        EphemeralFolders(worker.writable_root).create().remove()


@contextmanager
def open_stage(
    settings: Settings,
    environment: Mapping[str, str],
    folders: Sequence[Path],
    progress: Progress,
    *,
    show_log: bool,
) -> Iterator[Stage]:
    """Start Redis and the worker, and end both and all that they started.

    ``folders`` are those from which the worker may take files.
    """
    store = open_store(settings.results)
    with ExitStack() as stack:
        stack.enter_context(no_orphans())
        cache = None
        if settings.github.is_named:
            cache = stack.enter_context(kept_or_temporary_cache(settings, environment, progress))
        folder = stack.enter_context(_folder())
        redis = stack.enter_context(embedded_redis(folder))
        kept = with_kept_installs(settings, environment)
        own = _own_settings(kept, folder, folders, cache, redis.url)
        crew = Crew(own, folder, None if show_log else folder / "worker.log")
        stack.callback(crew.end)
        # It takes a second to boot: meanwhile we look for what to check.
        crew.start()
        yield Stage(own, redis, crew, store, cache)


@contextmanager
def _folder() -> Iterator[Path]:
    """The scan's own folder; those of killed scans are removed on the way."""
    parent = Path(tempfile.gettempdir())
    if len(os.fsencode(parent)) > _LONGEST_PARENT_BYTES and os.access(_SHORT_PARENT, os.W_OK):
        parent = _SHORT_PARENT
    folders = EphemeralFolders(parent, prefix=f"driftfleet-{os.getuid()}-")
    folders.sweep()
    folder = folders.create()
    try:
        yield folder.path
    finally:
        folder.remove()


def _own_settings(
    settings: Settings, folder: Path, folders: Sequence[Path], cache: Path | None, broker_url: str
) -> Settings:
    writable_root = settings.worker.writable_root if names_writable_root(settings) else folder / "w"
    worker = settings.worker.model_copy(
        update={
            "local_roots": tuple(folders),
            "writable_root": writable_root,
            # Who scans waits, and can scan again.
            "attempts": 1,
            "drain_seconds": 0,
        }
    )
    broker = BrokerSettings(
        url=SecretStr(broker_url),
        visibility_timeout_seconds=_VISIBILITY_SECONDS,
        events=False,  # nobody listens, and they cost
    )
    # What we fetch to look for roots, the worker has at hand.
    kept = settings.cache.model_copy(update={"folder": cache} if cache else {})
    return settings.model_copy(update={"worker": worker, "broker": broker, "cache": kept})


def program_on_path(settings: Settings, environment: Mapping[str, str]) -> str | None:
    """What ``worker.terraform`` names, else tofu; None where there is neither."""
    names = (settings.worker.terraform, "tofu")
    found = (shutil.which(name, path=environment.get("PATH")) for name in names)
    return next(filter(None, found), None)


def can_plan(settings: Settings, environment: Mapping[str, str]) -> bool:
    """Whether there is a program, or what installs one for roots that name a version."""
    if program_on_path(settings, environment) is not None:
        return True
    kept = with_kept_installs(settings, environment)
    return can_install(kept.installs, environment) or bool(
        open_installs(kept, environment).installed()
    )
