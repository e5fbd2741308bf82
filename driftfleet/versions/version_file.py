"""What a ``.terraform-version``, ``.opentofu-version`` or ``.tool-versions`` asks for.

They come out of repositories: no name in one is ever followed or run, and what is no version and
none of the keywords is an error with its file and line. A ``.terraform-version`` that holds
``../../x`` would make tfenv's shim run the repository's own program.
"""

import posixpath
from collections.abc import Iterator
from typing import Literal

from driftfleet.model import Record
from driftfleet.versions.constraint import Malformed, parse_version
from driftfleet.versions.pattern import PatternRefused, parse_pattern
from driftfleet.versions.printable import shown

Program = Literal["terraform", "tofu"]
PROGRAMS: tuple[Program, ...] = ("terraform", "tofu")

OPENTOFU_FILE, TERRAFORM_FILE, ASDF_FILE = (
    ".opentofu-version",
    ".terraform-version",
    ".tool-versions",
)
# In the order in which those of one folder count: whoever adds the first wants OpenTofu.
VERSION_FILES = (OPENTOFU_FILE, TERRAFORM_FILE, ASDF_FILE)
KEYWORDS = ("latest", "latest-allowed", "min-required")
LATEST = "latest:"
# A version and a remark; .tool-versions has a line for each tool that somebody uses.
MOST_BYTES = 16 * 1024
_MOST_VERSIONS = 20
_LONGEST_WORD = 200
_ESCAPED_DOT = r"\."
_ASDF_PROGRAMS: dict[str, Program] = {"terraform": "terraform", "opentofu": "tofu"}
_WHAT_IT_CAN_BE = "a version such as 1.5.7, latest, latest:REGEX, min-required or latest-allowed"


class Asked(Record):
    """What one file asks for: ``path`` from the repository's top, ``line`` from 1.

    ``wants`` are versions (no leading v) or keywords, the most wanted first; it is empty where
    there is an ``error``, a sentence without the place.
    """

    path: str
    line: int = 1
    program: Program = "terraform"
    wants: tuple[str, ...] = ()
    error: str = ""

    @property
    def place(self) -> str:
        """``FILE:LINE``."""
        return f"{self.path}:{self.line}"

    @property
    def folder(self) -> str:
        """The folder that holds it."""
        return posixpath.dirname(self.path) or "."


def is_version_file(name: str) -> bool:
    """Whether a file of that name asks for a version."""
    return name in VERSION_FILES


def version_files(root: str) -> Iterator[str]:
    """The paths at which a root's version may stand, the strongest first: in its own folder, then
    in each folder above up to the repository's top."""
    folder = root
    while True:
        prefix = "" if folder == "." else f"{folder}/"
        yield from (prefix + name for name in VERSION_FILES)
        if folder == ".":
            return
        folder = posixpath.dirname(folder) or "."


def parse_version_file(path: str, content: bytes) -> Asked | None:
    """Read a version file; None for one that says nothing of Terraform or OpenTofu.

    As with tfenv and tenv, only the first line that holds anything counts. Of ``.tool-versions`` it
    is the line of ``terraform``, else that of ``opentofu``.
    """
    name = posixpath.basename(path)
    program: Program = "tofu" if name == OPENTOFU_FILE else "terraform"
    if len(content) > MOST_BYTES:
        message = f"the file is larger than {MOST_BYTES >> 10} KiB, and no version file"
        return Asked(path=path, program=program, error=message)
    try:
        lines = list(_lines(content.decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return Asked(path=path, line=line, program=program, error="the file is not UTF-8 text")
    if name == ASDF_FILE:
        return _from_asdf(path, lines)
    if not lines:
        return Asked(path=path, program=program, error=f"says nothing: write {_WHAT_IT_CAN_BE}")
    line, words = lines[0]
    if len(words) > 1:
        message = f"'{shown(' '.join(words))}' is more than one word: write {_WHAT_IT_CAN_BE}"
        return Asked(path=path, line=line, program=program, error=message)
    return _asked(path, line, program, words)


def unreadable(path: str, reason: str) -> Asked:
    """The record of a version file that is there and can't be read."""
    program: Program = "tofu" if posixpath.basename(path) == OPENTOFU_FILE else "terraform"
    return Asked(path=path, program=program, error=f"can't be read: {reason}")


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """The lines that hold something: their number, and their words without a remark."""
    for number, line in enumerate(text.split("\n"), start=1):
        if words := line.partition("#")[0].split():
            yield number, words


def _from_asdf(path: str, lines: list[tuple[int, list[str]]]) -> Asked | None:
    for tool, program in _ASDF_PROGRAMS.items():
        for line, (name, *versions) in lines:
            if name != tool:
                continue
            if not versions:
                message = f"names no version of {tool}"
                return Asked(path=path, line=line, program=program, error=message)
            return _asked(path, line, program, [_as_prefix(word) for word in versions])
    return None


def _as_prefix(word: str) -> str:
    """To asdf ``latest:1.5`` is the newest that begins so, and no regular expression."""
    start = word.removeprefix(LATEST)
    return word if start == word else f"{LATEST}^{start.replace('.', _ESCAPED_DOT)}"


def _asked(path: str, line: int, program: Program, words: list[str]) -> Asked:
    if len(words) > _MOST_VERSIONS:
        message = f"names more than {_MOST_VERSIONS} versions"
        return Asked(path=path, line=line, program=program, error=message)
    try:
        wants = tuple(_want(word) for word in words)
    except (Malformed, PatternRefused) as error:
        return Asked(path=path, line=line, program=program, error=str(error))
    return Asked(path=path, line=line, program=program, wants=wants)


def _want(word: str) -> str:
    if word in KEYWORDS:
        return word
    if len(word) > _LONGEST_WORD or word == LATEST:
        raise Malformed(f"'{shown(word)}' is not {_WHAT_IT_CAN_BE}")
    if word.startswith(LATEST):
        try:
            parse_pattern(word.removeprefix(LATEST))
        except PatternRefused as error:
            raise PatternRefused(f"'{shown(word)}': {error}") from error
        return word
    try:
        return str(parse_version(word))
    except Malformed as error:
        raise Malformed(f"'{shown(word)}' is not {_WHAT_IT_CAN_BE}") from error
