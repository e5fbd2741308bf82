"""Where a command keeps what it fetched from GitHub, and what it installed."""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from driftfleet.ephemeral import EphemeralFolders
from driftfleet.settings import Settings
from producer.progress import Progress


@contextmanager
def kept_or_temporary_cache(
    settings: Settings, environment: Mapping[str, str], progress: Progress
) -> Iterator[Path]:
    """The cache folder, or one that lasts as long as the block."""
    if (folder := cache_folder(settings, environment)) is not None:
        yield folder
        return
    progress.message(
        f"{why_not_kept(settings, environment)}, so what is fetched is kept for this command only; "
        "name another folder in cache.folder (DRIFTFLEET_CACHE__FOLDER)"
    )
    parent = Path(tempfile.gettempdir())
    temporary = EphemeralFolders(parent, prefix=f"driftfleet-{os.getuid()}-").create()
    try:
        yield temporary.path
    finally:
        temporary.remove()


def cache_folder(settings: Settings, environment: Mapping[str, str]) -> Path | None:
    """Where a command keeps what it fetched; None where that can't be written to.

    `cache.folder`, else ``driftfleet`` in ``$XDG_CACHE_HOME``, else in ``~/.cache`` (XDG base
    directory specification: a relative ``XDG_CACHE_HOME`` is ignored).
    """
    folder = _wished(settings, environment)
    if folder is None:
        return None
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
    return None


def with_kept_installs(settings: Settings, environment: Mapping[str, str]) -> Settings:
    """The settings of a command on this machine: what it installs is there for the next one.

    `installs.folder`, else in `worker.writable_root` where that is named, else beside the cache.
    """
    if settings.installs.folder is not None or names_writable_root(settings):
        return settings
    base = _base(environment)
    if base is None:
        return settings
    installs = settings.installs.model_copy(update={"folder": base / "installs"})
    return settings.model_copy(update={"installs": installs})


def names_writable_root(settings: Settings) -> bool:
    """Whether somebody has chosen where workers write."""
    return "writable_root" in settings.worker.model_fields_set


def why_not_kept(settings: Settings, environment: Mapping[str, str]) -> str:
    """Why `cache_folder` knows none, for a person."""
    folder = _wished(settings, environment)
    if folder is not None:
        return f"{folder} can't be written to"
    return "HOME is not set to a folder, so none is known to keep what is fetched"


def _wished(settings: Settings, environment: Mapping[str, str]) -> Path | None:
    if settings.cache.folder is not None:
        return settings.cache.folder.expanduser().absolute()
    return _base(environment)


def _base(environment: Mapping[str, str]) -> Path | None:
    base = environment.get("XDG_CACHE_HOME", "")
    home = environment.get("HOME", "")
    if not base.startswith("/") and not home.startswith("/"):
        return None
    return Path(base if base.startswith("/") else f"{home}/.cache") / "driftfleet"
