"""Real bare git repositories, made fast and read through one lasting git process each."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

_EPOCH = 1_700_000_000


@dataclass(frozen=True)
class Link:
    """A symbolic link: git mode 120000."""

    target: str


@dataclass(frozen=True)
class Submodule:
    """A gitlink, mode 160000; ``url`` goes into ``.gitmodules`` where the files have none."""

    url: str
    sha: str


@dataclass(frozen=True)
class Executable:
    """A file of mode 100755."""

    content: bytes | str


File = bytes | str | Link | Submodule | Executable


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One line of ``git ls-tree``; ``size`` is None for what is no blob."""

    path: str
    mode: str
    type: str
    sha: str
    size: int | None


def git_environment() -> dict[str, str]:
    """An environment in which nobody's own git configuration counts."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "LC_ALL": "C",
    }


def git(folder: Path | None, *arguments: str, stdin: bytes = b"") -> bytes:
    """Run git (in a bare repository, where one is named) and return what it wrote."""
    where = ["--git-dir", str(folder)] if folder else []
    done = subprocess.run(
        ["git", *where, *arguments],
        input=stdin,
        capture_output=True,
        env=git_environment(),
        check=False,
    )
    assert done.returncode == 0, (arguments, done.stderr.decode(errors="replace"))
    return done.stdout


def create_bare(folder: Path, default_branch: str = "main") -> None:
    """An empty bare repository, with what GitHub allows those who fetch."""
    git(None, "init", "--quiet", "--bare", "--template=", f"-b{default_branch}", str(folder))
    with (folder / "config").open("a") as config:
        config.write("[uploadpack]\n\tallowFilter = true\n\tallowAnySHA1InWant = true\n")


def import_commit(
    folder: Path,
    files: Mapping[str, File],
    delete: Iterable[str] = (),
    *,
    branch: str,
    message: str = "A change",
    when: int = _EPOCH,
) -> str:
    """Commit on top of a branch (made where it is missing) and return the commit's SHA."""
    exists = (folder / "refs/heads" / branch).exists()
    about = _Commit(branch, message, when, on_top=exists)
    parts = _import_stream(_with_gitmodules(files), delete, about)
    out = git(folder, "fast-import", "--quiet", "--force", stdin=b"".join(parts))
    return out.decode().strip()


def _with_gitmodules(files: Mapping[str, File]) -> Mapping[str, File]:
    modules = {path: f for path, f in files.items() if isinstance(f, Submodule)}
    if not modules or ".gitmodules" in files:
        return files
    text = "".join(
        f'[submodule "{path}"]\n\tpath = {path}\n\turl = {module.url}\n'
        for path, module in modules.items()
    )
    return {**files, ".gitmodules": text}


@dataclass(frozen=True)
class _Commit:
    branch: str
    message: str
    when: int
    on_top: bool


def _import_stream(
    files: Mapping[str, File], delete: Iterable[str], about: _Commit
) -> Iterator[bytes]:
    marks: dict[bytes, int] = {}
    changes = [b"D " + _quoted(path) + b"\n" for path in delete]
    for path, file in files.items():
        if isinstance(file, Submodule):
            changes.append(b"M 160000 " + file.sha.encode() + b" " + _quoted(path) + b"\n")
            continue
        mode, content = _blob(file)
        if content not in marks:
            # Equal files share a blob, as in any repository; a wide tree then costs little.
            marks[content] = len(marks) + 2
            yield b"blob\nmark :%d\ndata %d\n%s\n" % (marks[content], len(content), content)
        changes.append(b"M %s :%d %s\n" % (mode, marks[content], _quoted(path)))
    text = about.message.encode()
    yield b"commit refs/heads/%s\nmark :1\n" % about.branch.encode()
    yield b"committer Stand-in <standin@example.com> %d +0000\n" % about.when
    yield b"data %d\n%s\n" % (len(text), text)
    if about.on_top:
        yield b"from refs/heads/%s^0\n" % about.branch.encode()
    yield from changes
    yield b"\nget-mark :1\n"


def _blob(file: bytes | str | Link | Executable) -> tuple[bytes, bytes]:
    if isinstance(file, Link):
        return b"120000", os.fsencode(file.target)
    mode = b"100644"
    if isinstance(file, Executable):
        mode, file = b"100755", file.content
    return mode, file.encode() if isinstance(file, str) else file


def _quoted(path: str) -> bytes:
    raw = os.fsencode(path)
    for plain, escaped in ((b"\\", b"\\\\"), (b'"', b'\\"'), (b"\n", b"\\n")):
        raw = raw.replace(plain, escaped)
    return b'"' + raw + b'"'


