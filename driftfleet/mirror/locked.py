"""The text of a dependency lock file -> the providers that it records. Pure."""

import re
from collections.abc import Iterator
from typing import NamedTuple

# Terraform writes one or two KiB for a provider.
LOCK_FILE_BYTES = 1 << 20

# The file is written by terraform alone, in one form. What doesn't fit is left to terraform.
_HEAD = re.compile(r'^provider "([^"\n]+)" \{\n', re.MULTILINE)
_END = re.compile(r"^\}", re.MULTILINE)
_VERSION = re.compile(r'^  version\s*=\s*"([^"\n]+)"', re.MULTILINE)
_HASH = re.compile(r'"((?:h1|zh):[^"\n]+)"')
_BLOCK = re.compile(r"^[ \t]*provider\b", re.MULTILINE)


class LockedProvider(NamedTuple):
    """What the file says of one provider: the ``text`` between its braces, and where it stands."""

    address: str
    text: str
    start: int
    end: int

    @property
    def version(self) -> str | None:
        """The recorded version."""
        found = _VERSION.search(self.text)
        return found[1] if found else None

    @property
    def hashes(self) -> frozenset[str]:
        """The recorded hashes of both schemes, ``h1:`` and ``zh:``, of all platforms."""
        return frozenset(_HASH.findall(self.text))


def locked_providers(text: str) -> Iterator[LockedProvider]:
    """Every provider of a lock file, in its order; ``text`` has Unix line ends."""
    position = 0
    while (head := _HEAD.search(text, position)) and (end := _END.search(text, head.end())):
        yield LockedProvider(head[1], text[head.end() : end.start()], head.end(), end.start())
        position = end.end()


def lock_text(content: bytes) -> str:
    """A lock file as text, with Unix line ends. Raises ``UnicodeDecodeError``.

    Whoever commits it may have Windows' line ends; terraform reads both.
    """
    return content.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")


def is_as_terraform_writes(text: str) -> bool:
    """Whether `locked_providers` found all there is, each with its version."""
    found = [provider for provider in locked_providers(text) if provider.version]
    return len(found) == len(_BLOCK.findall(text))
