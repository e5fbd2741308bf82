"""Which folders and files of a repository a root module needs."""

import posixpath
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from driftfleet.hcl import ModuleFacts
from driftfleet.references import Reference, references_in

# Far more than terraform itself could handle, and little enough for every root of a repository.
MOST_FOLDERS = 2_000
_MOST_FOLLOWED = 100_000
_MOST_PROBLEMS = 50

Facts = Callable[[str], ModuleFacts | None]
Real = Callable[[str], str | None]


@dataclass(frozen=True)
class Closure:
    """What a root needs, relative to the repository's top, sorted.

    ``folders`` are the root and the modules that it calls, directly or not: each is needed with
    what lies beneath it, other modules excepted. ``files`` are the paths that some expression
    names, inside those folders or not; such a path may be a folder, which is then needed with all
    that is in it, and may not exist. ``problems`` are sentences for a person: local sources that
    can't be followed, and what was not read or followed because it is too much. ``remote`` are the
    other module sources, each with the folder whose files hold it. ``links`` are paths that lead to
    one of the folders by a symbolic link, each with that folder. ``followed`` is what it cost, in
    names about.
    """

    folders: tuple[str, ...]
    files: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    remote: tuple[tuple[str, str], ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    followed: int = field(default=0, compare=False)


def closure_of(root: str, facts: Facts, real: Real = str) -> Closure:
    """Follow the local sources from ``root``; see `Closures`."""
    return Closures(facts, real).of(root)


def with_values(closure: Closure, root: str, texts: Iterable[str]) -> Closure:
    """A root's closure with what the values of its variables name, given the files' ``texts``."""
    references = (reference for text in texts for reference in references_in(text))
    return replace(closure, files=tuple(sorted(_paths(root, references).union(closure.files))))


def holds_values(name: str) -> bool:
    """Whether terraform reads a file of this name, beside a root, for values of its variables."""
    plain = name.removesuffix(".json")
    return plain == "terraform.tfvars" or plain.endswith(".auto.tfvars")


class _Links(NamedTuple):
    """Where a folder's files lead. ``from_root`` are paths that count from whichever root it is.

    ``linked`` are those of ``modules`` that a symbolic link leads to: its path, and the module's.
    """

    modules: tuple[str, ...]
    linked: tuple[tuple[str, str], ...]
    problems: tuple[str, ...]
    files: tuple[str, ...]
    from_root: tuple[Reference, ...]
    remote: tuple[tuple[str, str], ...]
    cost: int


class Closures:
    """The closures of one repository's roots, which share what they know of its folders.

    ``facts`` answers None for a folder without any. ``real`` gives a path with its symbolic links
    followed: terraform does that for every module's folder before it looks for what that names.
    """

    def __init__(self, facts: Facts, real: Real = str) -> None:
        self._facts = facts
        self._real = real
        self._links: dict[str, _Links] = {}

    def of(self, root: str) -> Closure:
        """Follow the local sources from ``root``.

        A closure of more than `MOST_FOLDERS` folders is cut off, with a problem that says so.
        """
        folders: dict[str, None] = {root: None}
        files: set[str] = set()
        problems: dict[str, None] = {}
        remote: set[tuple[str, str]] = set()
        linked: set[tuple[str, str]] = set()
        waiting = [root]
        followed = 0
        while waiting:
            links = self._links_of(waiting.pop())
            followed += links.cost
            if len(folders) > MOST_FOLDERS or followed > _MOST_FOLLOWED:
                problems = {_too_much(root): None, **problems}
                break
            problems.update(dict.fromkeys(links.problems))
            files.update(links.files)
            files.update(_paths(root, links.from_root))
            remote.update(links.remote)
            linked.update(links.linked)
            new = dict.fromkeys(module for module in links.modules if module not in folders)
            folders.update(new)
            waiting += new
        return Closure(
            folders=tuple(sorted(list(folders)[:MOST_FOLDERS])),
            files=tuple(sorted(files)),
            problems=_shortened(list(problems)),
            remote=tuple(sorted(remote)),
            links=tuple(sorted(linked)),
            followed=followed,
        )

    def _links_of(self, folder: str) -> _Links:
        if folder not in self._links:
            self._links[folder] = self._look(folder)
        return self._links[folder]

    def _look(self, folder: str) -> _Links:
        found = self._facts(folder) or ModuleFacts()
        modules: dict[str, None] = {}
        linked: dict[str, str] = {}
        prefix = "" if folder == "." else f"{folder}/"
        problems = [f"{prefix}{error.file}: {error.message}" for error in found.skipped]
        for source in found.local_sources:
            target = resolve(folder, source)
            place, problem = self._place(source, target)
            if place is None or target is None:
                problems.append(f"{folder}: the module source '{source}' {problem}")
                continue
            modules[place] = None
            if place != target:
                linked[target] = place
        own = [r for r in found.references if r.base != "root"]
        files = tuple(_paths(folder, own))
        # A path costs by its length: links let a few bytes name a very long one.
        names = sum(1 + len(name) // 64 for name in (folder, *modules, *files))
        named = len(problems) + len(found.references) + len(found.remote_sources)
        return _Links(
            modules=tuple(modules),
            linked=tuple(linked.items()),
            problems=tuple(problems),
            files=files,
            from_root=tuple(r for r in found.references if r.base != "module"),
            remote=tuple((folder, source) for source in found.remote_sources),
            cost=names + named,
        )

    def _place(self, source: str, target: str | None) -> tuple[str | None, str]:
        """The folder that a local source leads to; or None, and why it can't be followed."""
        if target is None:
            return None, (
                "leads out of the repository (or out of the scanned folder: scan one that "
                "holds both)"
            )
        if "${" in source or "%{" in source:
            return None, "is not a plain path, so the module can't be found before the plan"
        place = self._real(target)
        if place is None or self._facts(place) is None:
            return None, "names no folder with Terraform files"
        return place, ""


def _too_much(root: str) -> str:
    return (
        f"{root}: its modules, and the modules that those call, are more than {MOST_FOLDERS:,} "
        f"folders or name more than {_MOST_FOLLOWED:,} others: the rest was not looked at"
    )


def _shortened(problems: list[str]) -> tuple[str, ...]:
    more = len(problems) - _MOST_PROBLEMS
    if more > 0:
        problems[_MOST_PROBLEMS:] = [f"and {more:,} more problems like these"]
    return tuple(problems)


def _paths(base: str, references: Iterable[Reference]) -> set[str]:
    """The paths that references name which count from ``base``."""
    found = set()
    for reference in references:
        path = resolve(base, reference.path)
        # A mere string such as "../.." is seldom a path, and would mean a whole repository.
        if path is not None and (reference.certain or not is_beneath(base, path)):
            found.add(path)
    return found


def resolve(folder: str, relative: str) -> str | None:
    """The path that ``relative`` names from ``folder``; None where it leaves the repository."""
    path = posixpath.normpath(posixpath.join(folder, relative))
    outside = path == ".." or path.startswith(("../", "/")) or "\0" in path
    return None if outside else path


def is_beneath(path: str, folder: str) -> bool:
    """Whether ``path`` is ``folder`` or something in it."""
    return folder in (".", path) or path.startswith(f"{folder}/")
