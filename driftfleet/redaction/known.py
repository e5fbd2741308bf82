"""Secrets whose values are known, found in whatever form a program prints them."""

import base64
import html
import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import takewhile
from urllib.parse import quote, quote_plus

from driftfleet.redaction.spans import Span

SHORTEST_SECRET = 6
_SHORTEST_LINE = 16
_SHORTEST_CODE = 8
# A word stands for a secret only where it stands alone: with the password `postgres` there still
# is a `postgresql_role`.
_WORD = re.compile(r"[a-z_]{1,15}|[A-Z]?[a-z]{1,14}|[0-9]{1,8}")
_IGNORED = re.compile(r"(?:[\s\\│]|\x1b\[[0-9;]{0,16}m)+")
_ARMOUR = re.compile(r"-----(?:BEGIN|END) [A-Z0-9 ]{1,40}-----")
_SECRET_KEYS = frozenset(
    [
        "private_key",
        "private_key_id",
        "client_secret",
        "refresh_token",
        "access_token",
        "password",
        "auth",
        "token",
        "secret",
        "key",
    ]
)
_LONGEST_JSON = 256 << 10


class KnownSecrets:
    """Finds secrets by value: as they are, escaped, encoded, wrapped into a box or line by line.

    Blanks, line ends, backslashes and terraform's box count for nothing in either.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        plain = {part for secret in secrets for part in _parts(secret)}
        words = {s for s in plain if _WORD.fullmatch(s)}
        forms = {_packed(form) for secret in plain - words for form in _forms(secret)}
        self._forms = sorted((f for f in forms if len(f) >= SHORTEST_SECRET), key=len)
        alternatives = "|".join(sorted(map(re.escape, words), key=len, reverse=True))
        self._words = re.compile(rf"(?<![\w])(?:{alternatives})(?![\w])") if words else None

    def spans(self, text: str) -> Iterator[Span]:
        """Where they stand in ``text``."""
        if self._words:
            yield from (match.span() for match in self._words.finditer(text))
        if self._forms:
            packed = _Packed(text)
            for form in takewhile(packed.may_hold, self._forms):
                yield from packed.find(form)


class _Packed:
    """A text without what is ignored, and where each of its characters was."""

    def __init__(self, text: str) -> None:
        self._starts: list[int] = []
        self._offsets: list[int] = []
        parts: list[str] = []
        length = position = 0
        for ignored in [*_IGNORED.finditer(text), None]:
            part = text[position : ignored.start() if ignored else len(text)]
            if part:
                parts.append(part)
                self._starts.append(length)
                self._offsets.append(position)
                length += len(part)
            position = ignored.end() if ignored else len(text)
        self._text = "".join(parts)

    def may_hold(self, form: str) -> bool:
        return len(form) <= len(self._text)

    def find(self, form: str) -> Iterator[Span]:
        position = self._text.find(form)
        while position >= 0:
            end = position + len(form)
            yield self._offset(position), self._offset(end - 1) + 1
            position = self._text.find(form, end)

    def _offset(self, position: int) -> int:
        part = bisect_right(self._starts, position) - 1
        return self._offsets[part] + position - self._starts[part]


def _parts(secret: str) -> Iterator[str]:
    """The whole, its lines, and what in JSON is the secret of it."""
    if len(secret) < SHORTEST_SECRET:
        return
    yield secret
    lines = secret.splitlines()
    if len(lines) > 1:
        stripped = (line.strip() for line in lines)
        yield from (s for s in stripped if len(s) >= _SHORTEST_LINE and not _ARMOUR.fullmatch(s))
    if secret.lstrip().startswith("{") and len(secret) <= _LONGEST_JSON:
        for leaf in _leaves(secret):
            yield from _parts(leaf)


def _leaves(text: str) -> list[str]:
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        return []
    found: list[str] = []
    left = [tree]
    while left:
        node = left.pop()
        if isinstance(node, dict):
            found += [v for k, v in node.items() if isinstance(v, str) and k in _SECRET_KEYS]
            left += [v for v in node.values() if isinstance(v, dict | list)]
        elif isinstance(node, list):
            left += [v for v in node if isinstance(v, dict | list)]
    # What holds a whole JSON again was no secret of its own.
    return [leaf for leaf in found if not leaf.lstrip().startswith("{")]


def _packed(text: str) -> str:
    return _IGNORED.sub("", text)


def _forms(secret: str) -> Iterator[str]:
    """How it may be written; backslashes are none of the difference (see `_IGNORED`)."""
    stripped = secret.strip()
    escaped = json.dumps(stripped)[1:-1]
    go = escaped.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    yield from (stripped, escaped, go, json.dumps(stripped, ensure_ascii=False)[1:-1])
    yield stripped.replace("${", "$${").replace("%{", "%%{")
    yield from (html.escape(stripped), stripped.replace("'", "''"))
    for encoded in (quote(stripped, safe=""), quote(stripped), quote_plus(stripped)):
        yield encoded
        yield re.sub(r"%[0-9A-F]{2}", lambda m: m.group().lower(), encoded)
    yield from _codes(secret)
    if stripped != secret:
        yield from _codes(stripped)


def _codes(secret: str) -> Iterator[str]:
    """Its base64, also as a part of something longer: `user:secret` in a header."""
    content = secret.encode(errors="surrogatepass")
    for shift in range(3):
        code = base64.b64encode(b"\0" * shift + content).decode().rstrip("=")
        # The characters at the edges hold bits of what stands beside.
        inner = code[-(-shift * 8 // 6) : len(code) - (1 if (shift + len(content)) % 3 else 0)]
        if len(inner) >= _SHORTEST_CODE:
            yield from (inner, inner.replace("+", "-").replace("/", "_"))
            yield quote(inner, safe="")
    if len(content) >= SHORTEST_SECRET:
        yield from (content.hex(), content.hex().upper())
