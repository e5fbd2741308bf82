"""What a folder's Terraform files say, gathered from the tree of each."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from driftfleet.model import Record
from driftfleet.references import Reference

# Sources, paths, versions, providers and kinds of blocks of one folder. A few bytes of a file are
# a few hundred of memory, for as long as a repository is looked at.
MOST_NAMES = 20_000
_MOST_ERRORS = 100
_LOCAL = ("./", "../")
# What `terraform_data` and `terraform_remote_state` imply.
_BUILTIN = "terraform"

Body = dict[str, Any]


class RequiredVersion(Record):
    """A ``required_version``, as written, with the ``file`` in its folder and the line from 1."""

    constraint: str
    file: str
    line: int


class HclError(Record):
    """Why a file can't be read: ``file`` is its name in its folder, ``line`` counts from 1."""

    file: str
    line: int
    message: str


@dataclass(frozen=True)
class ModuleFacts:
    """What one folder's files say.

    ``local_sources`` are as written, and may hold an interpolation. ``providers`` maps a source
    (where there is none, the local name) to a constraint, ``""`` where there is none; those that
    only the types of resources tell of are among them. ``declares`` are the types of the top-level
    blocks. ``errors`` hide nothing: the other files are read. ``skipped`` are those of them that a
    bound of ours is the reason for: terraform may well read what wasn't read here, so that more is
    needed than these facts say. Of each, the first hundred.
    """

    local_sources: tuple[str, ...] = ()
    remote_sources: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    required: tuple[RequiredVersion, ...] = ()
    providers: Mapping[str, str] | None = None
    backend: str | None = None
    bucket: str = ""
    declares: frozenset[str] = frozenset()
    errors: tuple[HclError, ...] = ()
    skipped: tuple[HclError, ...] = ()

    @property
    def required_version(self) -> tuple[str, ...]:
        """The constraints alone, each once."""
        return tuple(dict.fromkeys(one.constraint for one in self.required))


# Which setting of a backend names what many roots keep their states in.
BUCKET_KEYS = {"s3": "bucket", "gcs": "bucket", "azurerm": "storage_account_name", "oss": "bucket"}


class TooManyNames(Exception):
    """The files of one folder name more than `MOST_NAMES` things."""


