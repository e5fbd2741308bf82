"""Cuts HCL text into arguments and blocks without parsing what is in them.

It is there for speed: a parser written in Python reads 250 KB a second. It is stricter than
counting brackets, so that a broken file rarely slips through, and it never guesses: what it
doesn't recognise raises `SyntaxDoubt`, and the caller asks a real parser.

Of the alternatives in a pattern at most one fits at any place, every loop moves forward and nothing
recurses: the time is linear in the text, whatever the text is. For each turn of a loop over
alternatives `re` keeps some 100 bytes until its pattern, or an atomic group around it, has matched:
such loops are bounded, and Python goes on where one ended. Only single characters are repeated
possessively: CPython before 3.11.5 loses its way in possessive groups (cpython#106052).
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

_MOST_TURNS = 10_000
_MOST_LABELS = 100
_DEEPEST = 1_000

_NAME = r"[^\W\d][\w-]*+"
# A quoted string without interpolation; `$${` and `%%{` are escapes, a lone `$` or `%` is text.
# One of more pieces is read like one with interpolation.
_PIECES = r'[^"\\\n$%]++|\\[^\n]|\$\$\{|%%\{|[$%](?!\{)'
_STRING = rf'"(?>(?:{_PIECES}){{0,{_MOST_TURNS}}})"'
_COMMENT = r"\#[^\n]*+|//[^\n]*+|(?>/\*(?s:.*?)\*/)"
_TRIVIA = rf"(?>(?:[ \t\r\n]++|{_COMMENT}){{0,{_MOST_TURNS}}})"
_SPACE = re.compile(_TRIVIA)
_LABEL = re.compile(rf"{_STRING}|{_NAME}")

# What may stand in a body. `line` is an argument of one plain term, which most lines are.
_ITEM = re.compile(
    rf"""{_TRIVIA}(?:
      (?P<line>({_NAME})[ \t]*+=[ \t]*+({_STRING}|[\w.-]++)[ \t]*+(?=\r?\n))
    | (?P<argument>({_NAME})[ \t]*+=(?![=>])[ \t]*+(?![\s}}\])=,\#]|//|\Z))
    | (?P<block>({_NAME})((?:[ \t]*+{_STRING}|[ \t]++{_NAME}){{0,{_MOST_LABELS}}})[ \t]*+\{{)
    | (?P<close>\}})
    | (?P<end>\Z)
    | (?P<more>(?=[ \t\r\n\#/]))
    )""",
    re.VERBOSE,
)
_HEREDOC = rf"<<-?(?P<tag>{_NAME})\r?\n"
_REST = rf"(?P<heredoc>{_HEREDOC})|(?P<open>[\[({{\"])|(?P<close>[\])}}])|(?P<end>\Z)"
# Two terms with only blanks between them: no expression has that, but for its three words.
_APART = r"""(?<![\w"\])}])[ \t]++ | [ \t]++(?![\w"])"""
_WORDS = r"[ \t]++(?=(?:in|if)\b) | (?:(?<=\bfor)|(?<=\bin)|(?<=\bif))[ \t]++"
# An expression outside brackets, which a newline ends, and inside.
_OUTSIDE = re.compile(
    rf"""(?P<skip>(?:
        [^"\n#/{{}}()\[\]<,\ \t]++ | {_COMMENT} | /(?![*/]) | <(?!<) | {_STRING}
      | {_APART}
    ){{1,{_MOST_TURNS}}}) | (?P<newline>\n) | {_REST}""",
    re.VERBOSE,
)
_INSIDE = re.compile(
    rf"""(?P<skip>(?:
        [^"#/{{}}()\[\]<\ \t]++ | {_COMMENT} | /(?![*/]) | <(?!<-?[^\W\d]) | {_STRING}
      | {_APART} | {_WORDS}
    ){{1,{_MOST_TURNS}}}) | {_REST}""",
    re.VERBOSE,
)
_TEMPLATE = re.compile(
    rf"""(?P<skip>(?:{_PIECES}){{1,{_MOST_TURNS}}})
      | (?P<open>[$%]\{{) | (?P<close>") | (?P<end>\Z)""",
    re.VERBOSE,
)
_CLOSER = {"{": "}", "[": "]", "(": ")", '"': '"', "${": "}", "%{": "}"}


class SyntaxDoubt(Exception):
    """The text is not what the scanner knows, at ``offset``; ``message`` says what was expected."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message, offset)
        self.message = message
        self.offset = offset


class NestedTooDeep(SyntaxDoubt):
    """Brackets or blocks are nested as no person nests them; a real parser isn't worth asking."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"this is nested more than {_DEEPEST:,} levels deep", offset)


class Argument(NamedTuple):
    """``name = expression``: ``text[value:end]`` is the expression, maybe with comments."""

    name: str
    value: int
    end: int


class Block(NamedTuple):
    """``type label ... {``: ``body`` is the offset after its brace, for `items`."""

    type: str
    labels: tuple[str, ...]
    body: int


def items(text: str, body: int | None = None) -> Iterator[Argument | Block]:
    """The arguments and blocks of one body, in order; of a whole file without ``body``.

    Raises
    ------
    SyntaxDoubt
        Once the text is reached that isn't recognised, also inside nested blocks. `NestedTooDeep`
        where it is nested beyond reason.
    """
    position = body or 0
    while True:
        item = _match_item(text, position)
        kind, position = item.lastgroup, item.end()
        if kind == "line":
            yield Argument(item[2], item.start(3), item.end(3))
        elif kind == "argument":
            end = _skip_expression(text, position)
            yield Argument(item[5], position, end)
            position = end
        elif kind == "block":
            labels = tuple(label.strip('"') for label in _LABEL.findall(item[8]))
            yield Block(item[7], labels, position)
            position = _skip_body(text, position)
        elif (kind == "close") == (body is not None):
            return
        else:
            raise SyntaxDoubt("a block, or the end of the file, is expected here", item.end() - 1)


def with_ends(text: str, body: int | None = None) -> Iterator[tuple[Block, int]]:
    """The blocks of one body, each with an offset behind it, before the next block's body.

    Raises as `items`.
    """
    before: Block | None = None
    for item in items(text, body):
        if isinstance(item, Block):
            if before is not None:
                yield before, item.body
            before = item
    if before is not None:
        yield before, len(text)


def line_of(text: str, offset: int) -> int:
    """The line, from 1, on which ``offset`` is."""
    return text.count("\n", 0, offset) + 1


def _match_item(text: str, position: int) -> re.Match[str]:
    item = _ITEM.match(text, position)
    while item is not None and item.lastgroup == "more" and item.end() > position:
        position = item.end()
        item = _ITEM.match(text, position)
    if item is None or item.lastgroup == "more":
        space = _SPACE.match(text, position)
        where = space.end() if space else position
        raise SyntaxDoubt("an argument with its value, or a block, is expected here", where)
    return item


def _skip_body(text: str, body: int) -> int:
    """The offset after the brace that closes the block whose body starts at ``body``."""
    opened = [body - 1]
    position = body
    while opened:
        item = _match_item(text, position)
        kind, position = item.lastgroup, item.end()
        if kind == "argument":
            position = _skip_expression(text, position)
        elif kind == "block":
            opened.append(position - 1)
            if len(opened) > _DEEPEST:
                raise NestedTooDeep(position - 1)
        elif kind == "close":
            opened.pop()
        elif kind == "end":
            raise SyntaxDoubt("this block is not closed before the end of the file", opened[-1])
    return position


def _skip_expression(text: str, position: int) -> int:
    """The offset at which the expression ends: a newline, the brace of its block, or the end."""
    opened: list[tuple[str, int]] = []
    while True:
        pattern = _OUTSIDE if not opened else _TEMPLATE if opened[-1][0] == '"' else _INSIDE
        token = pattern.match(text, position)
        if token is None:
            what = (
                "string is not closed on its line" if pattern is _TEMPLATE else "is no expression"
            )
            raise SyntaxDoubt(f"this {what}", position)
        kind, position = token.lastgroup, token.end()
        if kind == "heredoc":
            position = _heredoc_end(text, token["tag"], token.start(), position)
        elif kind == "open":
            opened.append((_CLOSER[token[0]], token.start()))
            if len(opened) > _DEEPEST:
                raise NestedTooDeep(token.start())
        elif kind == "close" and opened:
            closer, _ = opened.pop()
            if closer != token[0]:
                raise SyntaxDoubt(f"'{token[0]}' stands where '{closer}' is expected", position - 1)
        elif kind == "newline" or (not opened and (kind == "end" or token[0] == "}")):
            return token.start()
        elif kind == "end":
            raise SyntaxDoubt("this bracket or string is not closed", opened[-1][1])
        elif kind == "close":
            raise SyntaxDoubt(f"'{token[0]}' closes nothing", position - 1)


def _heredoc_end(text: str, tag: str, start: int, position: int) -> int:
    """The offset of the newline after the line that holds only ``tag``."""
    while True:
        newline = text.find("\n", position)
        if text[position : newline if newline >= 0 else len(text)].strip(" \t\r") == tag:
            return newline if newline >= 0 else len(text)
        if newline < 0:
            raise SyntaxDoubt(f"this heredoc has no line '{tag}' that ends it", start)
        position = newline + 1
