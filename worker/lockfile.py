"""The dependency lock file in a workspace: which versions it records, and what they must hash to.

Terraform hashes a provider against its lock file in every command, which is 0.4 s of CPU each time
for a large one, three times a check. Once is enough where the mirror can't change in between, so
hashes that were verified are taken out of the workspace's copy. The versions stay (ADR 7).
"""

import errno
import re
from collections.abc import Callable
from pathlib import Path

from driftfleet.errors import CheckFailed
from driftfleet.mirror.hashes import package_hash
from driftfleet.mirror.layout import is_address, is_version
from driftfleet.mirror.locked import (
    LOCK_FILE_BYTES,
    LockedProvider,
    lock_text,
    locked_providers,
)
from driftfleet.results import ErrorKind
from driftfleet.tree import LOCK_FILE, FilesInside

_HASHES = re.compile(r"^  hashes\s*=\s*\[", re.MULTILINE)


class LockFile:
    """The lock file of a root module in its workspace; it may not exist.

    ``top`` is the folder of the repository's files, ``root`` the module's in it. What runs in a
    check may have made the file a link, or a pipe: nothing outside of ``top`` is read or written.
    All methods raise `CheckFailed` where it is larger than any that terraform writes.
    """

    def __init__(self, root: Path, top: Path) -> None:
        self._path = root / LOCK_FILE
        self._top = top

    def providers(self) -> dict[str, str]:
        """The recorded version of each provider's source address."""
        found = {block.address: block.version for block in locked_providers(self._read())}
        return {address: version for address, version in found.items() if version}

    def verify(self, mirror: Path, platform: str) -> None:
        """Take out the hashes of the providers whose package in the mirror has one of them.

        What doesn't fit keeps its hashes, and terraform says what is wrong with it.
        """

        def fits(block: LockedProvider) -> bool:
            if not (is_address(block.address) and is_version(block.version or "")):
                return False
            package = mirror / block.address / str(block.version) / platform
            try:
                return package.is_dir() and f'"{package_hash(package)}"' in block.text
            except OSError:
                # Somebody removes it, or the disk goes bad: terraform meets that as well.
                return False

        self._drop_hashes(fits)

    def drop_hashes(self) -> None:
        """Take out all hashes: for after ``init``, which has verified them."""
        self._drop_hashes(lambda _: True)

    def _read(self) -> str:
        try:
            files = FilesInside(self._top, LOCK_FILE_BYTES)
            content = files.read(self._path.relative_to(self._top).as_posix())
        except OSError as error:
            if error.errno != errno.EFBIG:
                return ""
            raise CheckFailed(
                "init",
                ErrorKind.SOURCE_REFUSED,
                f"{self._path.name}: is larger than {LOCK_FILE_BYTES >> 20} MiB, which no lock "
                "file of terraform's is: delete it in the repository, run `terraform init`, and "
                "commit what that writes",
            ) from error
        try:
            return lock_text(content)
        except UnicodeDecodeError:
            return ""

    def _drop_hashes(self, where: Callable[[LockedProvider], bool]) -> None:
        text = self._read()
        kept, position = [], 0
        for block in locked_providers(text):
            if where(block):
                kept += [text[position : block.start], _without_hashes(block.text)]
                position = block.end
        if kept:
            new = "".join(kept) + text[position:]
            if new != text:
                self._replace(new.encode("utf-8"))

    def _replace(self, content: bytes) -> None:
        # Of a link, the link itself is replaced.
        folder = self._path.parent.resolve()
        if not folder.is_relative_to(self._top.resolve()):
            return
        new = folder / f"{LOCK_FILE}.new"
        new.unlink(missing_ok=True)
        with new.open("xb") as file:
            file.write(content)
        new.replace(folder / LOCK_FILE)


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
