"""Which paths a pattern of a `.gitattributes` means, as git's own matching decides it. Pure.

The rules are git's `wildmatch`, with what surrounds it for attributes (gitattributes(5)); where the
documentation and git differ, git counts. No library is used: pathspec knows no ``[[:alpha:]]``,
takes ``foo**/bar`` in another way than git, and its regular expressions take exponential time.
Here a pattern is an automaton whose states are the bits of one number, so that time grows with the
lengths of path and pattern only, whatever somebody wrote.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

# Of a byte's 256 values, each a bit.
_ALL = (1 << 256) - 1
# Shared: a pattern may have thousands of them.
_ONE = tuple(1 << byte for byte in range(256))
_SLASH = ord("/")
_SPECIAL = re.compile(rb"[*?\[\\]")
_CLOSING = re.compile(rb"[^\]]*+\]")
# Twice `**/` is the same as once.
_FOLDERS = re.compile(rb"(?:/\*\*+(?=/))+")

Matcher = Callable[[bytes], bool]


def matcher(pattern: bytes) -> Matcher:
    """What tells whether a file is meant, by its path below the folder of the `.gitattributes`."""
    if pattern.endswith(b"/"):
        # It means a folder, and what lies in one takes nothing from it.
        return lambda _: False
    if b"/" not in pattern:
        return _by_name(pattern)
    pattern = pattern.removeprefix(b"/")
    # As git: what comes before the first wildcard is compared as it stands, and the rest matched as
    # if a path began there, which makes the stars of `foo**/bar` those of `**/bar`.
    special = _SPECIAL.search(pattern)
    if special is None:
        return pattern.__eq__
    before, rest = pattern[: special.start()], _automaton(pattern[special.start() :], paths=True)
    return lambda path: path.startswith(before) and rest.accepts(path, len(before))


def _by_name(pattern: bytes) -> Matcher:
    """One without a slash is about the last part of a path, in all folders."""
    if not _SPECIAL.search(pattern):
        end = b"/" + pattern
        return lambda path: path == pattern or path.endswith(end)
    if pattern[:1] == b"*" and not _SPECIAL.search(pattern, 1):
        end = pattern[1:]
        return lambda path: path.endswith(end)
    automaton = _automaton(pattern, paths=False)
    return lambda path: automaton.accepts(path, path.rfind(b"/") + 1)


@dataclass
class _Automaton:
    """State ``n`` is bit ``n``: in it, the steps before ``n`` are done. The last one accepts."""

    # Of each step the bytes with which it is done.
    steps: list[int] = field(default_factory=list)
    # The states that any byte but a slash, or any at all, leaves as they are.
    stay_in_folder: int = 0
    stay: int = 0
    # The states that are the next one, and the one after that, too: `**/` may be no folder at all.
    skip: int = 0
    _moves: dict[int, int] = field(default_factory=dict)

    @property
    def here(self) -> int:
        """The bit of the state to which the next step belongs."""
        return 1 << len(self.steps)

    def accepts(self, path: bytes, start: int) -> bool:
        skip, moves, stay_in_folder = self.skip, self._moves, self.stay_in_folder | self.stay
        states = 1
        states |= (states & skip) << 1 | (states & skip) << 2
        for byte in path[start:]:
            done = moves.get(byte)
            if done is None:
                done = moves[byte] = self._move(byte)
            staying = self.stay if byte == _SLASH else stay_in_folder
            states = (states & done) << 1 | states & staying
            if not states:
                return False
            if found := states & skip:
                states |= found << 1 | found << 2
        return bool(states & self.here)

    def _move(self, byte: int) -> int:
        """The states whose step a byte does."""
        done = "".join("1" if step >> byte & 1 else "0" for step in reversed(self.steps))
        return int(done or "0", 2)


def _automaton(pattern: bytes, *, paths: bool) -> _Automaton:
    """The automaton of a pattern; in ``paths`` a slash is only matched by a slash and `**`."""
    made = _Automaton()
    most = _ALL & ~(1 << _SLASH) if paths else _ALL
    position = 0
    while position < len(pattern):
        byte = pattern[position : position + 1]
        if byte == b"*":
            position = _add_stars(made, pattern, position, paths=paths)
        elif byte == b"[":
            accepted, position = _bracket(pattern, position + 1)
            made.steps.append(accepted & most)
        elif byte == b"?":
            made.steps.append(most)
            position += 1
        else:
            escaped = byte == b"\\"
            literal = pattern[position + escaped : position + escaped + 1]
            # Git takes a last backslash for one that nothing follows, which no path holds.
            made.steps.append(_ONE[literal[0]] if literal else 0)
            position += 1 + escaped
    return made


def _add_stars(made: _Automaton, pattern: bytes, start: int, *, paths: bool) -> int:
    """Add a run of stars; returns where it ends."""
    end = start
    while pattern[end : end + 1] == b"*":
        end += 1
    bounded = start == 0 or pattern[start - 1] == _SLASH
    whole = bounded and (end == len(pattern) or pattern.startswith((b"/", b"\\/"), end))
    if not paths or (end - start > 1 and whole):
        if paths and pattern.startswith(b"/", end):
            # States that skip must not follow each other.
            if more := _FOLDERS.match(pattern, end):
                end = more.end()
            made.skip |= made.here
            made.steps.append(0)
            made.stay |= made.here
            made.steps.append(_ONE[_SLASH])
            return end + 1
        made.stay |= made.here
    else:
        made.stay_in_folder |= made.here
    return end


def _bracket(pattern: bytes, position: int) -> tuple[int, int]:
    """The bytes that a bracket's content means, none where it's malformed; and where it ends."""
    negated = pattern[position : position + 1] in (b"!", b"^")
    position += negated
    accepted, before, first = 0, 0, True
    while first or pattern[position : position + 1] != b"]":
        first = False
        if position >= len(pattern):
            return 0, len(pattern)
        byte = pattern[position]
        if byte == ord("[") and pattern.startswith(b":", position + 1):
            found, position = _class(pattern, position)
            if found is None:
                return 0, len(pattern)
            accepted, before = accepted | found, 0 if found != 1 << byte else byte
            continue
        ranged = byte == ord("-") and before and _follows(pattern, position + 1)
        position += bool(ranged)
        position += pattern[position] == ord("\\")
        if position >= len(pattern):
            return 0, len(pattern)
        last = pattern[position]
        if ranged:
            if before <= last:
                accepted |= (1 << last + 1) - (1 << before)
            before = 0
        else:
            accepted, before = accepted | 1 << last, last
        position += 1
    return (_ALL & ~accepted if negated else accepted), position + 1


def _follows(pattern: bytes, position: int) -> bool:
    """Whether a range has an end there: else its dash is a dash."""
    return position < len(pattern) and pattern[position] != ord("]")


def _class(pattern: bytes, position: int) -> tuple[int | None, int]:
    """The bytes of a ``[:name:]``; None for one that isn't known; a bracket where it isn't one."""
    found = _CLOSING.match(pattern, position + 2)
    if found is None:
        return None, len(pattern)
    text = found[0]
    if not text.endswith(b":]"):
        return 1 << ord("["), position + 1
    return _CLASSES.get(text[:-2]), found.end()


def _bits(accepts: Callable[[str], bool]) -> int:
    return sum(1 << code for code in range(128) if accepts(chr(code)))


_CLASSES = {
    b"alnum": _bits(str.isalnum),
    b"alpha": _bits(str.isalpha),
    b"blank": _bits(" \t".__contains__),
    b"cntrl": _bits(lambda c: not c.isprintable()),
    b"digit": _bits(str.isdigit),
    b"graph": _bits(lambda c: c.isprintable() and c != " "),
    b"lower": _bits(str.islower),
    b"print": _bits(str.isprintable),
    b"punct": _bits(lambda c: c.isprintable() and not c.isalnum() and c != " "),
    # Git's own table, which lacks the vertical tab and the form feed.
    b"space": _bits(" \t\r\n".__contains__),
    b"upper": _bits(str.isupper),
    b"xdigit": _bits("0123456789abcdefABCDEF".__contains__),
}
