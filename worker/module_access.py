"""Modules that aren't in the root's own repository: how `terraform get`, and it alone, has them.

remote sources -> refuse what can't work -> serve the token -> mirror what is on the host, and
what that names in turn -> run `terraform get` where git finds all this
"""

import contextlib
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import structlog

from driftfleet.errors import CheckFailed, ConfigurationError, DriftfleetError, GitHubUnavailable
from driftfleet.git_version import OLDEST_GIT, is_new_enough
from driftfleet.github.host import Host
from driftfleet.hcl import is_terraform_file
from driftfleet.jobs import Job
from driftfleet.module_source import ModuleSource, parse
from worker.git_access import access_environment, is_ours, spellings, why_impossible
from worker.module_git import Git, GitFailed
from worker.module_reading import commit_of, nested_sources
from worker.module_repositories import Mirrors, ModuleRepositories
from worker.module_token import TokenService, TokenSource
from worker.process import Programs
from worker.workspace import Workspace

log = structlog.get_logger()
# With an environment, and the mirrors that this leads git to.
Get = Callable[[Mapping[str, str], Sequence[Path]], None]

# What is nested deeper, or in more repositories, is fetched by terraform alone.
_DEEPEST = 10
_MOST_SOURCES = 500
_MOST_REPOSITORIES = 64
_MOST_PROBLEMS = 5
_SEARCHED_BYTES = 1 << 20


class Named(NamedTuple):
    """A module source, and for a person where it stands."""

    source: ModuleSource
    place: str
    depth: int = 0


@dataclass
class Found:
    """What the sources of a root lead to; ``mirrors`` maps URLs as written to the repositories."""

    sources: list[ModuleSource] = field(default_factory=list)
    mirrors: dict[str, Path] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ModuleAccess:
    """Gives one GitHub host's modules to `terraform get`."""

    host: Host
    tokens: TokenSource
    repositories: ModuleRepositories
    programs: Programs
    _known_gits: set[Path] = field(default_factory=set, repr=False)

    def fetch(
        self,
        job: Job,
        remote: Sequence[tuple[str, str]],
        workspace: Workspace,
        *,
        environment: Mapping[str, str],
        deadline: float,
        get: Get,
    ) -> None:
        """Call ``get`` with the environment that it needs.

        ``remote`` are the (folder, source) pairs of the root's closure, ``environment`` is
        terraform's. Where it fails with mirrors it is tried once more without.

        Raises
        ------
        CheckFailed
            Of kind ``module_fetch`` at once where a source can't work; else what ``get`` raises.
        CredentialsRefused, SecretUnavailable, GitHubUnavailable
            There is no token to be had, or it was refused, or the host is in trouble.
        """
        named = [
            Named(parse(source), _place(workspace.source, folder, source))
            for folder, source in remote
        ]
        self.refuse(named)
        with contextlib.ExitStack() as stack:
            sources = [n.source for n in named]
            needed = any(is_ours(self.host, source) for source in sources)
            service, helper = self._serve(workspace, stack, deadline, needed=needed)
            given = access_environment(environment, self.host, sources, helper=helper)
            if not needed:
                get(given, ())
                return
            git = self._git(workspace, given, deadline, service)
            with self.repositories.use(git, job.sweep_id) as mirrors:
                found = self._follow(named, git, mirrors)
                _raise(found.problems)
                given = access_environment(environment, self.host, found.sources, helper=helper)
                mirrored = access_environment(
                    environment, self.host, found.sources, helper=helper, mirrors=found.mirrors
                )
                first = None
                if found.mirrors:
                    first = (mirrored, mirrors.distrust, sorted(set(found.mirrors.values())))
                with self._passing():
                    _attempt(get, first, given, service)

    @contextlib.contextmanager
    def _passing(self) -> Iterator[None]:
        """The host's trouble is no answer, here as little as in its API: it is tried again."""
        try:
            yield
        except CheckFailed as failure:
            ours = failure.transient and self.host.name in failure.message
            if failure.kind == "module_fetch" and ours:
                raise GitHubUnavailable(failure.message) from failure
            raise

    def refuse(self, named: Iterable[Named]) -> None:
        """Raise `CheckFailed` (``module_fetch``) where sources can't work, naming each."""
        _raise([p for n in named if (p := self._problem(n))])

    def _problem(self, named: Named) -> str | None:
        reason = why_impossible(self.host, named.source)
        if reason is None:
            return None
        return f"{named.place}: the module source '{named.source.printable}' {reason}"

    def _serve(
        self,
        workspace: Workspace,
        stack: contextlib.ExitStack,
        deadline: float,
        *,
        needed: bool,
    ) -> tuple[TokenService | None, Path | None]:
        """Serve the token; where no source is known to need it, only if it can be had."""
        try:
            token = self.tokens.token()
        except DriftfleetError as error:
            if needed:
                raise
            log.info("module_token_missing", host=self.host.name, reason=error.message)
            token = None
        if token is None:
            return None, None
        service = TokenService(self.host, self.tokens, token, deadline)
        return service, stack.enter_context(service.serve(workspace.temporary / "g"))

    def _git(
        self,
        workspace: Workspace,
        environment: Mapping[str, str],
        deadline: float,
        service: TokenService | None,
    ) -> Git:
        program = shutil.which("git", path=environment.get("PATH"))
        if program is None:
            raise ConfigurationError(
                "git is no program on this worker, and the root's modules are in git "
                "repositories: install it"
            )
        git = Git(
            program=Path(program).absolute(),
            programs=self.programs,
            workspace=workspace,
            environment=environment,
            deadline=deadline,
            renewed=service.take_renewal if service else lambda: False,
        )
        if git.program not in self._known_gits:
            _require_version(git)
            self._known_gits.add(git.program)
        return git

    def _follow(self, named: Iterable[Named], git: Git, mirrors: Mirrors) -> Found:
        """Mirror what is on the host, and follow what the modules there name in turn."""
        found = Found()
        repositories: set[str] = set()
        seen: set[tuple[str, str, str]] = set()
        waiting = deque(named)
        while waiting:
            current = waiting.popleft()
            source = current.source
            if problem := self._problem(current):
                found.problems.append(problem)
            found.sources.append(source)
            key = (source.repo.lower(), source.ref, source.folder)
            if not self._can_be_mirrored(source) or len(found.sources) > _MOST_SOURCES:
                continue
            if key[0] not in repositories and len(repositories) >= _MOST_REPOSITORIES:
                continue
            repositories.add(key[0])
            mirror = mirrors.get(source.repo, source.ref)
            if mirror is None:
                continue
            found.mirrors |= dict.fromkeys(spellings(self.host, source), mirror)
            if key not in seen and current.depth < _DEEPEST:
                seen.add(key)
                waiting.extend(_nested(current, git, mirror))
        return found

    def _can_be_mirrored(self, source: ModuleSource) -> bool:
        ours = is_ours(self.host, source) and not source.has_password
        return ours and bool(source.repo) and source.plain


