"""The version files of a repository that count for one of its roots."""

from collections.abc import Iterable

from driftfleet.errors import SourceRefused
from driftfleet.tree import Tree
from driftfleet.versions.version_file import (
    Asked,
    is_version_file,
    parse_version_file,
    unreadable,
    version_files,
)


def read_version_files(
    tree: Tree, paths: frozenset[str], roots: Iterable[str]
) -> tuple[Asked, ...]:
    """What the version files ask for in the folders of ``roots`` and above, by path."""
    asked = (_read(tree, path) for path in paths_for(paths, roots))
    return tuple(one for one in asked if one is not None)


def paths_for(paths: Iterable[str], folders: Iterable[str]) -> list[str]:
    """Those of ``paths`` that are version files of the folders or of one above, sorted."""
    existing = {path for path in paths if is_version_file(path.rpartition("/")[2])}
    if not existing:
        return []
    found: set[str] = set()
    for folder in folders:
        found.update(existing.intersection(version_files(folder)))
    return sorted(found)


def _read(tree: Tree, path: str) -> Asked | None:
    try:
        return parse_version_file(path, tree.read(path))
    except OSError as error:
        return unreadable(path, error.strerror or "no such file")
    except SourceRefused as error:
        return unreadable(path, error.message)
