"""What a checkout of a commit makes of its files: what the `.gitattributes` of it say.

GitHub's API gives the blobs, whereas those who run terraform by hand have a checkout. Where the two
differ, so would plans.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from driftfleet.errors import SourceRefused
from driftfleet.github.conversion import Conversion, TooLarge, codec_of
from driftfleet.github.listing import Entry, Listing
from driftfleet.github.paths import join, shown
from driftfleet.github.wildmatch import Matcher, matcher

_NAME = ".gitattributes"
# Of all files that count for a path together. Git's own bound is 100 MiB for each.
_MOST_BYTES = 1 << 20
_MOST_LINES = 10_000
# Git passes over longer ones.
_LINE_BYTES = 2048

_MACRO = b"[attr]"
_BLANK = b" \t\r\n"
_WORD = re.compile(rb"[^ \t\r\n]++")
_VALID = re.compile(rb"[A-Za-z0-9_.][-A-Za-z0-9_.]*+")
_QUOTED = re.compile(rb'"((?:[^"\\]|\\(?:[abfnrtv\\"]|[0-3][0-7]{2}))*+)"')
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_ESCAPED = dict(zip(b"abfnrtv", b"\a\b\f\n\r\t\v", strict=True))

# Set, unset, unspecified, or a value.
_State = bool | None | bytes
_Settings = tuple[tuple[bytes, _State], ...]
_Macros = Mapping[bytes, _Settings]

_CRLF: Mapping[_State, Literal["if text"]] = {b"auto": "if text"}
_USED = frozenset({b"text", b"crlf", b"eol", b"ident", b"filter", b"working-tree-encoding"})
_BINARY: _Settings = ((b"diff", False), (b"merge", False), (b"text", False))


class _Rule(NamedTuple):
    """A line: which files, and what it sets for them."""

    matches: Matcher
    settings: _Settings


@dataclass(frozen=True, slots=True)
class _Level:
    """The rules of a folder's file. ``below`` is where a path begins that they are about.

    ``lines`` and ``size`` are those of the files above, too.
    """

    below: int
    rules: tuple[_Rule, ...]
    lines: int
    size: int


class Attributes:
    """A commit's attributes. ``read`` gives a file's bytes; ``limit_bytes`` bounds a converted one.

    As git, it takes those of the folder of a file before those of the folders above, and the later
    line before the earlier. A `.gitattributes` that is a link is passed over.
    """

    def __init__(self, listing: Listing, read: Callable[[str], bytes], limit_bytes: int) -> None:
        self._listing = listing
        self._read = read
        self._limit_bytes = limit_bytes
        self._levels: dict[str, tuple[_Level, ...]] = {}
        self._macros: _Macros = {b"binary": _BINARY}

    def above(self, paths: Iterable[str]) -> list[str]:
        """The `.gitattributes` that count for these files. Raises as `converted`."""
        folders = {".", *(folder for path in paths for folder in _folders(path))}
        entries = [entry for folder in folders if (entry := self._entry(folder)) is not None]
        for entry in entries:
            _refuse_beyond(entry, entry.size, 0)
        return [entry.path for entry in entries]

    def converted(self, path: str, content: bytes) -> bytes:
        """What a checkout has at ``path``, which is a file, where the commit has ``content``.

        Raises
        ------
        SourceRefused
            Nobody can tell: the file goes through a filter, or into an encoding that isn't known.
            Or it would be too large, or the `.gitattributes` above it are.
        """
        levels = self._levels_of(path.rpartition("/")[0] or ".")
        if not levels:
            return content
        conversion = _conversion(path, self._values(path, levels))
        try:
            return conversion.apply(content, self._listing.entries[path].sha, self._limit_bytes)
        except TooLarge as error:
            raise SourceRefused(
                f"{shown(path)}: as a checkout converts it, by what .gitattributes say, it has "
                f"more than the {self._limit_bytes:,} bytes that cache.member_bytes allows"
            ) from error

    def _values(self, path: str, levels: tuple[_Level, ...]) -> dict[bytes, _State]:
        values: dict[bytes, _State] = {}
        encoded = path.encode(errors="surrogateescape")
        for level in reversed(levels):
            below = encoded[level.below :]
            for rule in reversed(level.rules):
                if rule.matches(below):
                    _fill(values, rule.settings, self._macros)
        return values

    def _levels_of(self, folder: str) -> tuple[_Level, ...]:
        """Those of a folder and all above, the top first."""
        known = self._levels.get(folder)
        if known is not None:
            return known
        chain = (".", *_folders(f"{folder}/x")) if folder != "." else (".",)
        # What a pattern is made into is a hundred times its size: those of other folders go.
        self._levels = {above: self._levels[above] for above in chain if above in self._levels}
        levels: tuple[_Level, ...] = ()
        for above in chain:
            found = self._levels.get(above)
            if found is None:
                entry = self._entry(above)
                own = () if entry is None else (self._level(entry, above, levels),)
                found = self._levels[above] = (*levels, *own)
            levels = found
        return levels

    def _level(self, entry: Entry, folder: str, above: tuple[_Level, ...]) -> _Level:
        size = entry.size + (above[-1].size if above else 0)
        _refuse_beyond(entry, size, 0)
        # A commit may hold any bytes: as git, what follows a NUL doesn't count.
        lines = self._read(entry.path).partition(b"\0")[0].split(b"\n")
        count = len(lines) + (above[-1].lines if above else 0)
        _refuse_beyond(entry, size, count)
        if folder == ".":
            self._macros = {b"binary": _BINARY} | _macros(lines)
        below = 0 if folder == "." else len(folder.encode(errors="surrogateescape")) + 1
        return _Level(below, _rules(lines, _USED | self._macros.keys()), count, size)

    def _entry(self, folder: str) -> Entry | None:
        entry = self._listing.entries.get(join(folder, _NAME))
        return entry if entry is not None and entry.kind in ("file", "executable") else None


def _folders(path: str) -> list[str]:
    """The folders above a path, but not the top, the upper before the lower."""
    return [path[: slash.start()] for slash in re.finditer("/", path)]


def _refuse_beyond(entry: Entry, size: int, lines: int) -> None:
    if size > _MOST_BYTES or lines > _MOST_LINES:
        raise SourceRefused(
            f"{shown(entry.path)}: with those of the folders above it has more than "
            f"{_MOST_BYTES:,} bytes or {_MOST_LINES:,} lines: it takes too long to look through"
        )


def _macros(lines: Iterable[bytes]) -> dict[bytes, _Settings]:
    """What ``[attr]name ...`` define: at the top of a repository only, and the last counts."""
    found: dict[bytes, _Settings] = {}
    for line in lines:
        pattern, rest = _split(line)
        if _is_macro(pattern):
            name = _WORD.match(pattern[len(_MACRO) :].lstrip(_BLANK))
            settings = _settings(rest)
            if name is not None and _VALID.fullmatch(name[0]) and settings is not None:
                found[name[0]] = settings
    return found


def _rules(lines: Iterable[bytes], names: frozenset[bytes]) -> tuple[_Rule, ...]:
    """The rules of a file that are about one of these names."""
    rules = []
    for line in lines:
        pattern, rest = _split(line)
        if not pattern or _is_macro(pattern) or pattern.startswith(b"!"):
            continue
        settings = tuple(s for s in _settings(rest) or () if s[0] in names)
        if settings:
            rules.append(_Rule(matcher(pattern), settings))
    return tuple(rules)


def _is_macro(pattern: bytes) -> bool:
    return pattern.startswith(_MACRO) and pattern != _MACRO


def _split(line: bytes) -> tuple[bytes, bytes]:
    """A line's pattern, which may be quoted, and the rest; nothing for one without."""
    line = line.strip(_BLANK) if len(line) < _LINE_BYTES else b""
    if line.startswith(b"#"):
        return b"", b""
    if quoted := _QUOTED.match(line):
        return _ESCAPE.sub(_unescaped, quoted[1]), line[quoted.end() :]
    word = _WORD.match(line)
    return (word[0], line[word.end() :]) if word else (b"", b"")


