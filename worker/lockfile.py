"""The dependency lock file in a workspace: which versions it records, and what they must hash to.

Terraform hashes a provider against its lock file in every command, which is 0.4 s of CPU each time
for a large one, three times a check. Once is enough where the mirror can't change in between, so
hashes that were verified are taken out of the workspace's copy. The versions stay (ADR 7).
"""

import base64
import functools
import hashlib
import re
from collections.abc import Callable
from pathlib import Path

# The file is written by terraform alone, in one form. What doesn't fit is left to terraform.
_BLOCK = re.compile(r'^provider "([^"\n]+)" \{\n(.*?)^\}', re.MULTILINE | re.DOTALL)
_VERSION = re.compile(r'^  version\s*=\s*"([^"\n]+)"', re.MULTILINE)
_HASHES = re.compile(r"^  hashes\s*=\s*\[[^\]]*\]\n", re.MULTILINE)


class LockFile:
    """The lock file of a root module in its workspace; it may not exist."""

    def __init__(self, root: Path) -> None:
        self._path = root / ".terraform.lock.hcl"

    def providers(self) -> dict[str, str]:
        """The recorded version of each provider's source address."""
        found = {m[1]: _VERSION.search(m[2]) for m in _BLOCK.finditer(self._read())}
        return {address: version[1] for address, version in found.items() if version}

    def verify(self, mirror: Path, platform: str) -> None:
        """Take out the hashes of the providers whose package in the mirror has one of them.

        What doesn't fit keeps its hashes, and terraform says what is wrong with it.
        """

        def without_verified(match: re.Match[str]) -> str:
            version = _VERSION.search(match[2])
            if version is None:
                return match[0]
            package = mirror / match[1] / version[1] / platform
            fits = package.is_dir() and f'"{package_hash(package)}"' in match[2]
            return _HASHES.sub("", match[0]) if fits else match[0]

        self._rewrite(without_verified)

    def drop_hashes(self) -> None:
        """Take out all hashes: for after ``init``, which has verified them."""
        self._rewrite(lambda match: _HASHES.sub("", match[0]))

    def _read(self) -> str:
        try:
            return self._path.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            return ""

    def _rewrite(self, block: Callable[[re.Match[str]], str]) -> None:
        text = self._read()
        new = _BLOCK.sub(block, text)
        if new != text:
            self._path.write_text(new, "utf-8")


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
