"""The dependency lock file in a workspace: which versions it records, and what they must hash to.

Terraform hashes a provider against its lock file in every command, which is 0.4 s of CPU each time
for a large one, three times a check. Once is enough where the mirror can't change in between, so
hashes that were verified are taken out of the workspace's copy. The versions stay (ADR 7).
"""

import base64
import functools
import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from driftfleet.errors import CheckFailed
from driftfleet.results import ErrorKind

# The file is written by terraform alone, in one form. What doesn't fit is left to terraform.
_HEAD = re.compile(r'^provider "([^"\n]+)" \{\n', re.MULTILINE)
_END = re.compile(r"^\}", re.MULTILINE)
_VERSION = re.compile(r'^  version\s*=\s*"([^"\n]+)"', re.MULTILINE)
_HASHES = re.compile(r"^  hashes\s*=\s*\[", re.MULTILINE)
# Terraform writes one or two KiB for a provider.
_LIMIT_BYTES = 1 << 20


class _Block(NamedTuple):
    """What the file says of one provider: the ``text`` between its braces, and where it stands."""

    address: str
    text: str
    start: int
    end: int

    @property
    def version(self) -> str | None:
        found = _VERSION.search(self.text)
        return found[1] if found else None


class LockFile:
    """The lock file of a root module in its workspace; it may not exist.

    All methods raise `CheckFailed` where it is larger than any that terraform writes.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / ".terraform.lock.hcl"

    def providers(self) -> dict[str, str]:
        """The recorded version of each provider's source address."""
        found = {block.address: block.version for block in _blocks(self._read())}
        return {address: version for address, version in found.items() if version}

    def verify(self, mirror: Path, platform: str) -> None:
        """Take out the hashes of the providers whose package in the mirror has one of them.

        What doesn't fit keeps its hashes, and terraform says what is wrong with it.
        """

        def fits(block: _Block) -> bool:
            if block.version is None:
                return False
            package = mirror / block.address / block.version / platform
            return package.is_dir() and f'"{package_hash(package)}"' in block.text

        self._drop_hashes(fits)

    def drop_hashes(self) -> None:
        """Take out all hashes: for after ``init``, which has verified them."""
        self._drop_hashes(lambda _: True)

    def _read(self) -> str:
        try:
            with self._path.open("rb") as file:
                content = file.read(_LIMIT_BYTES + 1)
        except OSError:
            return ""
        if len(content) > _LIMIT_BYTES:
            raise CheckFailed(
                "init",
                ErrorKind.SOURCE_REFUSED,
                f"{self._path.name}: is larger than {_LIMIT_BYTES >> 20} MiB, which no lock file "
                "of terraform's is: delete it in the repository, run `terraform init`, and commit "
                "what that writes",
            )
        try:
            # As a file opened as text is read: whoever commits it may have Windows' line ends.
            return content.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
        except UnicodeDecodeError:
            return ""

    def _drop_hashes(self, where: Callable[[_Block], bool]) -> None:
        text = self._read()
        kept, position = [], 0
        for block in _blocks(text):
            if where(block):
                kept += [text[position : block.start], _without_hashes(block.text)]
                position = block.end
        if kept:
            new = "".join(kept) + text[position:]
            if new != text:
                self._path.write_bytes(new.encode("utf-8"))


def _blocks(text: str) -> Iterator[_Block]:
    position = 0
    while (head := _HEAD.search(text, position)) and (end := _END.search(text, head.end())):
        yield _Block(head[1], text[head.end() : end.start()], head.end(), end.start())
        position = end.end()


def _without_hashes(block: str) -> str:
    kept, position, search = [], 0, 0
    while found := _HASHES.search(block, search):
        close = block.find("]", found.end())
        if close < 0:
            break
        search = close + 1
        if block.startswith("\n", search):
            kept.append(block[position : found.start()])
            position = search = search + 1
    return "".join(kept) + block[position:]


def package_hash(package: Path) -> str:
    """Terraform's ``h1:`` of an unpacked provider (golang.org/x/mod/sumdb/dirhash, Hash1).

    It is worked out once while the files stay as they are: same inodes, sizes, and times, of which
    ctime can't be set by anybody.
    """
    stamps = []
    for path in sorted(p for p in package.rglob("*") if p.is_file()):
        status = path.stat()
        name = path.relative_to(package).as_posix()
        stamps.append((name, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    return _hash(package, tuple(stamps))


@functools.lru_cache(maxsize=256)
def _hash(package: Path, stamps: tuple[tuple[str, int, int, int, int], ...]) -> str:
    total = hashlib.sha256()
    for name in sorted(stamp[0] for stamp in stamps):
        with (package / name).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{digest}  {name}\n".encode())
    return "h1:" + base64.b64encode(total.digest()).decode()