def _unescaped(found: re.Match[bytes]) -> bytes:
    text = found[1]
    return bytes([int(text, 8) if len(text) == 3 else _ESCAPED.get(text[0], text[0])])


def _settings(text: bytes) -> _Settings | None:
    """What the words after a pattern set; None for a line with one that git takes for wrong."""
    found: list[tuple[bytes, _State]] = []
    for word in _WORD.findall(text):
        name, equals, value = word.partition(b"=")
        state: _State = value if equals else True
        if name[:1] in (b"-", b"!"):
            state = False if name[:1] == b"-" else None
            name = name[1:]
        if not _VALID.fullmatch(name):
            return None
        found.append((name, state))
    return tuple(found)


def _fill(values: dict[bytes, _State], settings: _Settings, macros: _Macros) -> None:
    """Add what isn't known yet, the last first; a macro that is set brings its own at once."""
    waiting = [reversed(settings)]
    while waiting:
        for name, state in waiting[-1]:
            if name in values:
                continue
            values[name] = state
            if state is True and name in macros:
                waiting.append(reversed(macros[name]))
                break
        else:
            waiting.pop()


def _conversion(path: str, values: Mapping[bytes, _State]) -> Conversion:
    name = values.get(b"filter")
    if isinstance(name, bytes) and name not in (b"", b"lfs"):
        raise SourceRefused(
            f"{shown(path)}: its .gitattributes put it through the filter {_text(name)!r}, a "
            "program of whoever checks it out, so what a plan would read can't be told: take the "
            "file out of the filter (!filter), or what it holds out of the repository"
        )
    text = values.get(b"text")
    if text not in (True, False, b"auto", b"input"):
        # Its name before git 1.7.2.
        text = values.get(b"crlf")
    eol = values.get(b"eol")
    return Conversion(
        ident=values.get(b"ident") is True,
        crlf="never" if eol != b"crlf" or text is False else _CRLF.get(text, "always"),
        codec=_codec(path, values),
        guessed=text == b"auto" and eol != b"lf",
    )


def _codec(path: str, values: Mapping[bytes, _State]) -> str:
    encoding = values.get(b"working-tree-encoding")
    if not encoding:
        return ""
    codec = codec_of(_text(encoding)) if isinstance(encoding, bytes) else None
    if codec is None:
        given = _text(encoding) if isinstance(encoding, bytes) else ""
        raise SourceRefused(
            f"{shown(path)}: its .gitattributes have it in the encoding {given!r} "
            "(working-tree-encoding), which isn't one of those that are the same everywhere: "
            "use UTF-8, or UTF-16LE-BOM where it must be another"
        )
    return codec


def _text(value: bytes) -> str:
    return shown(value.decode(errors="backslashreplace"))
