"""What a checkout does to a file's bytes, once its attributes are known. Pure.

As git does it on Linux where nobody set core.autocrlf, core.eol or filters: first ``ident``, then
line ends, then the encoding (gitattributes(5), "Interaction between checkin/checkout
attributes").
"""

import codecs
import re
from dataclasses import dataclass
from typing import Literal

# What git fills in (group 1), and what it takes for another system's, which stays. It has two ways
# to read a file, and they differ in what is neither plain.
_IDENT_AT_ONCE = re.compile(rb"(\$Id(?::(?:[^$\n][^$\n ]*+ ?)?)?\$)")
# A stream is never looked at twice: what breaks off a keyword begins none, and `$Idx` right before
# one is lost with it.
_IDENT_STREAMED = re.compile(
    rb"((?:\$Id[^:$\0])+\$Id:[^$\n]*+\$|\$Id\$)|(?:\$Id[^:$\0])+"
    rb"|\$Id: [^$\n\0 \t\r]*+[ \t\r][^$\n]++\$"
    rb"|(\$Id:[^$\n]*+\$)|\$Id:[^$\n]*+\n|\$Id\0.|\$I[^d]|\$[^I]",
    re.DOTALL,
)
_BARE_NEWLINE = re.compile(rb"(?<!\r)\n")
# What git's guess takes for no text: control characters but \b \t \n \f \r and escape.
_UNPRINTABLE = bytes({*range(32), 127} - set(b"\b\t\n\f\r\x1b"))
_UNCOUNTED = b"\r\n"
# Of these glibc knows that no small table has them, and leaves them out.
_TAGS = re.compile("[\U000e0000-\U000e007f]")


class TooLarge(Exception):
    """A conversion makes more bytes than it may."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """What is done. ``crlf`` is where to end lines in CRLF; ``codec`` is one of `codec_of`.

    ``guessed`` is ``text=auto``, for which git reads all of a file at once.
    """

    ident: bool = False
    crlf: Literal["never", "if text", "always"] = "never"
    codec: str = ""
    guessed: bool = False

    def apply(self, content: bytes, sha: str, limit_bytes: int) -> bytes:
        """The bytes that a checkout has of the blob ``sha``. Raises `TooLarge`."""
        if self.ident:
            at_once = self.guessed or bool(self.codec)
            content = _with_ident(content, sha.encode(), limit_bytes, at_once=at_once)
        if self.crlf == "always" or (self.crlf == "if text" and _is_normal_text(content)):
            content = _with_crlf(content, limit_bytes)
        if self.codec:
            content = _encoded(content, self.codec)
        if len(content) > limit_bytes:
            raise TooLarge
        return content


def codec_of(encoding: str) -> str | None:
    """Python's codec for a ``working-tree-encoding``, empty for UTF-8; None for what isn't known.

    Known are those of which Python's table was found to be that of glibc's iconv, which git uses:
    Shift_JIS, Big5 and GB18030, for example, are not the same in both.
    """
    name = encoding.upper()
    if name.startswith("UTF") and not name.startswith("UTF-"):
        name = f"UTF-{name[3:]}"
    return _CODECS.get(name)


def _codecs() -> dict[str, str]:
    found = {"UTF-8": "", "UTF-16LE-BOM": "utf-16", "UTF-16BE-BOM": "utf-16-be-bom"}
    for bits in (16, 32):
        found |= {f"UTF-{bits}": f"utf-{bits}", f"UTF-{bits}LE": f"utf-{bits}-le"}
        found[f"UTF-{bits}BE"] = f"utf-{bits}-be"
    for part in (*range(1, 12), *range(13, 17)):
        found |= dict.fromkeys((f"ISO-8859-{part}", f"ISO8859-{part}"), f"iso8859-{part}")
        if part not in (11, 13):
            found[f"ISO_8859-{part}"] = f"iso8859-{part}"
    for page in (1250, 1251, 1252, 1253, 1254, 1256, 1257):
        found |= dict.fromkeys((f"CP{page}", f"WINDOWS-{page}"), f"cp{page}")
    found |= {f"CP{page}": f"cp{page}" for page in (437, 850, 852, 866)}
    found |= dict.fromkeys(("LATIN1", "LATIN-1"), "iso8859-1")
    found |= dict.fromkeys(("ASCII", "US-ASCII"), "ascii")
    return found | {"KOI8-R": "koi8-r", "KOI8-U": "koi8-u"}


_CODECS = _codecs()
# Without an order in its name glibc writes the machine's own, after its mark: little-endian.
_MARKED = {
    "utf-16": (codecs.BOM_UTF16_LE, "utf-16-le"),
    "utf-32": (codecs.BOM_UTF32_LE, "utf-32-le"),
    "utf-16-be-bom": (codecs.BOM_UTF16_BE, "utf-16-be"),
}


def _with_ident(content: bytes, sha: bytes, limit_bytes: int, *, at_once: bool) -> bytes:
    filled = b"$Id: %s $" % sha
    parts, size, end = [], len(content), 0
    for found in (_IDENT_AT_ONCE if at_once else _IDENT_STREAMED).finditer(content):
        if not found.lastindex:
            continue
        parts += [content[end : found.start()], filled]
        end = found.end()
        size += len(filled) - len(found[0])
        if size > limit_bytes:
            raise TooLarge
    return b"".join((*parts, content[end:])) if parts else content


def _with_crlf(content: bytes, limit_bytes: int) -> bytes:
    if len(content) + content.count(b"\n") - content.count(b"\r\n") > limit_bytes:
        raise TooLarge
    return _BARE_NEWLINE.sub(b"\r\n", content)


def _is_normal_text(content: bytes) -> bool:
    """Git's guess for ``text=auto``, which leaves what has a CR in the repository alone, too."""
    if b"\r" in content or b"\0" in content:
        return False
    printable = len(content.translate(None, _UNPRINTABLE + _UNCOUNTED))
    unprintable = len(content) - len(content.translate(None, _UNPRINTABLE))
    # A last Ctrl-Z is the end of a file of DOS.
    unprintable -= content.endswith(b"\x1a")
    return printable // 128 >= unprintable


def _encoded(content: bytes, codec: str) -> bytes:
    if not content:
        return content
    mark, codec = _MARKED.get(codec, (b"", codec))
    try:
        text = content.decode()
        return mark + (text if codec.startswith("utf") else _TAGS.sub("", text)).encode(codec)
    except UnicodeError:
        # What git can't encode, it writes as it is, and says so on its standard error.
        return content
