"""Which of a repository's files a root's workspace holds, and where each of them really is.

The rules stand here once, for a folder on this machine and for a commit on GitHub alike: both must
give the same plan. Nothing is read but names, kinds and sizes.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Literal, NamedTuple, Protocol

from driftfleet.closure import Closure, holds_values
from driftfleet.errors import SourceRefused
from driftfleet.hcl import is_terraform_file
from driftfleet.jobs import Variant
from driftfleet.tree import IGNORED_FOLDERS
from driftfleet.versions.version_file import version_files

# What the quota counts for an entry at least: a tree of empty files costs inodes.
ENTRY_BYTES = 512
# Linked folders multiply: a few links in a hostile repository make more paths than a disk holds.
_MOST_ENTRIES = 500_000
_LONGEST_PATH = 3000
# What lies beneath a root is needed for sure where an expression names it, and perhaps where one
# makes up a name. As long as that is little it is taken, Terraform or not.
_FEW_ENTRIES = 1_000
_FEW_BYTES = 4 << 20
_TESTS = (".tftest.hcl", ".tftest.json", ".tofutest.hcl", ".tofutest.json")


class Found(NamedTuple):
    """What a path leads to: ``path`` is where it really is, with all links followed.

    One of the kind ``link`` is to be a link to ``path``, in the workspace as in the repository.
    What is ``spare`` is left out where it can't be had.
    """

    path: str
    kind: Literal["file", "executable", "folder", "link"]
    size: int = 0
    spare: bool = False


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
    return (*closure.files, *variant.var_files, *backend_files(variant))


def backend_files(variant: Variant) -> tuple[str, ...]:
    """The files that hold settings of a variant's backend."""
    return tuple(setting for setting in variant.backend_config if "=" not in setting)


def values_in(variant: Variant) -> Iterator[str]:
    """Values that a variant gives by itself, quoted, as in a file: any may be a path."""
    for setting in variant.backend_config:
        if "=" in setting:
            yield f'"{setting.partition("=")[2]}"'
    for name, value in variant.env.items():
        if name.startswith("TF_VAR_"):
            yield f'"{value}"'


def select(
    closure: Closure,
    named: Iterable[str],
    contents: Contents,
    limit_bytes: int,
    *,
    root: str | None = None,
) -> dict[str, Found]:
    """The workspace's files, folders and links by their path in it, and what each is.

    Of a module's folder it is the files and the folders below that hold no Terraform:
    those are modules of their own, here if they are in the closure. What is ``named`` is whole,
    even where Terraform lies in it: a ``fileset`` over it must find what it finds in the
    repository; what is named and isn't there is left to terraform. All that lies beneath ``root``
    is there as well where it is little: some expression may make up its name; and so are the
    version files of its folder and of those above.

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
    chosen = selection.chosen
    if root is not None:
        chosen = {**_beneath(root, contents, limit_bytes), **chosen, **_versions(root, contents)}
    chosen = _with_links(chosen, dict(closure.links))
    for path in chosen:
        # What terraform finds there it takes for what it has fetched itself.
        if not IGNORED_FOLDERS.isdisjoint(path.split("/")):
            raise SourceRefused(
                f"{path[:200]}: lies in a folder of which only programs write the content "
                f"({', '.join(sorted(IGNORED_FOLDERS))})"
            )
    return chosen


def _beneath(root: str, contents: Contents, limit_bytes: int) -> dict[str, Found]:
    """All in and beneath a folder, to spare; nothing where it is much."""
    selection = _Selection(contents, min(limit_bytes, _FEW_BYTES), _FEW_ENTRIES, spare=True)
    try:
        selection.add(root, whole=False)
    except (QuotaExceeded, SourceRefused):
        return {}
    return {path: one._replace(spare=True) for path, one in selection.chosen.items()}


def _versions(root: str, contents: Contents) -> dict[str, Found]:
    """The files that ask for a version of Terraform; what is no file there asks for none."""
    wanted: dict[str, set[str]] = {}
    for path in version_files(root):
        folder, _, name = path.rpartition("/")
        wanted.setdefault(folder or ".", set()).add(name)
    paths = [
        _join(folder, name)
        for folder, names in wanted.items()
        for name in sorted(names.intersection(_known_names(folder, contents)))
    ]
    found = ((path, contents.find(path)) for path in paths)
    return {path: one for path, one in found if one and one.kind in ("file", "executable")}


def _known_names(folder: str, contents: Contents) -> Iterator[str]:
    """The names that can be listed: what a folder above holds else is not this root's business."""
    with suppress(SourceRefused):
        found = contents.find(folder)
        if found is not None and found.kind == "folder":
            yield from contents.names(found.path)


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
    for _ in range(max(path.count("/") for path in links) + 2):
        moved = {_behind(path, links): real for path, real in links.items()}
        if moved == links:
            return links
        links = moved
    raise SourceRefused(f"{min(links)[:200]}: the symbolic link leads in a circle")


def _behind(path: str, links: Mapping[str, str]) -> str:
    """Where a path is when all links above it are links."""
    # What a link leads to has no link above it, so that each step leaves fewer parts to go.
    for _ in range(path.count("/") + 1):
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
    of no importance. With ``spare`` it takes modules beneath as well, and nothing that can't be
    had."""

    def __init__(
        self,
        contents: Contents,
        limit_bytes: int,
        most_entries: int = _MOST_ENTRIES,
        *,
        spare: bool = False,
    ) -> None:
        self.chosen: dict[str, Found] = {}
        self._contents = contents
        self._left = limit_bytes
        self._most_entries = most_entries
        self._spare = spare
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
                child = self._find(_join(visit.found.path, name))
                if child is None and visit.path == top and not whole:
                    self._refuse_unreadable(_join(top, name), name)
                if child is not None and self._is_wanted(child, visit):
                    path = _join(visit.path, name)
                    waiting += self._take(visit._replace(path=path, found=child))

    def _refuse_unreadable(self, path: str, name: str) -> None:
        """Terraform fails where it meets such a link: left out, the plan would be another one's."""
        if not self._spare and (is_terraform_file(name) or holds_values(name)):
            raise SourceRefused(f"{path}: is a symbolic link that leads nowhere")

    def _find(self, path: str) -> Found | None:
        try:
            return self._contents.find(path)
        except SourceRefused:
            if self._spare:
                return None
            raise

    def _is_wanted(self, child: Found, visit: _Visit) -> bool:
        if child.kind != "folder":
            # `init` would want the modules that tests call, and a plan never runs one.
            return visit.whole or not child.path.endswith(_TESTS)
        whole = visit.whole or self._spare
        return child.path not in visit.above and (whole or not self._is_module(child.path))

    def _take(self, visit: _Visit) -> list[_Visit]:
        """Choose an entry; returns it where it is a folder to look into."""
        path, found = visit.path, visit.found
        self._visits += 1
        if self._visits > self._most_entries or len(path) > _LONGEST_PATH:
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
