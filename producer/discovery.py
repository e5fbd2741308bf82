"""The files of a repository -> its root modules, with the reason for each folder. Pure."""

import hashlib
from collections.abc import Iterable
from typing import Literal, NamedTuple

from pydantic import Field

from driftfleet.closure import Closure, Closures, is_beneath, resolve
from driftfleet.errors import SourceRefused
from driftfleet.globs import folder_matches
from driftfleet.hcl import HclError, ModuleFacts
from driftfleet.model import Record
from driftfleet.module_facts import RequiredVersion
from driftfleet.module_folders import TreeModules
from driftfleet.tree import LOCK_FILE, Tree, decides_plan
from driftfleet.versions.version_file import TERRAFORM_FILE, Asked
from producer.version_files import read_version_files

# Folders whose modules are for others to call, or to show and test them.
_SUPPORTING = frozenset({"modules", "examples", "test", "tests"})
# Folders that terraform and terragrunt write: copies, which call nothing and are called by nobody.
_GENERATED = frozenset({".terraform", ".terragrunt-cache"})
# Names that are followed for all roots of a repository: where each of a thousand roots needs a
# thousand folders, telling them all would take a gigabyte.
_MOST_FOLLOWED = 2_000_000
_PLANNED = {
    "resource": "resources",
    "data": "data sources",
    "module": "module calls",
    "provider": "a provider",
}


class Folder(Record):
    """One folder with Terraform files. Paths are relative to the repository's top.

    ``kind``: a ``root`` is planned; a ``child`` is called by another folder; an ``other`` is
    neither, and nothing in it asks for a plan; an ``ignored`` one is left out by its place or by a
    glob. ``reason`` is a sentence for a person. ``needs`` are the module folders outside this one
    that a root needs, ``within`` those inside it, ``files`` the other paths outside both that exist
    and are named by it; ``problems`` are local sources that can't be followed. ``providers`` maps
    sources to constraints, ``""`` where there is none. ``bucket`` is where the backend keeps
    states, as it is written there.
    """

    path: str
    kind: Literal["root", "child", "other", "ignored"]
    reason: str
    needs: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    required_version: tuple[str, ...] = ()
    required: tuple[RequiredVersion, ...] = ()
    providers: dict[str, str] = Field(default_factory=dict)
    backend: str | None = None
    bucket: str = ""
    terraform_version: str | None = None
    lock_file: bool = False
    problems: tuple[str, ...] = ()
    errors: tuple[HclError, ...] = ()


class Discovery(Record):
    """Every folder with Terraform files, by path.

    ``digest`` is that of the files which decide what a plan is: Terraform files, variable files,
    lock files and version files. ``version_files`` are what those ask for that count for a root.
    """

    folders: tuple[Folder, ...]
    digest: str
    version_files: tuple[Asked, ...] = ()

    @property
    def roots(self) -> tuple[Folder, ...]:
        """The folders that are planned, those in error too."""
        return tuple(folder for folder in self.folders if folder.kind == "root")


class _Class(NamedTuple):
    kind: Literal["root", "child", "other", "ignored"]
    reason: str


def discover(tree: Tree, include: Iterable[str] = (), exclude: Iterable[str] = ()) -> Discovery:
    """Class every folder; ``include`` makes roots and ``exclude``, which wins, drops folders.

    Both hold globs as `folder_matches` reads them.
    """
    paths = frozenset(tree.paths())
    existing = paths | _folders_above(paths)
    modules = TreeModules(tree, paths)
    callers = _callers(modules)
    closures, followed = Closures(modules.facts), 0
    include, exclude = tuple(include), tuple(exclude)
    folders = []
    for path in modules.folders():
        facts = modules.facts(path) or ModuleFacts()
        verdict = (
            _by_name(path)
            or _by_glob(path, include, exclude)
            or _by_facts(path, facts)
            or _by_callers(path, callers.get(path, ()))
            or _by_content(facts)
        )
        closure = None
        if verdict.kind == "root":
            closure = closures.of(path) if followed <= _MOST_FOLLOWED else _not_followed(path)
            followed += closure.followed
        folders.append(_record(path, verdict, facts, tree=tree, closure=closure, existing=existing))
    roots = [folder.path for folder in folders if folder.kind == "root"]
    return Discovery(
        folders=tuple(folders),
        digest=_digest(tree, paths),
        version_files=read_version_files(tree, paths, roots),
    )


def _callers(modules: TreeModules) -> dict[str, list[str]]:
    """Folder -> the other folders that name it as a local source."""
    callers: dict[str, list[str]] = {}
    for path in modules.folders():
        facts = modules.facts(path)
        if facts is None or _part_in(path, _GENERATED):
            continue
        for target in {resolve(path, source) for source in facts.local_sources}:
            if target is not None and target != path:
                callers.setdefault(target, []).append(path)
    return callers


