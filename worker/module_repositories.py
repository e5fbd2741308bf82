"""Mirrors of module repositories on this host: each is fetched once a sweep and not once a check.

A mirror is a bare repository with the branches and tags of its original. A check's `terraform get`
clones from it instead of from the server (docs/adr/0009). Whatever goes wrong with one: `get` then
asks the server itself.
"""

import contextlib
import hashlib
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import structlog

from driftfleet.github.host import Host
from worker.failure_rows import PASSING
from worker.module_disk import Locks, State, fallow, read_state, remove, size_of, write_state
from worker.module_git import Git, GitFailed
from worker.module_reading import has_commit, is_full_sha

log = structlog.get_logger()
T = TypeVar("T")

_CONFIG = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n"
_FIRST_HEAD = "ref: refs/heads/main\n"
# With these a repository takes objects, or settings, from elsewhere.
_FOREIGN = ("hooks", "commondir", "gitdir", "config.worktree", "objects/info", "worktrees", "info")
_MOVED = re.compile(r"(?:HTTP|error:) 30[1278]\b")
_MOST_SWEEPS = 64
_MOST_PACKS = 40
_REPACK_SECONDS = 60.0
# After a failure so many checks would all try again in vain; what fails is get's to tell.
_FAILED_SECONDS = 60.0
_TOO_LARGE_SECONDS = 86_400.0


class TooLarge(GitFailed):
    """A repository outgrew what all mirrors together may take."""


class ModuleRepositories:
    """The mirrors in ``folder``, at most ``limit_bytes`` of them: the least recently used go.

    Shared by the processes of a host. ``now`` is the time of day in seconds.
    """

    def __init__(
        self, folder: Path, host: Host, limit_bytes: int, now: Callable[[], float] = time.time
    ) -> None:
        self._folder = folder
        self._host = host
        self._limit = limit_bytes
        self._now = now
        self._locks = Locks(folder / ".locks")

    @contextlib.contextmanager
    def use(self, git: Git, sweep_id: str) -> Iterator["Mirrors"]:
        """Mirrors for one check; none that it uses is removed before the block ends."""
        with contextlib.ExitStack() as held:
            yield Mirrors(self, git, sweep_id, held)

    def path(self, repo: str) -> Path:
        """Where the mirror of ``owner/name`` is."""
        # GitHub ignores the case of both. No name continues another: git replaces mere prefixes.
        name = repo.lower()
        digest = hashlib.sha256(f"{self._host.web_url}/{name}".encode()).hexdigest()[:12]
        return self._folder / f"{name.replace('/', '.')[:100]}.{digest}"

    def is_fresh(self, git: Git, path: Path, sweep_id: str, ref: str) -> bool:
        """Whether a mirror is good for a ref in a sweep; one commit by its SHA is always itself."""
        state = read_state(path)
        if state is None or not _is_sound(path):
            return False
        pinned = is_full_sha(ref)
        return sweep_id in state.sweeps or (pinned and has_commit(git, path, ref))

    def refresh(self, git: Git, repo: str, sweep_id: str, ref: str) -> bool:
        """Bring a mirror up to date, unless another check just has; False where that failed."""
        path = self.path(repo)
        with self._locks.hold(f"{path.name}.fetch", deadline=git.deadline):
            if self.is_fresh(git, path, sweep_id, ref):
                return True
            state = read_state(path) or State()
            # No failure of ours holds for longer: the clock was ahead then.
            if 0 < state.failed_until - self._now() <= _TOO_LARGE_SECONDS:
                return False
            try:
                self._fetch(git, repo, path)
            except GitFailed as error:
                wait = _TOO_LARGE_SECONDS if isinstance(error, TooLarge) else _FAILED_SECONDS
                path.mkdir(mode=0o700, exist_ok=True)
                known = state if _is_sound(path) else State()
                write_state(path, replace(known, failed_until=self._now() + wait))
                log.info("module_not_mirrored", repo=repo, reason=str(error))
                return False
            sweeps = (*state.sweeps, sweep_id)[-_MOST_SWEEPS:]
            write_state(path, State(sweeps=sweeps, bytes=size_of(path)))
        self.trim()
        return True

    def hold(self, path: Path, git: Git) -> contextlib.AbstractContextManager[None]:
        """Keep a mirror from being removed."""
        return self._locks.hold(f"{path.name}.use", shared=True, deadline=git.deadline)

    def touch(self, path: Path) -> None:
        """Note that a mirror was used just now."""
        with contextlib.suppress(OSError):
            state = path / "state.json"
            if state.exists():
                state.touch()

    def drop(self, paths: Iterable[Path]) -> None:
        """Remove mirrors that nobody uses: with one of them a `get` failed."""
        for path in paths:
            with self._locks.try_hold(f"{path.name}.use") as alone:
                if alone:
                    remove(path)

    def trim(self) -> None:
        """Remove the least recently used mirrors until the rest is under the limit."""
        mirrors = fallow(self._folder)
        used = sum(mirror.bytes for mirror in mirrors)
        for mirror in mirrors:
            if used <= self._limit:
                return
            with self._locks.try_hold(f"{mirror.path.name}.use") as alone:
                if alone:
                    remove(mirror.path)
                    used -= mirror.bytes

    def _fetch(self, git: Git, repo: str, path: Path) -> None:
        url = f"{self._host.web_url}/{repo}.git"
        listing = ["ls-remote", "--symref", "--", url, "HEAD", "refs/heads/*", "refs/tags/*"]
        try:
            listed = _persistently(lambda: git.remote(listing))
        except GitFailed as error:
            if not _MOVED.search(str(error)):
                raise
            # Git before 2.46 loses a redirect that comes after a 401, as for a renamed repository.
            # curl follows it, and keeps the token to its own host (CURLOPT_UNRESTRICTED_AUTH).
            follow = f"http.{self._host.web_url}.followRedirects=true"
            git = replace(git, settings=(*git.settings, follow))
            listed = git.remote(listing)
        head, refs = _read_refs(listed)
        if head is None or not refs:
            raise GitFailed("it has no branch that is the default one")
        _prepare(path)
        try:
            if refs != _own_refs(git, path):
                _persistently(lambda: self._bring(git, url, path))
        except GitFailed:
            # Whether the network or the mirror is broken can't be told: begin anew next time.
            remove(path)
            raise
        _write(path / "HEAD", f"ref: {head}\n")

    def _bring(self, git: Git, url: str, path: Path) -> None:
        def watch() -> None:
            if size_of(path) > self._limit:
                raise TooLarge(f"it is larger than the {self._limit:,} bytes of all mirrors")

        git.remote(
            [
                "--git-dir", str(path), "fetch", "--quiet", "--prune", "--force", "--no-tags",
                "--no-write-fetch-head", "--no-recurse-submodules", "--", url,
                "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*",
            ],
            file_bytes=self._limit,
            watch=watch,
        )  # fmt: skip
        watch()
        packs = list((path / "objects" / "pack").glob("*.pack"))
        if len(packs) > _MOST_PACKS and git.deadline - time.monotonic() > _REPACK_SECONDS:
            git.local(path, "repack", "-a", "-d", "-n", "-q")


