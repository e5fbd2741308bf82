"""The files and folders that an expression names by a literal path.

A heuristic over the text: it may name what doesn't exist, and it can't see a path that is put
together from variables. It errs on the side of naming: a file that is missing where a plan runs
can turn into a wrong verdict (``fileset`` and ``fileexists`` just answer differently).
"""

import posixpath
import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

# Bounded, so that no text makes the search long.
_COMMENTS = r"(?:(?:/\*[^*\n]{0,200}\*/|(?:#|//)[^\n]{0,200}\n)\s*+){0,3}"
_FUNCTION = (
    r"\b(?:templatefile|file(?:base64(?:sha256|sha512)?|exists|set|md5|sha(?:1|256|512))?)"
    rf"\s*+\(\s*+{_COMMENTS}"
)
_REFERENCE = re.compile(
    r"(?<![\w.-])path\.(?P<base>module|root|cwd)\b(?P<inside>\s*+\})?"
    rf'|(?P<function>{_FUNCTION})"(?!\$\{{\s*+path\.)'
    # A string that leads up by itself, or from what an expression or a format puts before it.
    r'|(?:"|(?P<made>(?:\}|%[sv])/))(?=(?:\./){0,4}\.\./)'
)
# Where the literal part of a string ends: its quote, an interpolation, an escape.
_END = re.compile(r'["\\\n]|[$%]\{|\Z')
_LITERAL_LIMIT = 1024
_PATTERN = re.compile(r"[*?\[{]")
_REMARK = re.compile(r"[^\S\n]*+(?:#|//)")


Base = Literal["module", "root", "either"]


class Reference(NamedTuple):
    """A path as ``written``; ``path`` is it normalised, from the folder that ``base`` names.

    A mere string counts from the root or from the module: an expression may put either before it.
    Where an interpolation follows, ``path`` is the folder before it. ``certain`` says that it is
    a path whatever it holds; a mere string that starts with ``../`` may be none.
    """

    base: Base
    path: str
    written: str
    certain: bool


def references_in(text: str) -> Iterator[Reference]:
    """The literal paths in a file's text, without those in commented lines."""
    if "path." not in text and "../" not in text and "file" not in text:
        return
    # What looks like a comment may be a line of a heredoc.
    remarks = "<<" not in text
    line_end, in_comment = -1, False
    for match in _REFERENCE.finditer(text):
        # Once for each line: a line can be all there is, and hold references by the thousand.
        if remarks and match.start() > line_end:
            line = text.rfind("\n", 0, match.start()) + 1
            in_comment = _REMARK.match(text, line) is not None
            newline = text.find("\n", match.start())
            line_end = newline if newline >= 0 else len(text)
        if not in_comment:
            yield from _reference(text, match)


def _reference(text: str, match: re.Match[str]) -> Iterator[Reference]:
    base: Base = "module" if match["base"] == "module" else "root"
    if not match["base"] and not match["function"]:
        base = "either"
    if match["base"] and not match["inside"]:
        # An expression of its own: whatever is made of it lies in that folder, if we are lucky.
        yield Reference(base, ".", "", certain=True)
        return
    end = _END.search(text, match.end(), match.end() + _LITERAL_LIMIT)
    if end is None:
        return
    written = text[match.end() : end.start()]
    literal = written if end[0] == '"' else written.rpartition("/")[0]
    certain = bool(match["base"] or match["function"])
    # Of a path that begins with an interpolation all that is known is where it most likely lies.
    known = literal or match["base"] or (match["function"] and end[0] != '"')
    if not known:
        return
    for part in dict.fromkeys((literal, _before_pattern(literal))):
        path = posixpath.normpath(part.lstrip("/") if match["base"] else part)
        if not path.startswith("/") and "\0" not in path:
            yield Reference(base, path, written, certain)


def _before_pattern(literal: str) -> str:
    """The folder that holds all that a pattern of ``fileset`` can match."""
    pattern = _PATTERN.search(literal)
    return literal[: pattern.start()].rpartition("/")[0] if pattern else literal