def _by_name(path: str) -> _Class | None:
    if _storable(path) != path:
        return _Class("ignored", "has a name that is not UTF-8, so no job can name it")
    return None


def _by_glob(path: str, include: tuple[str, ...], exclude: tuple[str, ...]) -> _Class | None:
    for glob in exclude:
        if folder_matches(path, glob):
            return _Class("ignored", f"matches the exclude glob '{glob}'")
    for glob in include:
        if folder_matches(path, glob):
            return _Class("root", f"matches the include glob '{glob}'")
    return None


def _by_facts(path: str, facts: ModuleFacts) -> _Class | None:
    if generated := _part_in(path, _GENERATED):
        return _Class("ignored", f"is under {generated}/, which terraform or a wrapper wrote")
    if facts.errors:
        first = facts.errors[0]
        return _Class("root", f"can't be read: {first.file}:{first.line}: {first.message}")
    if facts.backend:
        what = "cloud block" if facts.backend == "cloud" else f"backend block ({facts.backend})"
        return _Class("root", f"has a {what}")
    return None


def _by_callers(path: str, callers: Iterable[str]) -> _Class | None:
    if callers := sorted(callers):
        more = f" and {len(callers) - 1} more" if len(callers) > 1 else ""
        return _Class("child", f"is called by {_storable(callers[0])}{more}")
    if supporting := _part_in(path, _SUPPORTING):
        return _Class("ignored", f"is under {supporting}/, has no backend, and nothing calls it")
    return None


def _by_content(facts: ModuleFacts) -> _Class:
    planned = [words for block, words in _PLANNED.items() if block in facts.declares]
    if not planned:
        return _Class("other", "declares no resource, data source, module call or provider")
    words = " and ".join(filter(None, [", ".join(planned[:-1]), planned[-1]]))
    return _Class("root", f"declares {words}, and no other folder calls it")


def _part_in(path: str, names: frozenset[str]) -> str | None:
    return next((part for part in path.split("/") if part in names), None)


def _record(
    path: str,
    verdict: _Class,
    facts: ModuleFacts,
    *,
    tree: Tree,
    closure: Closure | None,
    existing: frozenset[str],
) -> Folder:
    closure = closure or Closure((path,))
    within = frozenset(closure.folders)
    prefix = "" if path == "." else f"{path}/"
    return Folder(
        path=_storable(path),
        kind=verdict.kind,
        reason=verdict.reason,
        needs=tuple(folder for folder in closure.folders if not is_beneath(folder, path)),
        within=tuple(f for f in closure.folders if f != path and is_beneath(f, path)),
        files=tuple(
            file for file in closure.files if file in existing and not _is_within(file, within)
        ),
        required_version=facts.required_version,
        required=facts.required,
        providers=dict(facts.providers or {}),
        backend=facts.backend,
        bucket=facts.bucket,
        terraform_version=(
            _first_word(tree, own_file)
            if (own_file := prefix + TERRAFORM_FILE) in existing
            else None
        ),
        lock_file=prefix + LOCK_FILE in existing,
        problems=closure.problems,
        errors=facts.errors,
    )


def _not_followed(path: str) -> Closure:
    problem = (
        f"{path}: what it needs is not listed: the roots before it need so much that more than "
        f"{_MOST_FOLLOWED:,} names were followed; a check of it follows its own all the same"
    )
    return Closure((path,), problems=(problem,))


def _is_within(path: str, folders: frozenset[str]) -> bool:
    """Whether ``path`` is one of the folders or beneath one."""
    while path not in folders and path != ".":
        path = path.rpartition("/")[0] or "."
    return path in folders


def _folders_above(paths: Iterable[str]) -> frozenset[str]:
    found = {"."}
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return frozenset(found)


def _storable(path: str) -> str:
    """A file name may be bytes that no text can hold; shown escaped, as `ls` does."""
    return path.encode(errors="backslashreplace").decode()


def _first_word(tree: Tree, path: str) -> str | None:
    """The version that a `.terraform-version` asks for: its first word outside comments."""
    try:
        text = tree.read(path)[:4096].decode("utf-8-sig", errors="replace")
    except (OSError, SourceRefused):
        return None
    words = (line.partition("#")[0].split() for line in text.splitlines())
    return next((found[0] for found in words if found), None)


def _digest(tree: Tree, paths: frozenset[str]) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        if decides_plan(path.rpartition("/")[2]):
            digest.update(f"{path}\0".encode(errors="surrogateescape"))
            try:
                digest.update(tree.identify(path))
            except (OSError, SourceRefused):
                digest.update(b"\0" * 32)
    return digest.hexdigest()[:40]