def _attempt(
    get: Get,
    first: tuple[Mapping[str, str], Callable[[], None], Sequence[Path]] | None,
    second: Mapping[str, str],
    service: TokenService | None,
) -> None:
    """Try with mirrors, then without, and again where a refused token was renewed meanwhile."""
    if first is not None:
        environment, distrust, mirrors = first
        try:
            get(environment, mirrors)
        except CheckFailed as failure:
            if failure.kind != "module_fetch":
                raise
            log.info("module_mirrors_failed", reason=failure.message)
            distrust()
        else:
            return
    try:
        get(second, ())
    except CheckFailed as failure:
        if failure.kind != "module_fetch" or service is None:
            raise
        if service.failure is not None:
            raise service.failure from failure
        if not service.take_renewal():
            raise
    else:
        return
    get(second, ())


def _nested(caller: Named, git: Git, mirror: Path) -> Iterator[Named]:
    """The sources that a mirrored module names; none where it can't be read with certainty."""
    source = caller.source
    try:
        commit = commit_of(git, mirror, source.ref)
        found = nested_sources(git, mirror, commit, source.folder) if commit else []
    except GitFailed as error:
        log.info("module_not_followed", repo=source.repo, ref=source.ref, reason=str(error))
        return
    at = f"{source.repo} at {source.ref or 'its default branch'}"
    for folder, written in found:
        yield Named(parse(written), f"{at}, folder {folder}", caller.depth + 1)


def _place(top: Path, folder: str, source: str) -> str:
    """The file that holds a source; its folder where that isn't plain."""
    needle = source.encode(errors="surrogateescape")
    with contextlib.suppress(OSError):
        for path in sorted((top / folder).iterdir()):
            small = is_terraform_file(path.name) and path.stat().st_size <= _SEARCHED_BYTES
            if small and needle in path.read_bytes():
                return path.relative_to(top).as_posix()
    return folder


def _raise(problems: Sequence[str]) -> None:
    if problems:
        shown = "; ".join(dict.fromkeys(problems[:_MOST_PROBLEMS]))
        more = len(problems) - _MOST_PROBLEMS
        raise CheckFailed("init", "module_fetch", shown + (f"; and {more} more" * (more > 0)))


def _require_version(git: Git) -> None:
    try:
        printed = replace(git, renewed=lambda: False).remote(["version"]).decode("utf-8", "replace")
    except GitFailed as error:
        raise ConfigurationError(f"{git.program} can't be run: {error}") from error
    if not is_new_enough(printed):
        raise ConfigurationError(
            f"{git.program} is too old ({printed.strip()}): private modules need git "
            f"{OLDEST_GIT} or newer"
        )
