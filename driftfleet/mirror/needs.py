"""The root modules of a repository -> the provider versions that they need.

A root's lock file tells exact versions, and what they must hash to. What it doesn't record, and all
that a root without one asks for, is told by the constraints of the root and of the child modules
that it reaches, and by the types of their resources. Which host a short source means depends on the
program that plans the root.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from driftfleet.closure import Closure, Closures
from driftfleet.errors import SourceRefused
from driftfleet.mirror.constraint import newest
from driftfleet.mirror.layout import full_address, is_address, is_version
from driftfleet.mirror.locked import (
    LOCK_FILE_BYTES,
    is_as_terraform_writes,
    lock_text,
    locked_providers,
)
from driftfleet.module_facts import ModuleFacts
from driftfleet.module_folders import TreeModules
from driftfleet.tree import LOCK_FILE, Tree
from driftfleet.versions.constraint import LONGEST_CONSTRAINT
from driftfleet.versions.version_file import Program


@dataclass(frozen=True)
class Need:
    """A provider that some roots need: an exact ``version``, or, where that is "", a constraint.

    ``locks`` holds, by root, the hashes that its lock file records; only for exact versions, and
    only where there are some. ``roots`` are names for a person.
    """

    address: str
    version: str = ""
    constraint: str = ""
    roots: tuple[str, ...] = ()
    locks: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def wanted(self) -> str:
        """For a person: ``5.100.0``, ``~> 5.0`` or ``any version``."""
        return self.version or self.constraint or "any version"


@dataclass(frozen=True)
class Needs:
    """What roots need; each ``gap`` is a sentence about a root of which not all is known."""

    needs: tuple[Need, ...] = ()
    gaps: tuple[str, ...] = ()


def merged(several: Iterable[Needs]) -> Needs:
    """All of them in one: what is wanted alike counts once, sorted."""
    found: dict[tuple[str, str, str], Need] = {}
    gaps: dict[str, None] = {}
    for needs in several:
        gaps.update(dict.fromkeys(needs.gaps))
        for need in needs.needs:
            key = (need.address, need.version, need.constraint)
            before = found.get(key, Need(*key))
            roots = tuple(dict.fromkeys((*before.roots, *need.roots)))
            found[key] = Need(*key, roots, {**before.locks, **need.locks})
    return Needs(tuple(found[key] for key in sorted(found)), tuple(gaps))


def needs_of(tree: Tree, roots: Iterable[tuple[str, Program]], name: str) -> Needs:
    """What the roots, folders of ``tree``, need, each with a program that may plan it.

    ``name`` is the repository's, for people.
    """
    modules = TreeModules(tree)
    closures = Closures(modules.facts)
    return merged(
        _RootNeeds(tree, modules, closures.of(root), root, name).read(program)
        for root, program in roots
    )


class _RootNeeds:
    """Reads one root."""

    def __init__(
        self, tree: Tree, modules: TreeModules, closure: Closure, root: str, name: str
    ) -> None:
        self._tree = tree
        self._closure = closure
        self._root = root
        self._title = f"{name}:{root}"
        facts = [modules.facts(folder) for folder in closure.folders]
        self._facts = [one for one in facts if one is not None]
        self._gaps: list[str] = []

    def read(self, program: Program) -> Needs:
        text = self._lock_text()
        needs = [] if text is None else self._locked(text)
        known = {need.address for need in needs}
        wanted = self._wanted(self._facts, program)
        if text is None:
            # A lock file records what all modules need, those that we can't see too.
            self._doubt_modules()
        needs += [
            Need(address, constraint=", ".join(sorted(terms)), roots=(self._title,))
            for address, terms in wanted.items()
            if address not in known and self._is_short(address, terms)
        ]
        return Needs(tuple(needs), tuple(self._gaps))

    def _gap(self, sentence: str) -> None:
        self._gaps.append(f"{self._title}: {sentence}")

    def _lock_text(self) -> str | None:
        path = LOCK_FILE if self._root == "." else f"{self._root}/{LOCK_FILE}"
        try:
            content = self._tree.read(path)
            if len(content) > LOCK_FILE_BYTES:
                self._gap(f"{LOCK_FILE} is larger than any that terraform writes")
                return None
            return lock_text(content)
        except FileNotFoundError:
            return None
        except (OSError, SourceRefused, UnicodeDecodeError) as error:
            self._gap(f"{LOCK_FILE} can't be read: {error}")
            return None

    def _locked(self, text: str) -> list[Need]:
        if not is_as_terraform_writes(text):
            self._gap(f"{LOCK_FILE} is not as terraform writes it: not all of it was understood")
        needs = []
        for provider in locked_providers(text):
            version = provider.version or ""
            if not is_address(provider.address) or not is_version(version):
                self._gap(f"{LOCK_FILE}: {provider.address!a} {version!a} is no provider's version")
                continue
            locks = {self._title: provider.hashes} if provider.hashes else {}
            needs.append(Need(provider.address, version, roots=(self._title,), locks=locks))
        return needs

    def _wanted(self, facts: Iterable[ModuleFacts], program: Program) -> dict[str, list[str]]:
        """Address -> the constraints of all modules."""
        found: dict[str, list[str]] = {}
        for module in facts:
            for source, constraint in (module.providers or {}).items():
                try:
                    address = full_address(source, program)
                    newest((), constraint)
                except ValueError as error:
                    self._gap(f"provider {source!a}: {error}")
                    continue
                if address is not None:
                    terms = found.setdefault(address, [])
                    if constraint.strip() and constraint.strip() not in terms:
                        terms.append(constraint.strip())
        return found

    def _doubt_modules(self) -> None:
        for problem in self._closure.problems:
            self._gap(problem)
        for facts in self._facts:
            for error in facts.errors:
                self._gap(f"{error.file}:{error.line}: {error.message}")
        if self._closure.remote:
            sources = ", ".join(sorted({source for _, source in self._closure.remote})[:3])
            self._gap(
                f"has no {LOCK_FILE}, and calls modules that are elsewhere ({sources}): which "
                "providers those need is not known. Commit a lock file (`terraform init`)"
            )

    def _is_short(self, address: str, terms: list[str]) -> bool:
        if len(", ".join(terms)) > LONGEST_CONSTRAINT:
            self._gap(f"{address}: its constraints are too long to be read")
            return False
        return True
