"""What the command line names -> the folders to look at, and what is found in them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from driftfleet.errors import ConfigurationError
from driftfleet.jobs import Source
from driftfleet.settings import DiscoverySettings
from driftfleet.tree import LocalTree
from producer.discovery import Discovery, Folder, discover

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_MOST_REASONS = 10


@dataclass(frozen=True)
class Found:
    """A target's folder and what discovery says about it."""

    folder: Path
    discovery: Discovery

    @property
    def source(self) -> Source:
        """The source of its jobs."""
        return Source(kind="local", repo=str(self.folder), sha=self.discovery.digest)


def target_folders(targets: Iterable[str]) -> tuple[Path, ...]:
    """The folders that the targets name, absolute, each once.

    Raises
    ------
    ConfigurationError
        A target is no folder.
    """
    return tuple(dict.fromkeys(_folder(target) for target in targets))


def find(folders: Iterable[Path], settings: DiscoverySettings) -> list[Found]:
    """Discover each folder."""
    return [
        Found(folder, discover(LocalTree(folder), settings.include, settings.exclude))
        for folder in folders
    ]


def require_terraform(found: Sequence[Found]) -> None:
    """Refuse targets in which there is nothing at all.

    Raises
    ------
    ConfigurationError
        A target holds no Terraform.
    """
    for target in found:
        if not target.discovery.folders:
            raise ConfigurationError(
                f"{target.folder}: no Terraform in it: neither it nor a folder below it holds a "
                "file *.tf or *.tf.json"
            )


def require_roots(found: Sequence[Found]) -> None:
    """Refuse targets in which nothing is planned.

    Raises
    ------
    ConfigurationError
        There is no Terraform, or no root module; says what there is and why it is none.
    """
    require_terraform(found)
    for target in found:
        if not target.discovery.roots:
            raise ConfigurationError(_without_roots(target))


def _without_roots(target: Found) -> str:
    folders = target.discovery.folders
    lines = [f"  {_line(folder)}" for folder in folders[:_MOST_REASONS]]
    if len(folders) > _MOST_REASONS:
        lines.append(f"  and {len(folders) - _MOST_REASONS} more")
    return "\n".join(
        [
            f"{target.folder}: there is Terraform in it, but no root module:",
            *lines,
            "Name the folders that you plan in with --include GLOB, or discovery.include in "
            "fleet.yaml.",
        ]
    )


def _line(folder: Folder) -> str:
    return f"{folder.path} ({folder.kind}): {folder.reason}"


def _folder(target: str) -> Path:
    path = Path(target).expanduser()
    if path.is_dir():
        return path.resolve()
    if path.exists():
        raise ConfigurationError(f"{target}: is a file; name the folder that holds your Terraform")
    if _REPOSITORY.fullmatch(target):
        raise ConfigurationError(
            f"{target}: no such folder here; a repository by its name (owner/repo) can't be "
            "scanned yet: clone it and name the clone's folder"
        )
    raise ConfigurationError(f"{target}: no such folder")
