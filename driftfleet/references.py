"""The files and folders that an expression names by a literal path.

A heuristic over the text: it may name what doesn't exist, and it can't see a path that is put
together from variables. It errs on the side of naming: a file that is missing where a plan runs
can turn into a wrong verdict (``fileset`` and ``fileexists`` just answer differently).
"""

import posixpath
import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

_FUNCTION = (
    r"\b(?:templatefile|file(?:base64(?:sha256|sha512)?|exists|set|md5|sha(?:1|256|512))?)"
    r"\s*+\(\s*+"
)
_BASE = r"\$\{\s*+path\.(?P<base>module|root|cwd)\s*+\}"
_REFERENCE = re.compile(rf'(?P<function>{_FUNCTION})?"(?:{_BASE}|(?(function)|(?=\.\./)))')
# Where the literal part of a string ends: its quote, an interpolation, an escape.
_END = re.compile(r'["\\\n]|[$%]\{|\Z')
_LITERAL_LIMIT = 1024
_REMARK = re.compile(r"[^\S\n]*+(?:#|//)")


class Reference(NamedTuple):
    """A path as ``written``; ``path`` is it normalised, from the folder that ``base`` names.

    Where an interpolation follows, ``path`` is the folder before it. ``certain`` says that it is
    a path whatever it holds; a mere string that starts with ``../`` may be none.
    """

    base: Literal["module", "root"]
    path: str
    written: str
    certain: bool


def references_in(text: str) -> Iterator[Reference]:
    """The literal paths in a file's text, without those in commented lines."""
    if "path." not in text and "../" not in text and "file" not in text:
        return
    line_end, in_comment = -1, False
    for match in _REFERENCE.finditer(text):
        # Once for each line: a line can be all there is, and hold references by the thousand.
        if match.start() > line_end:
            line = text.rfind("\n", 0, match.start()) + 1
            in_comment = _REMARK.match(text, line) is not None
            newline = text.find("\n", match.start())
            line_end = newline if newline >= 0 else len(text)
        end = _END.search(text, match.end(), match.end() + _LITERAL_LIMIT)
        if end is None or in_comment:
            continue
        written = text[match.end() : end.start()]
        literal = written if end[0] == '"' else written.rpartition("/")[0]
        path = posixpath.normpath(literal.lstrip("/") if match["base"] else literal)
        certain = bool(match["base"] or match["function"])
        # Without a folder nothing is known of an interpolated path, nor outside the repository.
        if (literal or match["base"]) and not path.startswith("/") and "\0" not in path:
            base: Literal["module", "root"] = "module" if match["base"] == "module" else "root"
            yield Reference(base, path, written, certain)