class Mirrors:
    """The mirrors that one check uses."""

    def __init__(
        self,
        repositories: ModuleRepositories,
        git: Git,
        sweep_id: str,
        held: contextlib.ExitStack,
    ) -> None:
        self._repositories = repositories
        self._git = git
        self._sweep_id = sweep_id
        self._held = held
        self._paths: set[Path] = set()

    def get(self, repo: str, ref: str) -> Path | None:
        """The mirror of a repository, good for ``ref``; None where there is none to be had.

        Raises `CheckFailed` where the check's time is up meanwhile.
        """
        path = self._repositories.path(repo)
        try:
            if path not in self._paths:
                self._held.enter_context(self._repositories.hold(path, self._git))
                self._paths.add(path)
            fresh = self._repositories.is_fresh(self._git, path, self._sweep_id, ref)
            if not fresh and not self._repositories.refresh(self._git, repo, self._sweep_id, ref):
                return None
            self._repositories.touch(path)
        except OSError as error:
            # A full disk, most often: the check itself may still have room.
            log.warning("module_not_mirrored", repo=repo, reason=error.strerror)
            return None
        return path

    def distrust(self) -> None:
        """Give all of them back and have them fetched anew: `get` failed with them."""
        self._held.close()
        with contextlib.suppress(OSError):
            self._repositories.drop(self._paths)
        self._paths = set()


def _persistently(call: Callable[[], T]) -> T:
    """Call once more where the network failed: without a mirror each check would ask for itself."""
    try:
        return call()
    except GitFailed as error:
        if not PASSING.search(str(error)):
            raise
        log.info("module_git_tried_again", reason=str(error))
        return call()


def _prepare(path: Path) -> None:
    """Make an empty bare repository, or clear what a killed fetch has left in one."""
    if not _is_sound(path):
        remove(path)
        for folder in ("objects/pack", "refs/heads", "refs/tags"):
            (path / folder).mkdir(mode=0o700, parents=True)
        _write(path / "HEAD", _FIRST_HEAD)
        _write(path / "config", _CONFIG)
    leftovers = [*path.glob("*.lock"), *path.glob("refs/**/*.lock")]
    for file in (*leftovers, *path.glob("objects/pack/tmp_*"), *path.glob("objects/pack/.tmp-*")):
        file.unlink(missing_ok=True)


def _is_sound(path: Path) -> bool:
    """Whether a mirror has the settings that we gave it, and nothing foreign."""
    try:
        config = (path / "config").read_bytes() if not path.is_symlink() else b""
    except OSError:
        return False
    return config == _CONFIG.encode() and not any((path / name).exists() for name in _FOREIGN)


def _read_refs(listed: bytes) -> tuple[str | None, dict[str, str]]:
    """The branch that HEAD is, and the SHA of each ref, from ``ls-remote --symref``."""
    head, refs = None, {}
    for line in listed.decode("utf-8", "surrogateescape").split("\n"):
        value, _, name = line.partition("\t")
        if name == "HEAD":
            if value.startswith("ref: refs/heads/"):
                head = value.removeprefix("ref: ")
        elif name and not name.endswith("^{}"):
            refs[name] = value
    return head, refs


def _own_refs(git: Git, path: Path) -> dict[str, str]:
    listed = git.local(path, "for-each-ref", "--format=%(objectname)%09%(refname)")
    return _read_refs(listed)[1]


def _write(path: Path, text: str) -> None:
    staged = path.with_name(f".{path.name}.new")
    staged.write_text(text, encoding="utf-8", errors="surrogateescape")
    staged.replace(path)