@dataclass
class Repository:
    """A repository that the server serves: where it is, and what the API tells of it.

    ``visible_to``: the tokens that see a private one; None: every accepted token.
    """

    id: int
    owner: str
    name: str
    folder: Path
    default_branch: str = "main"
    archived: bool = False
    disabled: bool = False
    fork: bool = False
    private: bool = True
    topics: tuple[str, ...] = ()
    language: str | None = "HCL"
    visible_to: set[str] | None = None
    commits: int = 0
    _reader: "_Reader | None" = field(default=None, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def full_name(self) -> str:
        return f"{self.owner}/{self.name}"

    def commit(
        self, files: Mapping[str, File], delete: Iterable[str], branch: str, message: str
    ) -> str:
        """Commit; every commit is a minute younger than the one before."""
        self.commits += 1
        when = _EPOCH + 60 * self.commits
        return import_commit(self.folder, files, delete, branch=branch, message=message, when=when)

    def object(self, name: str) -> tuple[str, str, bytes] | None:
        """SHA, type and bytes of whatever a git name stands for; None: nothing."""
        if "\n" in name or not name:
            return None
        with self._lock:
            if self._reader is None:
                self._reader = _Reader(self.folder)
            return self._reader.read(name)

    def resolve(self, ref: str) -> str | None:
        """The commit of what GitHub takes for a ref: HEAD, branch, tag, ``heads/x``, SHA."""
        names = [f"refs/heads/{ref}", f"refs/tags/{ref}", f"refs/{ref}"]
        if ref == "HEAD" or (len(ref) >= 7 and not set(ref) - set("0123456789abcdef")):
            names.insert(0, ref)
        for name in names:
            if found := self.object(f"{name}^{{commit}}"):
                return found[0]
        return None

    def tree(self, sha: str, recursive: bool, limit: int) -> tuple[tuple[TreeEntry, ...], bool]:
        """A tree's entries in git's order, at most ``limit``, and whether there were more."""
        return _list_tree(self.folder, sha, recursive, limit)

    def archive(self, sha: str) -> Path:
        """The tar.gz that ``git archive`` makes, as a file that is made once."""
        made = self.folder / f"{sha}.tar.gz"
        with self._lock:
            if not made.exists():
                part = made.with_suffix(".part")
                prefix = f"{self.owner}-{self.name}-{sha[:7]}/"
                options = ("--format=tar.gz", f"--prefix={prefix}", f"--output={part}")
                # The repository's own rules, not those of the machine: it has no work tree.
                git(self.folder, "archive", *options, sha)
                part.rename(made)
        return made

    def close(self) -> None:
        """End the git process."""
        with self._lock:
            if self._reader is not None:
                self._reader.close()
                self._reader = None


def copy_bare(source: Path, target: Path) -> None:
    """A copy of a bare repository, so that commits leave the source as it was."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.tar.gz"))


@lru_cache(maxsize=64)
def _list_tree(
    folder: Path, sha: str, recursive: bool, limit: int
) -> tuple[tuple[TreeEntry, ...], bool]:
    options = ["-r", "-t"] if recursive else []
    lines = git(folder, "ls-tree", "-z", *options, sha).split(b"\0", limit + 1)
    # METADATA TAB PATH, and nothing after the last NUL.
    parted = [line.partition(b"\t") for line in lines[:limit] if line]
    about = [(about.decode().split(), os.fsdecode(path)) for about, _, path in parted]
    sizes = _sizes(folder, {sha for (_, kind, sha), _ in about if kind == "blob"})
    entries = (
        TreeEntry(path, mode, kind, sha, sizes.get(sha)) for (mode, kind, sha), path in about
    )
    return tuple(entries), any(lines[limit:])


def _sizes(folder: Path, shas: set[str]) -> dict[str, int]:
    """Sizes of blobs. ``ls-tree -l`` looks each entry up: 2 s where 200,000 share a few blobs."""
    asked = "\n".join(shas).encode()
    found = git(folder, "cat-file", "--batch-check=%(objectname) %(objectsize)", stdin=asked)
    return {sha: int(size) for sha, size in map(str.split, found.decode().splitlines())}


class _Reader:
    """One ``git cat-file`` that answers for as long as the repository is served."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            ["git", "--git-dir", str(folder), "cat-file", "--batch"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=git_environment(),
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout

    def read(self, name: str) -> tuple[str, str, bytes] | None:
        self._in.write(os.fsencode(name) + b"\n")
        self._in.flush()
        head = self._out.readline().decode(errors="replace").split()
        # "NAME missing", where NAME may hold blanks, and "NAME ambiguous" for a short SHA.
        if len(head) != 3 or not head[2].isdigit():
            return None
        content = self._out.read(int(head[2]))
        self._out.read(1)
        return head[0], head[1], content

    def close(self) -> None:
        self._in.close()
        self._process.wait()
        self._out.close()
