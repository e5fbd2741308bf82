"""What was found in the targets, and whether that is enough to go on with."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from driftfleet.errors import ConfigurationError
from driftfleet.globs import folder_matches
from driftfleet.jobs import Source
from driftfleet.settings import DiscoverySettings
from driftfleet.tree import LocalTree
from producer.discovery import Discovery, Folder, discover

_MOST_REASONS = 10
_MOST_NAMED = 3
_SHOWN_SHA = 10
_HOW_TO_INCLUDE = (
    "Name the folders that you plan in with --include GLOB, or discovery.include in fleet.yaml."
)


@dataclass(frozen=True)
class Found:
    """A folder, or a repository at a commit, and what discovery says about it."""

    source: Source
    discovery: Discovery

    @property
    def name(self) -> str:
        """For people: a folder's path, or ``owner/repo at SHA (ref)``."""
        source = self.source
        if source.kind == "local":
            return source.repo
        ref = f" ({source.ref})" if source.ref else ""
        return f"{source.repo} at {source.sha[:_SHOWN_SHA]}{ref}"

    def only(self, globs: Sequence[str]) -> "Found":
        """The same with those folders alone that one of the globs matches."""
        folders = [
            folder
            for folder in self.discovery.folders
            if any(folder_matches(folder.path, glob) for glob in globs)
        ]
        discovery = self.discovery.model_copy(update={"folders": tuple(folders)})
        return replace(self, discovery=discovery)


@dataclass(frozen=True)
class Trouble:
    """A repository, or ``org:NAME``, that could not be looked at. ``reason`` names it already."""

    name: str
    reason: str


@dataclass(frozen=True)
class Outlook:
    """What there is to check, and what could not be looked at.

    ``messages`` are for a person and are no reason to worry.
    """

    found: tuple[Found, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    messages: tuple[str, ...] = ()

    @property
    def problems(self) -> tuple[str, ...]:
        """The troubles as a record keeps them."""
        return tuple(trouble.reason for trouble in self.troubles)

    def is_whole(self, found: Found) -> bool:
        """Whether it was looked at without a gap: what wasn't found there isn't there."""
        return all(trouble.name != found.source.repo for trouble in self.troubles)


def merged(outlooks: Iterable[Outlook]) -> Outlook:
    """All of them in one; a repository that was found under two names counts once."""
    found: dict[tuple[str, str], Found] = {}
    troubles: list[Trouble] = []
    messages: list[str] = []
    for outlook in outlooks:
        for one in outlook.found:
            repo = one.source.repo
            key = repo.lower() if one.source.kind == "github" else repo
            found.setdefault((one.source.kind, key), one)
        troubles += outlook.troubles
        messages += outlook.messages
    return Outlook(tuple(found.values()), tuple(troubles), tuple(messages))


def find_in_folders(folders: Iterable[Path], settings: DiscoverySettings) -> Outlook:
    """Discover each folder of this machine."""
    return merged(_find(folder, settings) for folder in folders)


def _find(folder: Path, settings: DiscoverySettings) -> Outlook:
    tree = LocalTree(folder)
    discovery = discover(tree, settings.include, settings.exclude)
    found = Found(Source(kind="local", repo=str(folder), sha=discovery.digest), discovery)
    return Outlook((found,), tuple(_unlisted(tree, str(folder), settings.exclude)))


def _unlisted(tree: LocalTree, folder: str, exclude: Sequence[str]) -> Iterator[Trouble]:
    """The folders of which nobody knows what is in them, without those that don't count."""
    for path, reason in tree.unlisted.items():
        if not any(folder_matches(path, glob) for glob in exclude):
            what = f"{folder}: {path} can't be listed ({reason}), so what is in it is not checked"
            yield Trouble(folder, f"{what}: let it be read, or exclude it (discovery.exclude)")


def require_terraform(outlook: Outlook) -> None:
    """Refuse folders in which there is nothing at all, and repositories where all are like that.

    Raises
    ------
    ConfigurationError
        A folder holds no Terraform, or no repository does.
    """
    for one in outlook.found:
        if one.source.kind == "local" and not one.discovery.folders:
            raise ConfigurationError(
                f"{one.name}: no Terraform in it: neither it nor a folder below it holds a "
                "file *.tf or *.tf.json"
            )
    if not outlook.troubles and not any(one.discovery.folders for one in outlook.found):
        raise ConfigurationError(_nothing_anywhere(outlook))


def require_roots(outlook: Outlook) -> None:
    """Refuse what `require_terraform` does, and where nothing is planned.

    Raises
    ------
    ConfigurationError
        There is no Terraform, or no root module; says what there is and why it is none.
    """
    require_terraform(outlook)
    for one in outlook.found:
        if one.source.kind == "local" and not one.discovery.roots:
            raise ConfigurationError(without_roots(one))
    if not outlook.troubles and not any(one.discovery.roots for one in outlook.found):
        raise ConfigurationError(_without_any_root(outlook.found))


def rootless_messages(found: Sequence[Found], *, shown: bool = False) -> list[str]:
    """What a person should know of repositories in which nothing is planned.

    ``shown`` says that each of their folders is shown with its reason anyway.
    """
    without = [one for one in found if one.source.kind == "github" and not one.discovery.roots]
    if len(without) > _MOST_REASONS:
        names = ", ".join(one.source.repo for one in without[:_MOST_REASONS])
        more = len(without) - _MOST_REASONS
        return [f"no root module in {len(without)} repositories: {names} and {more} more"]
    return [f"{one.name}: no root module in it ({_why(one, shown=shown)})" for one in without]


def without_roots(found: Found) -> str:
    """Why nothing in it is a root, folder by folder."""
    folders = found.discovery.folders
    lines = [f"  {_line(folder)}" for folder in folders[:_MOST_REASONS]]
    if len(folders) > _MOST_REASONS:
        lines.append(f"  and {len(folders) - _MOST_REASONS} more")
    return "\n".join(
        [
            f"{found.name}: there is Terraform in it, but no root module:",
            *lines,
            _HOW_TO_INCLUDE,
        ]
    )


def _without_any_root(found: Sequence[Found]) -> str:
    with_terraform = [one for one in found if one.discovery.folders]
    if len(with_terraform) == 1:
        return without_roots(with_terraform[0])
    names = [_target(one) for one in with_terraform[:_MOST_NAMED]]
    more = " ..." if len(with_terraform) > _MOST_NAMED else ""
    return (
        f"there is Terraform in {len(with_terraform)} repositories, and a root module in none of "
        f"them: `driftfleet discover --all {' '.join(names)}{more}` shows each folder and why. "
        f"{_HOW_TO_INCLUDE}"
    )


def _why(found: Found, *, shown: bool) -> str:
    count = len(found.discovery.folders)
    if not count:
        return "no file *.tf or *.tf.json"
    folders = "1 folder" if count == 1 else f"{count} folders"
    how = "" if shown else f": `driftfleet discover --all {_target(found)}` says why"
    return f"{folders} with Terraform{how}"


def _target(found: Found) -> str:
    """How a person names it again."""
    source = found.source
    return f"{source.repo}@{source.ref}" if source.ref else source.repo


def _nothing_anywhere(outlook: Outlook) -> str:
    # Why, was told of each.
    if not outlook.found:
        return "there is nothing to look at in what was named"
    return "there is no Terraform in what was named"


def _line(folder: Folder) -> str:
    return f"{folder.path} ({folder.kind}): {folder.reason}"
