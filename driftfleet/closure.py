"""Which folders and files of a repository a root module needs."""

import posixpath
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from driftfleet.hcl import HclError, ModuleFacts, is_terraform_file, read_module
from driftfleet.references import Reference, references_in
from driftfleet.tree import Tree

Facts = Callable[[str], ModuleFacts | None]


@dataclass(frozen=True)
class Closure:
    """What a root needs, relative to the repository's top, sorted.

    ``folders`` are the root and the modules that it calls, directly or not: each is needed with
    what lies beneath it, other modules excepted. ``files`` are the paths that some expression
    names, inside those folders or not; such a path may be a folder, which is then needed with all
    that is in it, and may not exist.
    ``problems`` are sentences for a person: local sources that can't be followed. ``remote`` are
    the other module sources, each with the folder whose files hold it. ``links`` are paths that
    lead to one of the folders by a symbolic link, each with that folder.
    """

    folders: tuple[str, ...]
    files: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    remote: tuple[tuple[str, str], ...] = ()
    links: tuple[tuple[str, str], ...] = ()


def closure_of(root: str, facts: Facts, real: Callable[[str], str | None] = str) -> Closure:
    """Follow the local sources from ``root``; ``facts`` answers None for a folder without any.

    ``real`` gives a path with its symbolic links followed. Terraform does that for every folder of
    a module before it looks for what its sources name.
    """
    folders: dict[str, None] = {root: None}
    files: set[str] = set()
    problems: dict[str, None] = {}
    remote: set[tuple[str, str]] = set()
    links: dict[str, str] = {}
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        found = facts(folder) or ModuleFacts()
        for source in found.local_sources:
            target = resolve(folder, source)
            if target is None:
                problem = (
                    "leads out of the repository (or out of the scanned folder: scan one that "
                    "holds both)"
                )
            elif "${" in source or "%{" in source:
                problem = "is not a plain path, so the module can't be found before the plan"
            elif (place := real(target)) is None or facts(place) is None:
                problem = "names no folder with Terraform files"
            else:
                if place != target:
                    links[target] = place
                    target = place
                if target not in folders:
                    folders[target] = None
                    waiting.append(target)
                continue
            problems[f"{folder}: the module source '{source}' {problem}"] = None
        files |= _files_of(folder, root, found.references)
        remote |= {(folder, source) for source in found.remote_sources}
    return Closure(
        folders=tuple(sorted(folders)),
        files=tuple(sorted(files)),
        problems=tuple(problems),
        remote=tuple(sorted(remote)),
        links=tuple(sorted(links.items())),
    )


def with_values(closure: Closure, root: str, texts: Iterable[str]) -> Closure:
    """A root's closure with what the values of its variables name, given the files' ``texts``."""
    references = (reference for text in texts for reference in references_in(text))
    found = _files_of(root, root, references)
    return replace(closure, files=tuple(sorted(found.union(closure.files))))


def holds_values(name: str) -> bool:
    """Whether terraform reads a file of this name, beside a root, for values of its variables."""
    plain = name.removesuffix(".json")
    return plain == "terraform.tfvars" or plain.endswith(".auto.tfvars")


def _files_of(folder: str, root: str, references: Iterable[Reference]) -> set[str]:
    found = set()
    for reference in references:
        base = folder if reference.base == "module" else root
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


class TreeModules:
    """The facts of a tree's folders, read when first asked for and then kept.

    ``paths`` spares listing the tree where the caller already has.
    """

    def __init__(self, tree: Tree, paths: Iterable[str] | None = None) -> None:
        self._tree = tree
        self._names: dict[str, list[str]] = {}
        self._facts: dict[str, ModuleFacts] = {}
        for path in tree.paths() if paths is None else paths:
            folder, _, name = path.rpartition("/")
            if is_terraform_file(name):
                self._names.setdefault(folder or ".", []).append(name)

    def folders(self) -> list[str]:
        """Every folder with Terraform files, sorted."""
        return sorted(self._names)

    def facts(self, folder: str) -> ModuleFacts | None:
        if folder not in self._names:
            return None
        if folder not in self._facts:
            prefix = "" if folder == "." else f"{folder}/"
            names = self._names[folder]
            self._facts[folder] = read_folder(names, lambda name: self._tree.read(prefix + name))
        return self._facts[folder]


class FolderModules:
    """The facts of folders below ``top`` on this machine, for a closure: nothing else is listed.

    A link that leads out of ``top`` is not followed.
    """

    def __init__(self, top: Path) -> None:
        self._top = top.resolve()
        self._facts: dict[str, ModuleFacts | None] = {}

    def facts(self, folder: str) -> ModuleFacts | None:
        if folder not in self._facts:
            self._facts[folder] = self._look(folder)
        return self._facts[folder]

    def real(self, folder: str) -> str | None:
        """The folder with its links followed; None where that is not below the top."""
        try:
            path = (self._top / folder).resolve()
        except (OSError, RuntimeError):  # RuntimeError: links in a circle, before Python 3.13
            return None
        return str(path.relative_to(self._top)) if path.is_relative_to(self._top) else None

    def _look(self, folder: str) -> ModuleFacts | None:
        try:
            path = (self._top / folder).resolve()
            if not path.is_relative_to(self._top):
                return None
            names = [p.name for p in path.iterdir() if is_terraform_file(p.name) and p.is_file()]
        except (OSError, RuntimeError):  # RuntimeError: links in a circle, before Python 3.13
            return None
        if not names:
            return None
        return read_folder(names, lambda name: (path / name).read_bytes(), sources_only=True)


def read_folder(
    names: Iterable[str], read: Callable[[str], bytes], *, sources_only: bool = False
) -> ModuleFacts:
    """Read a folder's files of these ``names``.

    A file that can't be read (``OSError``) is one of its errors, and hides no other file.
    """
    files: Mapping[str, bytes]
    files, errors = {}, []
    for name in names:
        try:
            files[name] = read(name)
        except OSError as error:
            reason = error.strerror or "no such file"
            shown = name.encode(errors="backslashreplace").decode()
            errors.append(HclError(file=shown, line=1, message=f"can't be read: {reason}"))
    facts = read_module(files, sources_only=sources_only)
    return replace(facts, errors=(*errors, *facts.errors)) if errors else facts
