"""Which of a repository's files a root's workspace holds, and where each of them really is.

The rules stand here once, for a folder on this machine and for a commit on GitHub alike: both must
give the same plan. Nothing is read but names, kinds and sizes.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple, Protocol

from driftfleet.closure import Closure
from driftfleet.errors import SourceRefused
from driftfleet.hcl import is_terraform_file
from driftfleet.jobs import Variant
from driftfleet.tree import IGNORED_FOLDERS

# What the quota counts for an entry at least: a tree of empty files costs inodes.
ENTRY_BYTES = 512
# Linked folders multiply: a few links in a hostile repository make more paths than a disk holds.
_MOST_ENTRIES = 500_000
_LONGEST_PATH = 3000
_TESTS = (".tftest.hcl", ".tftest.json", ".tofutest.hcl", ".tofutest.json")


class Found(NamedTuple):
    """What a path leads to: ``path`` is where it really is, with all links followed.

    One of the kind ``link`` is to be a link to ``path``, in the workspace as in the repository.
    """

    path: str
    kind: Literal["file", "executable", "folder", "link"]
    size: int = 0


class Contents(Protocol):
    """A repository's names, as its links make them look."""

    def find(self, path: str) -> Found | None:
        """What ``path`` leads to; None for nothing, or what is neither file nor folder.

        Raises `SourceRefused` for what can't be taken: a link that leads out, a submodule.
        """

    def names(self, folder: str) -> Iterable[str]:
        """The names in a folder, which is one that `find` gave.

        Raises `SourceRefused` after the last where it is not known whether there are more.
        """


class QuotaExceeded(Exception):
    """What is chosen takes more bytes than it may."""


def named_files(closure: Closure, variant: Variant) -> tuple[str, ...]:
    """The paths that are wanted by their name: by expressions, and by the variant."""
    settings = (setting for setting in variant.backend_config if "=" not in setting)
    return (*closure.files, *variant.var_files, *settings)


def select(
    closure: Closure, named: Iterable[str], contents: Contents, limit_bytes: int
) -> dict[str, Found]:
    """The workspace's files, folders and links by their path in it, and what each is.

    Of a module's folder it is the files and the folders below that hold no Terraform:
    those are modules of their own, here if they are in the closure. What is ``named`` is whole,
    even where Terraform lies in it: a ``fileset`` over it must find what it finds in the
    repository; what is named and isn't there is left to terraform.

    Raises
    ------
    QuotaExceeded
        Files and folders take ``limit_bytes`` or more.
    SourceRefused
        Something can't be taken; the message names it.
    """
    selection = _Selection(contents, limit_bytes)
    for path in closure.folders:
        selection.add(path, whole=False)
    for path in named:
        if IGNORED_FOLDERS.isdisjoint(path.split("/")):
            selection.add(path, whole=True)
    return _with_links(selection.chosen, dict(closure.links))


def _with_links(chosen: dict[str, Found], links: Mapping[str, str]) -> dict[str, Found]:
    """Let modules that are reached by a link be reached so: their sources count from behind it."""
    if not links:
        return chosen
    links = _settled(links)
    found = {path: Found(real, "link") for path, real in links.items()}
    for path, one in chosen.items():
        found.setdefault(_behind(path, links), one)
    for path in found:
        above = next((p for p in _folders_above(path) if p in links), None)
        if above is not None:
            raise SourceRefused(f"{path[:200]}: lies below the symbolic link {above[:200]}")
    return found


def _settled(links: Mapping[str, str]) -> Mapping[str, str]:
    """The links where they really are: one may have been reached by way of others."""
    for _ in range(len(links) + 1):
        moved = {_behind(path, links): real for path, real in links.items()}
        if moved == links:
            return links
        links = moved
    raise SourceRefused(f"{min(links)[:200]}: the symbolic link leads in a circle")


def _behind(path: str, links: Mapping[str, str]) -> str:
    """Where a path is when all links above it are links."""
    for _ in range(len(links) + 1):
        above = next((p for p in _folders_above(path) if p in links), None)
        if above is None:
            return path
        path = _join(links[above], path.removeprefix(above + "/"))
    raise SourceRefused(f"{path[:200]}: the symbolic link leads in a circle")


def _folders_above(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


class _Visit(NamedTuple):
    """An entry at its place in the workspace. ``above`` are the real folders on the way there, of
    which none is entered again: that would never end."""

    path: str
    found: Found
    above: frozenset[str]
    whole: bool


class _Selection:
    """A selection while it grows. A path's content is the same whoever asks for it, so order is
    of no importance."""

    def __init__(self, contents: Contents, limit_bytes: int) -> None:
        self.chosen: dict[str, Found] = {}
        self._contents = contents
        self._left = limit_bytes
        self._visits = 0
        self._modules: dict[str, bool] = {}

    def add(self, top: str, *, whole: bool) -> None:
        found = self._contents.find(top)
        waiting = self._take(_Visit(top, found, frozenset(), whole)) if found else []
        while waiting:
            visit = waiting.pop()
            for name in sorted(self._contents.names(visit.found.path)):
                if name in IGNORED_FOLDERS:
                    continue
                child = self._contents.find(_join(visit.found.path, name))
                if child is not None and self._is_wanted(child, visit):
                    path = _join(visit.path, name)
                    waiting += self._take(visit._replace(path=path, found=child))

    def _is_wanted(self, child: Found, visit: _Visit) -> bool:
        if child.kind != "folder":
            # `init` would want the modules that tests call, and a plan never runs one.
            return visit.whole or not child.path.endswith(_TESTS)
        return child.path not in visit.above and (visit.whole or not self._is_module(child.path))

    def _take(self, visit: _Visit) -> list[_Visit]:
        """Choose an entry; returns it where it is a folder to look into."""
        path, found = visit.path, visit.found
        self._visits += 1
        if self._visits > _MOST_ENTRIES or len(path) > _LONGEST_PATH:
            raise SourceRefused(
                f"{path[:200]}: folders are nested too deeply, or links multiply them: with all "
                f"that it links to the root has more than {_MOST_ENTRIES:,} entries"
            )
        if path not in self.chosen:
            self._left -= max(found.size, ENTRY_BYTES)
            if self._left <= 0:
                raise QuotaExceeded(path)
            self.chosen[path] = found
        if found.kind != "folder":
            return []
        return [visit._replace(above=visit.above | {found.path})]

    def _is_module(self, folder: str) -> bool:
        known = self._modules.get(folder)
        if known is None:
            known = any(is_terraform_file(name) for name in self._contents.names(folder))
            self._modules[folder] = known
        return known


def _join(folder: str, name: str) -> str:
    return name if folder == "." else f"{folder}/{name}"