class Gathered:
    """The facts of one folder while its files are read; the files' trees are not kept."""

    def __init__(self) -> None:
        # By the call's name: an override file, which is read last, replaces what it overrides.
        self._sources: dict[str, str] = {}
        self._references: dict[Reference, None] = {}
        self._versions: dict[RequiredVersion, None] = {}
        # Source and constraint by local name; an override file replaces them as well.
        self._required: dict[str, tuple[str, str]] = {}
        self._provider_blocks: dict[str, dict[str, None]] = {}
        self._implied: set[str] = set()
        self._backend: str | None = None
        self._bucket = ""
        self._declares: set[str] = set()
        self._errors: list[HclError] = []
        self._skipped: list[HclError] = []

    def add_references(self, references: Iterable[Reference]) -> None:
        """Take a file's references in. Raises `TooManyNames`, having taken what fits."""
        for reference in references:
            self._references[reference] = None
            self._enforce_bound()

    def add(self, tree: Body, file: str = "", lines: Sequence[int] = ()) -> None:
        """Take in what a file's tree says. Raises `TooManyNames`, having taken what there is.

        ``lines`` are those on which a ``required_version`` stands in it, in order.
        """
        self._declares.update(key for key, value in tree.items() if value)
        for name, body in _labelled(tree.get("module")):
            if source := text_of(body.get("source")):
                self._sources[name] = source
        self._add_versions(tree, file, lines)
        for body in bodies(tree.get("terraform")):
            self._add_terraform(body)
        for name, body in _labelled(tree.get("provider")):
            # One for each alias.
            self._provider_blocks.setdefault(name, {})[text_of(body.get("version"))] = None
        self._enforce_bound()

    def add_implied(self, names: Iterable[str]) -> None:
        """Take in the local names of providers that resources use. Raises `TooManyNames`."""
        self._implied.update(map(text_of, names))
        self._enforce_bound()

    def add_error(self, error: HclError, *, skipped: bool = False) -> None:
        for errors in (self._errors, self._skipped) if skipped else (self._errors,):
            if len(errors) < _MOST_ERRORS:
                errors.append(error)

    def facts(self) -> ModuleFacts:
        sources = dict.fromkeys(self._sources.values())
        local = tuple(source for source in sources if source.startswith(_LOCAL))
        known = frozenset(local)
        return ModuleFacts(
            local_sources=local,
            remote_sources=tuple(s for s in sources if not s.startswith(_LOCAL)),
            references=tuple(r for r in self._references if r.certain or r.written not in known),
            required=tuple(self._versions),
            providers=self._providers(),
            backend=self._backend,
            bucket=self._bucket,
            declares=frozenset(self._declares),
            errors=tuple(self._errors),
            skipped=tuple(self._skipped),
        )

    def _add_versions(self, tree: Body, file: str, lines: Sequence[int]) -> None:
        values = (body.get("required_version") for body in bodies(tree.get("terraform")))
        # A number is converted by terraform, too.
        texts = [str(v) if isinstance(v, int | float) else text_of(v) for v in values]
        written = [text for text in texts if text]
        if written and overrides(file):
            # Each override file replaces what stands in all files before it.
            self._versions.clear()
        for number, text in enumerate(written):
            line = lines[number] if number < len(lines) else 1
            self._versions[RequiredVersion(constraint=text, file=text_of(file), line=line)] = None

    def _add_terraform(self, body: Body) -> None:
        for name, wanted in _labelled(body.get("required_providers"), bare=True):
            source = text_of(wanted.get("source")) or name
            self._required[name] = (source, text_of(wanted.get("version")))
        if "cloud" in body:
            self._backend = "cloud"
        for label, settings in _labelled(body.get("backend")):
            self._backend = label
            named = text_of(settings.get(BUCKET_KEYS.get(label, "")))
            # OpenTofu takes expressions there: what they come to is not known here.
            self._bucket = "" if "${" in named else named

    def _providers(self) -> dict[str, str]:
        found: dict[str, dict[str, None]] = {}
        for source, constraint in self._required.values():
            found.setdefault(source, {})[constraint] = None
        # Before Terraform 0.13 constraints stood in the provider's own blocks, and still may.
        for name, constraints in self._provider_blocks.items():
            found.setdefault(self._source_of(name), {}).update(constraints)
        for name in self._implied - {_BUILTIN}:
            found.setdefault(self._source_of(name), {})
        joined = {source: ", ".join(filter(None, terms)) for source, terms in found.items()}
        return dict(sorted(joined.items()))

    def _source_of(self, name: str) -> str:
        return self._required[name][0] if name in self._required else name

    def _enforce_bound(self) -> None:
        named = len(self._sources) + len(self._references) + len(self._versions)
        named += sum(map(len, self._provider_blocks.values()))
        named += len(self._required) + len(self._declares) + len(self._implied)
        if named > MOST_NAMES:
            raise TooManyNames


def overrides(name: str) -> bool:
    """Whether a Terraform file of that name is read after the others, and replaces theirs."""
    stem = name.removesuffix(".json").removesuffix(".tf")
    return stem == "override" or stem.endswith("_override")


def reading_order(names: Iterable[str]) -> list[str]:
    """As terraform reads a folder: override files last, so that theirs is the backend."""
    return sorted(names, key=lambda name: (overrides(name), name))


def bodies(value: Any) -> Iterator[Body]:
    """One block may be an object, several are a list of them; all else is no block."""
    for body in value if isinstance(value, list) else [value]:
        if isinstance(body, dict):
            yield body


def _labelled(value: Any, *, bare: bool = False) -> Iterator[tuple[str, Body]]:
    """(label, body) of each block; with ``bare`` a lone string counts as its ``version``."""
    for labels in bodies(value):
        for label, inner in labels.items():
            if bare and isinstance(inner, str):
                yield text_of(label), {"version": inner}
            for body in bodies(inner):
                yield text_of(label), body


def text_of(value: Any) -> str:
    """A string that can be stored: JSON escapes and file names can hold half a character."""
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else ""
